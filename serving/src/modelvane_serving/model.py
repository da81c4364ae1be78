"""A model, loaded and verified, behind one call: a request's body becomes a job, jobs are run, each has its answer."""

import importlib
import logging
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from modelvane_serving.engines import Engine
from modelvane_serving.engines.errors import ModelError
from modelvane_serving.errors import ApiError
from modelvane_serving.failure import INPUT_EXAMPLE_FAILED, StartError, one_line
from modelvane_serving.formats.bodies import ARROW, JSON, media_type, parse_json_object
from modelvane_serving.formats.encoding import encode_predictions, to_json, to_plain
from modelvane_serving.formats.inference_protocol import InferRequest, decode_infer, encode_infer, table_of_tensors
from modelvane_serving.formats.tables import Table, concatenate, decode_table
from modelvane_serving.messages import Response
from modelvane_serving.signature import Signature

_log = logging.getLogger(__name__)

TRACEBACK_LIMIT: Final = 8000


@dataclass(slots=True)
class Job:
    """One request on its way through the model: a clean table, or what only the complete path can decode."""

    encode: Callable[[Any], Response]
    table: Table | None = None
    # Decodes and predicts by the complete path, which takes longer than the event loop may be held.
    complete: Callable[[], Any] | None = None
    # The answer, or why there is none.
    outcome: Response | Exception | None = None

    @property
    def rows(self) -> int:
        """How many rows are known to be asked for."""
        return self.table.rows if self.table is not None else 1


class Model:
    """The loaded model."""

    def __init__(self, engine: Engine, artifacts: Path, signature: Signature | None, identity: tuple[str, str]) -> None:
        self.engine = engine
        self.signature = signature
        # The model checks its input itself, by the type hints of its `predict`.
        self.has_type_hints = False
        self._artifacts = artifacts
        self._identity = identity
        outputs = signature.outputs if signature is not None else None
        self._output_names = [field.name or f"output-{number}" for number, field in enumerate(outputs or ())]
        self._lock = threading.Lock()
        self._complete: Any = None
        if engine.pyfunc is not None:
            # MLflow is here already.
            self.has_type_hints = self._load_complete().spec.from_type_hint

    def invocation(self, body: bytes, content_type: str | None, accept: str | None = None) -> Job:
        """Read a body of /invocations. Raises ApiError."""
        kind = media_type(content_type)
        if kind == ARROW or (accept is not None and ARROW in accept):
            return self._arrow_invocation(body, content_type, kind, accept)
        engine = self.engine
        if kind == JSON and engine.plan is not None:
            parsed = parse_json_object(body)
            if len(parsed) == 1:
                ((name, value),) = parsed.items()
                table = decode_table(name, value, engine.plan)
                if table is not None:
                    return Job(_encode_json, table)
        return self._complete_invocation(body, content_type, _encode_json)

    def infer(self, body: bytes, header_length: str | None) -> Job:
        """Read a body of an infer request. Raises ApiError."""
        request = decode_infer(body, header_length)

        def encode(predictions: Any) -> Response:
            return encode_infer(predictions, request, self._identity, self._output_names)

        plan = self.engine.plan
        if plan is not None and request.parameters is None:
            table = table_of_tensors(request.tensors, plan)
            if table is not None:
                return Job(encode, table)
        return Job(encode, complete=lambda: self._complete_infer(request))

    def run(self, jobs: Sequence[Job]) -> None:
        """Answer jobs; each gets its outcome. One that fails takes no other with it."""
        tables = [job for job in jobs if job.table is not None] if self.engine.row_wise else []
        if len(tables) > 1:
            self._run_merged(tables)
        for job in jobs:
            if job.outcome is None:
                self._run_one(job)

    def answer(self, job: Job) -> Response:
        """Answer one job. Raises ApiError and ModelError."""
        self.run([job])
        if isinstance(job.outcome, Exception):
            raise job.outcome
        if job.outcome is None:
            raise RuntimeError("the job was not run")
        return job.outcome

    def _run_merged(self, jobs: list[Job]) -> None:
        """Answer many tables by one call; if that fails none has an outcome."""
        table = concatenate([job.table for job in jobs if job.table is not None])
        try:
            predictions = self.engine.answer(table)
        except Exception:
            # One of them is at fault: alone, each finds out for itself.
            return
        if getattr(predictions, "shape", (0,))[0] != table.rows:
            return
        start = 0
        for job in jobs:
            end = start + job.rows
            self._encode(job, predictions[start:end])
            start = end

    def _run_one(self, job: Job) -> None:
        try:
            if job.table is not None:
                predictions = self.engine.answer(job.table)
            else:
                predictions = job.complete() if job.complete is not None else None
        except (ApiError, ModelError) as error:
            job.outcome = error
        except Exception as error:
            wrapped = ModelError(error)
            wrapped.__cause__ = error
            job.outcome = wrapped
        else:
            self._encode(job, predictions)

    @staticmethod
    def _encode(job: Job, predictions: Any) -> None:
        try:
            job.outcome = job.encode(predictions)
        except ApiError as error:
            job.outcome = error
        except Exception as error:
            _log.error("an answer was not encoded", extra={"fields": {"error": type(error).__name__}})
            job.outcome = ApiError(500, "UnencodableOutput", "the model's answer cannot be written")

    def _complete_invocation(self, body: bytes, content_type: str | None, encode: Callable[[Any], Response]) -> Job:
        job = Job(encode)

        def complete() -> Any:
            path = self._load_complete()
            request = path.decode(body, content_type)
            if not request.enveloped:
                job.encode = _encode_bare
            return path.predict(request)

        job.complete = complete
        return job

    def _arrow_invocation(self, body: bytes, content_type: str | None, kind: str, accept: str | None) -> Job:
        """Read or answer Arrow; its library is imported by the first request that needs it."""
        arrow: Any = importlib.import_module("modelvane_serving.formats.arrow")
        encode = arrow.encoder(self._output_names) if arrow.is_wanted(kind, accept) else _encode_json
        if kind != ARROW:
            return self._complete_invocation(body, content_type, encode)
        decoded = arrow.decode(body)
        plan = self.engine.plan
        table = arrow.to_table(decoded, plan) if plan is not None else None
        if plan is not None and table is not None:
            return Job(encode, table)

        def complete() -> Any:
            path = self._load_complete()
            return path.predict(path.decode_frame(arrow.to_frame(decoded)))

        return Job(encode, complete=complete)

    def _complete_infer(self, request: InferRequest) -> Any:
        path = self._load_complete()
        return path.predict(path.decode_tensors(request.tensors, request.parameters))

    def _load_complete(self) -> Any:
        with self._lock:
            if self._complete is None:
                complete: Any = importlib.import_module("modelvane_serving.formats.complete")
                self._complete = complete.CompletePath(self.engine, self._artifacts)
            return self._complete


