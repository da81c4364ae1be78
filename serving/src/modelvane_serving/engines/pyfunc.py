"""The pyfunc engine: MLflow's own wrapper, which takes any flavor and any signature.

A clean table goes below MLflow's enforcement of the signature, because the plan has checked the same already;
everything else goes through it.
"""

import functools
import importlib
import inspect
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import mlflow.pyfunc
import pandas as pd
from mlflow.exceptions import MlflowException, RestException
from mlflow.models.signature import _is_context_in_predict_function_signature
from mlflow.models.utils import _enforce_params_schema
from mlflow.pyfunc import PyFuncModel
from mlflow.pyfunc.model import _PythonModelPyfuncWrapper

from modelvane_serving.engines import PYFUNC, Engine
from modelvane_serving.engines.errors import ModelError
from modelvane_serving.formats.tables import Table, TablePlan
from modelvane_serving.mlmodel import MlModel

# What MLflow's own code answers to a caller's mistake found only below `predict`.
CALLER_ERRORS: Final = frozenset({"INVALID_PARAMETER_VALUE", "BAD_REQUEST"})


def pyfunc_engine(mlmodel: MlModel, artifacts: Path, plan: TablePlan | None, *, reason: str | None) -> Engine:
    """Load by the model's flavor. This runs the model's own code, so anything may be raised."""
    # What MLflow's scoring server sets, for flavors that behave differently when they serve.
    os.environ["_MLFLOW_IS_IN_SERVING_ENVIRONMENT"] = "true"
    model = mlflow.pyfunc.load_model(str(artifacts), suppress_warnings=True)
    # MLflow warns of extra columns by name: those are the caller's.
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    call = _bind(model) if plan is not None and not mlmodel.has_type_hints else None
    # Below this line an exception is the model's, above it MLflow's enforcement of the signature.
    model._predict_fn = marking_model_errors(model._predict_fn)
    if call is None or plan is None:
        return Engine(name=PYFUNC, predict=_refuse, plan=None, reason=reason, pyfunc=model)
    call = marking_model_errors(call)
    make_frame = importlib.import_module("modelvane_serving.engines.frames").frame_maker(plan)

    def predict(table: Table) -> Any:
        return call(make_frame(table))

    return Engine(name=PYFUNC, predict=predict, plan=plan, reason=reason, pyfunc=model)


def _refuse(_table: Table) -> Any:
    raise TypeError("there is no plan for this model's input")


def _bind(model: PyFuncModel) -> Callable[[Any], Any]:
    """Return the call that `PyFuncModel.predict` comes to, with the questions it asks at each call asked once."""
    params = _enforce_params_schema(None, model.metadata.get_params_schema())  # type: ignore[no-untyped-call]
    predict = model._predict_fn
    implementation = model._model_impl
    # With other hints MLflow hands over a list instead of the frame.
    if type(implementation) is _PythonModelPyfuncWrapper and _hint(implementation) in {None, pd.DataFrame}:
        python_model, context = implementation.python_model, implementation.context
        parameters = inspect.signature(python_model.predict).parameters
        keywords = {"params": params} if "params" in parameters else {}
        if _is_context_in_predict_function_signature(parameters=parameters):  # type: ignore[no-untyped-call]
            return functools.partial(python_model.predict, context, **keywords)
        return functools.partial(python_model.predict, **keywords)
    argument = inspect.signature(predict).parameters.get("params")
    if argument is not None and argument.kind != inspect.Parameter.VAR_KEYWORD:
        return functools.partial(predict, params=params)
    return functools.partial(predict)


def _hint(implementation: _PythonModelPyfuncWrapper) -> Any:
    hint = implementation.python_model.predict_type_hints.input
    return hint if hint is None or isinstance(hint, type) else object


def marking_model_errors(predict: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap the flavor's predict; `wraps` keeps its signature, which MLflow inspects for `params`."""

    @functools.wraps(predict)
    def marked(*args: Any, **kwargs: Any) -> Any:
        try:
            return predict(*args, **kwargs)
        except MlflowException as error:
            if error.error_code in CALLER_ERRORS and not isinstance(error, RestException):
                raise
            raise ModelError(error) from error
        except (Exception, SystemExit) as error:
            raise ModelError(error) from error

    return marked
