"""The models: each with what it takes and how it is trained and saved, always the same."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import mlflow.lightgbm
import mlflow.onnx
import mlflow.pyfunc
import mlflow.sklearn
import numpy as np
import pandas as pd
from lightgbm import LGBMRegressor
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec
from mlflow.types.schema import Array, DataType, Map, Object, Property
from modelvane_serving.manifest import ARTIFACTS_DIR
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tests.serving import train
from tests.serving.differential.tables import Column, columns

SCRIPTS: Final = Path(__file__).parent / "scripts"
IRIS: Final = columns("double", "sepal_length", "sepal_width", "petal_length", "petal_width")
UNNAMED: Final = tuple(Column(kind="double") for _ in range(4))


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model of the corpus."""

    name: str
    save: Callable[[Path], Any]
    takes: tuple[Column, ...]
    params: bool = False
    # Of a model that takes what another takes as well, a part of the requests will do.
    every: int = 1
    type_hint: bool = False


def schema(takes: tuple[Column, ...]) -> Schema:
    """Build the signature's input of scalar columns."""
    return Schema([ColSpec(column.kind, column.name, required=column.required) for column in takes])


def save_sklearn(model_dir: Path, model: Any, takes: tuple[Column, ...] | None, predict: str = "predict") -> None:
    mlflow.sklearn.save_model(
        model,
        str(model_dir / ARTIFACTS_DIR),
        signature=None if takes is None else ModelSignature(inputs=schema(takes)),
        pyfunc_predict_fn=predict,
        serialization_format="cloudpickle",
        pip_requirements=[],
    )
    train.finish(model_dir)


def save_python(model_dir: Path, script: Path, signature: ModelSignature | None = None) -> None:
    mlflow.pyfunc.save_model(
        str(model_dir / ARTIFACTS_DIR), python_model=str(script), signature=signature, pip_requirements=[]
    )
    train.finish(model_dir)


def echo(name: str, takes: tuple[Column, ...], inputs: Schema | None, params: ParamSchema | None = None) -> Subject:
    signature = None if inputs is None else ModelSignature(inputs=inputs, params=params)  # type: ignore[arg-type]
    return Subject(
        name=name,
        takes=takes,
        params=params is not None,
        save=lambda model_dir: save_python(model_dir, SCRIPTS / "echo.py", signature),
    )


def save_probabilities(model_dir: Path) -> None:
    features, target = train.iris()
    save_sklearn(model_dir, LogisticRegression(max_iter=200).fit(features, target), IRIS, "predict_proba")


def save_forest(model_dir: Path) -> None:
    features, target = train.iris()
    model = RandomForestClassifier(n_estimators=15, max_depth=5, random_state=7, n_jobs=1).fit(features, target)
    save_sklearn(model_dir, model, IRIS)


def save_labels(model_dir: Path) -> None:
    """Save a model that answers texts."""
    features, target = train.iris()
    labels = np.array(["setosa", "versicolor", "virginica"])[target]
    save_sklearn(model_dir, make_pipeline(StandardScaler(), LogisticRegression()).fit(features, labels), IRIS)


def save_multi_output(model_dir: Path) -> None:
    features, target = train.iris()
    table = pd.DataFrame({"a": target * 2.5, "b": features["sepal_length"]})
    save_sklearn(model_dir, LinearRegression().fit(features, table), IRIS)


def save_unsigned(model_dir: Path) -> None:
    features, target = train.iris()
    save_sklearn(model_dir, LogisticRegression(max_iter=200).fit(features, target), None)


def save_float32(model_dir: Path) -> None:
    features, target = train.iris()
    save_sklearn(model_dir, LogisticRegression(max_iter=200).fit(features.astype(np.float32), target), FLOATS)


def save_mixed(model_dir: Path) -> None:
    """Save a pipeline on columns of all common types."""
    random = np.random.default_rng(7)
    table = pd.DataFrame(
        {
            "colour": random.choice(["red", "green", "blue"], 200),
            "count": random.integers(0, 50, 200),
            "small": random.integers(0, 9, 200).astype(np.int32),
            "open": random.choice([True, False], 200),
            "size": random.random(200) * 5,
        }
    )
    target = (table["size"] + table["count"] / 10 + table["open"] + (table["colour"] == "red") > 5).astype(int)
    encode = ColumnTransformer(
        [
            ("text", OneHotEncoder(handle_unknown="ignore"), ["colour"]),
            ("number", StandardScaler(), ["count", "small", "size"]),
            ("flag", "passthrough", ["open"]),
        ]
    )
    save_sklearn(model_dir, make_pipeline(encode, LogisticRegression()).fit(table, target), MIXED)


def save_text(model_dir: Path) -> None:
    words = ["good great fine", "bad awful poor", "great good", "poor bad", "fine", "awful ü☃"]
    table = pd.DataFrame({"text": words * 5})
    encode = ColumnTransformer([("text", TfidfVectorizer(), "text")])
    model = make_pipeline(encode, LogisticRegression()).fit(table, [1, 0, 1, 0, 1, 0] * 5)
    save_sklearn(model_dir, model, TEXT, "predict_proba")


def save_lightgbm(model_dir: Path) -> None:
    features, target = train.iris()
    model = LGBMRegressor(n_estimators=8, num_leaves=7, n_jobs=1, deterministic=True, seed=7, verbose=-1)
    mlflow.lightgbm.save_model(
        model.fit(features, target),
        str(model_dir / ARTIFACTS_DIR),
        signature=ModelSignature(inputs=schema(IRIS)),
        pip_requirements=[],
    )
    train.finish(model_dir)