def verify_input_example(model: Model, example: Path | None) -> None:
    """Answer the example that the model was logged with, by the same code that answers a request."""
    if example is None:
        _log.info("the model was logged without an input example: nothing to verify it by")
        return
    started = time.monotonic()
    try:
        model.answer(model.invocation(example.read_bytes(), JSON))
    except ApiError as error:
        raise StartError(INPUT_EXAMPLE_FAILED, f"the input example was refused: {error.message}") from None
    except OSError as error:
        raise StartError(INPUT_EXAMPLE_FAILED, f"the input example cannot be read: {type(error).__name__}") from None
    except ModelError as error:
        cause = error.__cause__ or error
        log_traceback("the model failed on its own input example", cause)
        message = f"the model failed on its own input example: {name_error(cause)}"
        raise StartError(INPUT_EXAMPLE_FAILED, message) from None
    _log.info("input example answered", extra={"fields": {"seconds": round(time.monotonic() - started, 3)}})


def name_error(error: BaseException) -> str:
    """Name an error of the model's own, for the people whose model it is."""
    text = one_line(str(error), 800)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def log_traceback(message: str, error: BaseException) -> None:
    """Log the traceback of the user's own model, for the person who has to mend it; the only place that does."""
    text = "".join(traceback.format_exception(error))
    _log.error(message, extra={"fields": {"traceback": text[-TRACEBACK_LIMIT:]}})


def _encode_json(predictions: Any) -> Response:
    return Response(body=encode_predictions(predictions))


def _encode_bare(predictions: Any) -> Response:
    return Response(body=to_json(to_plain(predictions)))
