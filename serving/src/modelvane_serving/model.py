"""A model, loaded and verified, behind one call: `predict`.

The engine is MLflow's pyfunc: it loads any flavor and enforces the signature, so what is accepted here is what MLflow
accepts.
"""

import functools
import logging
import os
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import mlflow.pyfunc
from mlflow.exceptions import MlflowException, RestException
from mlflow.pyfunc import PyFuncModel
from mlflow.types import Schema

from modelvane_serving.decoding import JSON, InputSpec, ModelInput, decode_invocation, name_type
from modelvane_serving.encoding import encode_predictions, to_json, to_plain
from modelvane_serving.errors import ApiError, from_mlflow, invalid_request
from modelvane_serving.failure import INPUT_EXAMPLE_FAILED, MODEL_LOAD_FAILED, StartError, one_line

_log = logging.getLogger(__name__)

ENGINE: Final = "pyfunc"
TRACEBACK_LIMIT: Final = 8000
# What MLflow's own code answers to a caller's mistake found only below `predict`.
CALLER_ERRORS: Final = frozenset({"INVALID_PARAMETER_VALUE", "BAD_REQUEST"})


class ModelError(Exception):
    """The model raised while predicting. Carries where, never the words: those may repeat the caller's values."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(type(cause).__name__)
        self.error_type = type(cause).__name__
        frames = traceback.extract_tb(cause.__traceback__)
        self.where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno} {frames[-1].name}" if frames else ""


@dataclass(frozen=True, kw_only=True)
class Model:
    """The loaded model and what its signature says about the input."""

    pyfunc: PyFuncModel
    spec: InputSpec
    output_schema: Schema | None

    def predict(self, request: ModelInput) -> Any:
        """Predict. Refused input raises ApiError, a failing model ModelError."""
        try:
            return self.pyfunc.predict(request.data, params=request.params)
        except ModelError:
            if request.is_empty:
                raise invalid_request("the input has no rows, and the model cannot answer that") from None
            raise
        except MlflowException as error:
            raise name_type(from_mlflow(error.message, str(self.spec)), self.spec.schema) from None
        except Exception as error:
            # Enforcement itself failed on the input, in pandas or numpy.
            raise from_mlflow(str(error), str(self.spec)) from None

    def answer(self, body: bytes, content_type: str | None) -> bytes:
        """Answer one body of /invocations: the whole path of a request, without HTTP."""
        request = decode_invocation(body, content_type, self.spec)
        predictions = self.predict(request)
        return encode_predictions(predictions) if request.enveloped else to_json(to_plain(predictions))


def load_model(artifacts: Path) -> Model:
    """Load by the model's flavor. This runs the model's own code, so anything may be raised."""
    # What MLflow's scoring server sets, for flavors that behave differently when they serve.
    os.environ["_MLFLOW_IS_IN_SERVING_ENVIRONMENT"] = "true"
    started = time.monotonic()
    try:
        pyfunc = mlflow.pyfunc.load_model(str(artifacts), suppress_warnings=True)
    except (Exception, SystemExit) as error:
        _log_traceback("the model did not load", error)
        raise StartError(MODEL_LOAD_FAILED, f"the model did not load: {_name(error)}") from None
    # MLflow warns of extra columns by name: those are the caller's.
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    # Below this line an exception is the model's, above it MLflow's enforcement of the signature.
    pyfunc._predict_fn = _marking_model_errors(pyfunc._predict_fn)
    _log.info("model loaded", extra={"fields": {"seconds": round(time.monotonic() - started, 3)}})
    metadata = pyfunc.metadata
    params = metadata.get_params_schema()
    return Model(
        pyfunc=pyfunc,
        output_schema=metadata.get_output_schema(),
        spec=InputSpec(
            schema=metadata.get_input_schema(),
            param_names=frozenset(param.name for param in params.params) if params is not None else frozenset(),
            from_type_hint=metadata._is_signature_from_type_hint(),
        ),
    )


def verify_input_example(model: Model, example: Path | None) -> None:
    """Answer the example that the model was logged with, by the same code that answers a request."""
    if example is None:
        _log.info("the model was logged without an input example: nothing to verify it by")
        return
    started = time.monotonic()
    try:
        model.answer(example.read_bytes(), JSON)
    except ApiError as error:
        raise StartError(INPUT_EXAMPLE_FAILED, f"the input example was refused: {error.message}") from None
    except OSError as error:
        raise StartError(INPUT_EXAMPLE_FAILED, f"the input example cannot be read: {type(error).__name__}") from None
    except ModelError as error:
        cause = error.__cause__ or error
        _log_traceback("the model failed on its own input example", cause)
        raise StartError(INPUT_EXAMPLE_FAILED, f"the model failed on its own input example: {_name(cause)}") from None
    _log.info("input example answered", extra={"fields": {"seconds": round(time.monotonic() - started, 3)}})


def _marking_model_errors(predict: Callable[..., Any]) -> Callable[..., Any]:
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


def _name(error: BaseException) -> str:
    text = one_line(str(error), 800)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _log_traceback(message: str, error: BaseException) -> None:
    """Log the traceback of the user's own model, for the person who has to mend it; the only place that does."""
    text = "".join(traceback.format_exception(error))
    _log.error(message, extra={"fields": {"traceback": text[-TRACEBACK_LIMIT:]}})
