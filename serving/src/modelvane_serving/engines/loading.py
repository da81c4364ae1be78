"""Which engine serves a model, and why not a faster one."""

import importlib
import logging
import time
from dataclasses import dataclass
from typing import Any, Final

from modelvane_serving.engines import NATIVE, PYFUNC, Engine
from modelvane_serving.engines.compiled import NotCompiledError, compile_engine
from modelvane_serving.engines.flavors import NotNativeError, flavor_of
from modelvane_serving.engines.native import native_engine
from modelvane_serving.engines.onnx_flavor import is_onnx, onnx_engine
from modelvane_serving.failure import MODEL_LOAD_FAILED, StartError
from modelvane_serving.fetched import FetchedModel
from modelvane_serving.formats.tables import TablePlan, plan_table
from modelvane_serving.model import log_traceback, name_error
from modelvane_serving.signature import Signature

_log = logging.getLogger(__name__)

AUTO: Final = "Auto"
CHOICES: Final = (AUTO, "Native", "Pyfunc")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What the user chose, and what there is."""

    engine: str
    threads: int
    compile_seconds: float


def load_engine(fetched: FetchedModel, signature: Signature | None, choice: Choice) -> Engine:
    """Load the model by the fastest engine that answers as MLflow does. Raises StartError when none loads it."""
    started = time.monotonic()
    plan = None if fetched.mlmodel.has_type_hints else plan_table(signature)
    engine = _load_below_pyfunc(fetched, signature, plan, choice)
    if not isinstance(engine, Engine):
        engine = _load_pyfunc(fetched, plan, engine)
    fields = {"engine": engine.name, "reason": engine.reason, "seconds": round(time.monotonic() - started, 3)}
    _log.info("model loaded", extra={"fields": {key: value for key, value in fields.items() if value is not None}})
    return engine


def is_plain_flavor(fetched: FetchedModel, engine: str) -> bool:
    """Tell whether the model is a flavor's object that is loaded without MLflow."""
    if engine.lower() == PYFUNC:
        return False
    try:
        flavor_of(fetched.mlmodel)
    except NotNativeError:
        return False
    return True


def _load_below_pyfunc(
    fetched: FetchedModel, signature: Signature | None, plan: TablePlan | None, choice: Choice
) -> Engine | str:
    """Return an engine, or why it has to be pyfunc."""
    if choice.engine.lower() == PYFUNC:
        return "runtime.engine is Pyfunc"
    if plan is None or signature is None:
        return "the signature is not a table of plain columns"
    if any(not field.required for field in signature.inputs or ()):
        return "some columns are optional"
    reason: str | None = None
    try:
        if is_onnx(fetched.mlmodel):
            return onnx_engine(fetched.mlmodel, fetched.artifacts, plan, threads=choice.threads)
        flavor_of(fetched.mlmodel)
        if choice.engine == AUTO:
            try:
                return compile_engine(
                    fetched.artifacts, fetched.digest, plan, threads=choice.threads, seconds=choice.compile_seconds
                )
            except NotCompiledError as error:
                reason = f"not compiled: {error}"
        return native_engine(fetched.mlmodel, fetched.artifacts, plan, threads=choice.threads, reason=reason)
    except NotNativeError as error:
        return str(error)
    except Exception as error:
        # What is wrong with the model MLflow will say, if it is not just this way of loading it.
        return f"not loaded as {NATIVE}: {type(error).__name__}"


def _load_pyfunc(fetched: FetchedModel, plan: TablePlan | None, reason: str) -> Engine:
    pyfunc: Any = importlib.import_module("modelvane_serving.engines.pyfunc")
    try:
        engine: Engine = pyfunc.pyfunc_engine(fetched.mlmodel, fetched.artifacts, plan, reason=reason)
    except (Exception, SystemExit) as error:
        log_traceback("the model did not load", error)
        raise StartError(MODEL_LOAD_FAILED, f"the model did not load: {name_error(error)}") from None
    return engine