def save_onnx(model_dir: Path, *, tensor: bool = False, outputs: int = 1) -> None:
    """Save a classifier as ONNX, which answers labels, and probabilities as a second output."""
    features, target = train.iris()
    model = RandomForestClassifier(n_estimators=15, max_depth=5, random_state=7).fit(features, target)
    graph = to_onnx(model, initial_types=[("x", FloatTensorType([None, 4]))], options={"zipmap": False})
    del graph.graph.output[outputs:]
    inputs = Schema([TensorSpec(np.dtype(np.float32), (-1, 4))]) if tensor else schema(IRIS)
    signature = ModelSignature(inputs=inputs)
    mlflow.onnx.save_model(graph, str(model_dir / ARTIFACTS_DIR), signature=signature, pip_requirements=[])
    train.finish(model_dir)


FLOATS: Final = columns("float", "sepal_length", "sepal_width", "petal_length", "petal_width")
MIXED: Final = (
    *columns("string", "colour"),
    *columns("long", "count", values=(0, 1, 7, 42)),
    *columns("integer", "small"),
    *columns("boolean", "open"),
    *columns("double", "size"),
)
TEXT: Final = columns("string", "text", values=("good", "bad awful", "ü☃", ""))
SCALARS: Final = (
    *columns("double", "d"),
    *columns("float", "f"),
    *columns("long", "l"),
    *columns("integer", "i"),
    *columns("boolean", "b"),
    *columns("string", "s"),
)
OPTIONAL: Final = (
    *columns("double", "d"),
    *columns("double", "maybe_d", required=False),
    *columns("long", "maybe_l", required=False),
    *columns("string", "maybe_s", required=False),
    *columns("boolean", "maybe_b", required=False),
)
PLACES: Final = (Column(kind="double"), Column(kind="long"), Column(kind="string"))
TIMES: Final = (*columns("datetime", "at"), *columns("double", "d"))
BYTES: Final = (*columns("binary", "raw"), *columns("long", "l"))
NESTED: Final = (*columns("longs", "list"), *columns("object", "thing"), *columns("map", "table"))
NESTED_SCHEMA: Final = Schema(
    [
        ColSpec(Array(DataType.long), "list"),
        ColSpec(
            Object(
                [
                    Property("id", DataType.long),
                    Property("text", DataType.string),
                    Property("note", DataType.string, required=False),
                ]
            ),
            "thing",
        ),
        ColSpec(Map(DataType.double), "table"),
    ]
)
TENSORS: Final = (*columns("vector", "v"), *columns("long", "n", values=(1, 2, 3)))
TENSORS_SCHEMA: Final = Schema(
    [TensorSpec(np.dtype(np.float32), (-1, 3), "v"), TensorSpec(np.dtype(np.int64), (-1,), "n")]
)
PARAMS: Final = ParamSchema(
    [
        ParamSpec("text", "string", "default"),
        ParamSpec("whole", "long", 3),
        ParamSpec("small", "integer", 4),
        ParamSpec("ratio", "double", 0.5),
        ParamSpec("single", "float", 0.25),
        ParamSpec("flag", "boolean", False),
        ParamSpec("at", "datetime", np.datetime64("2026-01-02T03:04:05")),
        ParamSpec("many", "long", [1, 2], shape=(-1,)),
    ]
)
XGBOOST: Final = (
    *columns("double", "sepal_length"),
    *columns("long", "sepal_width", values=(20, 31, 44)),
    *columns("double", "petal_length", "petal_width"),
)
WORKBENCH: Final = columns("double", "x")
POINT: Final = (
    *columns("double", "x"),
    *columns("long", "count", values=(1, 2)),
    *columns("string", "label"),
)

CORPUS: Final = {
    subject.name: subject
    for subject in (
        Subject(name="iris", save=train.save_sklearn, takes=IRIS),
        Subject(name="probabilities", save=save_probabilities, takes=IRIS, every=2),
        Subject(name="forest", save=save_forest, takes=IRIS, every=2),
        Subject(name="labels", save=save_labels, takes=IRIS, every=2),
        Subject(name="multi_output", save=save_multi_output, takes=IRIS, every=2),
        Subject(name="unsigned", save=save_unsigned, takes=IRIS),
        Subject(name="float32", save=save_float32, takes=FLOATS),
        Subject(name="mixed", save=save_mixed, takes=MIXED),
        Subject(name="text", save=save_text, takes=TEXT),
        Subject(name="xgboost", save=train.save_xgboost, takes=XGBOOST),
        Subject(name="lightgbm", save=save_lightgbm, takes=IRIS, every=2),
        Subject(name="onnx", save=save_onnx, takes=IRIS, every=2),
        Subject(name="onnx_tensor", save=lambda model_dir: save_onnx(model_dir, tensor=True, outputs=2), takes=UNNAMED),
        Subject(name="tensor", save=train.save_tensor, takes=UNNAMED),
        Subject(name="workbench", save=train.save_workbench, takes=WORKBENCH, params=True),
        echo("scalars", SCALARS, schema(SCALARS)),
        echo("optional", OPTIONAL, schema(OPTIONAL)),
        echo("places", PLACES, schema(PLACES)),
        echo("times", TIMES, schema(TIMES)),
        echo("bytes", BYTES, schema(BYTES)),
        echo("nested", NESTED, NESTED_SCHEMA),
        echo("tensors", TENSORS, TENSORS_SCHEMA),
        echo("params", WORKBENCH, schema(WORKBENCH), PARAMS),
        echo("untyped", SCALARS, None),
        Subject(
            name="hinted",
            save=lambda model_dir: save_python(model_dir, SCRIPTS / "hinted.py"),
            takes=POINT,
            type_hint=True,
        ),
        Subject(
            name="hinted_text",
            save=lambda model_dir: save_python(model_dir, SCRIPTS / "hinted_text.py"),
            takes=(Column(kind="string"),),
            type_hint=True,
        ),
    )
}
