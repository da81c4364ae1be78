"""Loads a model as the flavor's own object, the way MLflow does, without importing MLflow.

Only what is known by its loader: anything else, and anything that asks for more than a plain table, is pyfunc's.
"""

import importlib
import os
import pickle
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from modelvane_serving.mlmodel import PYFUNC_FLAVOR, MlModel

LOADERS: Final[Mapping[str, str]] = {
    "mlflow.sklearn": "sklearn",
    "mlflow.xgboost": "xgboost",
    "mlflow.lightgbm": "lightgbm",
}
# Methods whose answer to a row is that row's alone. `score` is not among them.
ROW_METHODS: Final = frozenset({"predict", "predict_proba", "predict_log_proba", "predict_joint_log_proba"})
KNOWN_PACKAGES: Final = frozenset({"sklearn", "xgboost", "lightgbm"})
# They pick columns by name, or run somebody's function.
BY_NAME: Final = frozenset({"ColumnTransformer", "FunctionTransformer"})


class NotNativeError(Exception):
    """Says why the model is served by pyfunc."""


@dataclass(frozen=True, kw_only=True)
class NativeModel:
    """The flavor's object. `takes_matrix`: it answers an array as it answers a frame."""

    flavor: str
    model: Any
    method: str
    takes_matrix: bool
    row_wise: bool

    @property
    def predict(self) -> Callable[[Any], Any]:
        """Return what MLflow's wrapper would call."""
        if self.flavor == "xgboost" and hasattr(self.model, "get_booster"):
            return lambda data: self.model.predict(data, validate_features=not self.takes_matrix)
        if self.flavor == "xgboost":
            return self._predict_booster
        method: Callable[[Any], Any] = getattr(self.model, self.method)
        return method

    def _predict_booster(self, data: Any) -> Any:
        xgboost = importlib.import_module("xgboost")
        return self.model.predict(xgboost.DMatrix(data), validate_features=not self.takes_matrix)


def flavor_of(mlmodel: MlModel) -> str:
    """Name the flavor that can be loaded natively. Raises NotNativeError."""
    loader = str(mlmodel.configurations[PYFUNC_FLAVOR].get("loader_module"))
    if loader not in LOADERS:
        raise NotNativeError(f"models of {loader} are called through pyfunc")
    if mlmodel.has_type_hints:
        raise NotNativeError("the model has type hints")
    if mlmodel.signature is not None and mlmodel.signature.get("params"):
        raise NotNativeError("the model takes params")
    return LOADERS[loader]


def load_native(mlmodel: MlModel, artifacts: Path, threads: int) -> NativeModel:
    """Load the model. This runs the model's own code, so anything may be raised."""
    flavor = flavor_of(mlmodel)
    if os.environ.get("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true").lower() not in {"true", "1"}:
        raise NotNativeError("MLFLOW_ALLOW_PICKLE_DESERIALIZATION is off")
    code = mlmodel.configurations[PYFUNC_FLAVOR].get("code")
    if code:
        sys.path.insert(0, str(artifacts / code))
    configuration = mlmodel.configurations[flavor]
    method = "predict"
    if flavor == "sklearn":
        method = str(mlmodel.configurations[PYFUNC_FLAVOR].get("predict_fn") or "predict")
        model = _unpickle(artifacts / str(configuration["pickled_model"]), configuration, "pickle")
    elif flavor == "xgboost":
        model = _load_xgboost(artifacts, configuration)
    else:
        model = _load_lightgbm(artifacts, configuration)
    if not hasattr(model, method):
        raise NotNativeError(f"the model has no {method}")
    parts = list(_parts_of(model))
    _share_threads(parts, threads)
    names = {_name(part) for part in parts}
    known = all(_package(part) in KNOWN_PACKAGES for part in parts)
    return NativeModel(
        flavor=flavor,
        model=model,
        method=method,
        takes_matrix=known and BY_NAME.isdisjoint(names),
        row_wise=known and method in ROW_METHODS and "FunctionTransformer" not in names,
    )


def forget_names(native: NativeModel) -> None:
    """Let scikit-learn take arrays without a warning at each call that they have no column names."""
    for part in _parts_of(native.model):
        if _package(part) == "sklearn":
            _attributes(part).pop("feature_names_in_", None)


def _unpickle(path: Path, configuration: Mapping[str, Any], default: str) -> Any:
    form = configuration.get("serialization_format") or default
    if form == "skops":
        return importlib.import_module("skops.io").load(path, trusted=configuration.get("skops_trusted_types"))
    if form not in {"pickle", "cloudpickle"}:
        raise NotNativeError(f"serialization format {form!r} is MLflow's to load")
    with path.open("rb") as file:
        # What cloudpickle writes, pickle reads: it only has to be importable.
        return pickle.load(file)  # noqa: S301 - a model is code, and MLflow loads it the same way


def _load_xgboost(artifacts: Path, configuration: Mapping[str, Any]) -> Any:
    model = _class_of(str(configuration.get("model_class") or "xgboost.core.Booster"))()
    model.load_model(artifacts / str(configuration["data"]))
    return model


def _load_lightgbm(artifacts: Path, configuration: Mapping[str, Any]) -> Any:
    path = artifacts / str(configuration["data"])
    if configuration.get("model_class", "lightgbm.basic.Booster") == "lightgbm.basic.Booster":
        return importlib.import_module("lightgbm").Booster(model_file=str(path))
    return _unpickle(path, configuration, "cloudpickle")


def _class_of(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def _parts_of(model: Any) -> Iterator[Any]:
    """Yield the estimators of a model, those in pipelines, column transformers and ensembles among them."""
    seen: set[int] = set()
    waiting = [model]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list | tuple):
            waiting.extend(part)
        elif type(part).__name__ == "ndarray":
            if part.dtype == object:
                waiting.extend(part.ravel().tolist())
        elif hasattr(part, "predict") or hasattr(part, "transform") or hasattr(part, "fit"):
            if id(part) in seen:
                continue
            seen.add(id(part))
            yield part
            waiting.extend(_attributes(part).values())


def _attributes(part: Any) -> dict[str, Any]:
    attributes: dict[str, Any] = getattr(part, "__dict__", {})
    return attributes


def _name(part: Any) -> str:
    return type(part).__name__


def _package(part: Any) -> str:
    return type(part).__module__.partition(".")[0]


def _share_threads(parts: list[Any], threads: int) -> None:
    """Give what was trained in parallel the CPUs of its process: an n_jobs of its training is about another machine."""
    for part in parts:
        if _package(part) in KNOWN_PACKAGES and _attributes(part).get("n_jobs") not in {None, 1}:
            part.n_jobs = threads
        if _name(part) == "Booster" and _package(part) == "xgboost":
            part.set_param({"nthread": threads})
