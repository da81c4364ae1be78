"""MLflow's own scoring server, unchanged, with what a rollout needs around it.

What it answers to a prediction is its own: formats, errors, speed. Around it is what it lacks: the probes' paths,
metrics that the operator's analysis reads, `/model-info` and `/input-example`, and a drain that callers notice.

It answers 400 where the model itself raises, as to a caller's mistake. That is counted as the 500 that it is: otherwise
a version that fails on every request would look as good as any.
"""

import asyncio
import contextlib
import functools
import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final

import mlflow.pyfunc
from mlflow.exceptions import MlflowException, RestException
from mlflow.pyfunc import PyFuncModel, scoring_server

from modelvane_serving import metrics as prometheus
from modelvane_serving.engines.pyfunc import CALLER_ERRORS
from modelvane_serving.errors import ApiError
from modelvane_serving.failure import INPUT_EXAMPLE_FAILED, MODEL_LOAD_FAILED, StartError, one_line
from modelvane_serving.messages import INVOCATIONS, JSON_TYPE, Message, Receive, Request, Response, Send
from modelvane_serving.model import log_traceback, name_error

_log = logging.getLogger(__name__)

RUNTIME: Final = "MLflow"
ENGINE: Final = "mlflow"
# What MLflow's server answers, as the metrics name it.
ROUTES: Final = frozenset({INVOCATIONS, "/ping", "/health", "/version"})
EXPLANATION_LIMIT: Final = 800

_failures: ContextVar[list[str]] = ContextVar("failures")
"""What the model raised while one request was answered. MLflow passes the context on to the thread that predicts."""


def load_model(artifacts: Path) -> PyFuncModel:
    """Load as MLflow's server does. This runs the model's own code, so anything may be raised."""
    # Flavors may behave differently when they serve; MLflow's server tells them only after it has loaded.
    os.environ["_MLFLOW_IS_IN_SERVING_ENVIRONMENT"] = "true"
    started = time.monotonic()
    try:
        model: PyFuncModel = mlflow.pyfunc.load_model(str(artifacts), suppress_warnings=True)
    except (Exception, SystemExit) as error:
        log_traceback("the model did not load", error)
        raise StartError(MODEL_LOAD_FAILED, f"the model did not load: {name_error(error)}") from None
    # MLflow warns of extra columns by name: those are the caller's.
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    model._predict_fn = _noting_failures(model._predict_fn)
    _log.info("model loaded", extra={"fields": {"seconds": round(time.monotonic() - started, 3)}})
    return model


class MlflowApp:
    """The ASGI callable. `draining` is set by the server when the pod is asked to go."""

    def __init__(
        self,
        *,
        model: PyFuncModel,
        info: Mapping[str, Any],
        metrics: prometheus.Metrics,
        input_example: Path | None,
    ) -> None:
        self.draining = False
        self._app = scoring_server.init(model)
        self._info = info
        self._metrics = metrics
        self._input_example = input_example
        # MLflow's predictions fill asyncio's own threads: what is asked meanwhile must not wait behind them.
        self._aside = ThreadPoolExecutor(1, thread_name_prefix="aside")
        self._own: dict[str, Callable[[], Response]] = {
            "/v2/health/live": lambda: _json(200, {"live": True}),
            "/v2/health/ready": lambda: _json(503 if self.draining else 200, {"ready": not self.draining}),
            "/model-info": lambda: _json(200, self._info),
            "/input-example": self._read_input_example,
            "/metrics": lambda: Response(body=metrics.render(), content_type=prometheus.CONTENT_TYPE.encode()),
        }

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope["path"]
        if path in self._own:
            response = await self._answer_own(scope["method"], path)
            self._metrics.count(response.status, path)
            await response.send(send, close=self.draining)
        elif path == INVOCATIONS:
            with self._metrics.in_flight.track_inprogress():
                await self._pass_on(scope, receive, send)
        else:
            await self._pass_on(scope, receive, send)

    async def answer(self, request: Request) -> Response:
        """Answer a request that is not traffic, uncounted."""
        if request.path in self._own:
            return await self._answer_own(request.method, request.path)
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "scheme": "http",
            "method": request.method,
            "path": request.path,
            "root_path": "",
            "query_string": b"",
            "headers": list(request.headers.items()),
        }
        status, body = 500, b""

        async def keep(message: Message) -> None:
            nonlocal status, body
            status = message.get("status", status)
            body += message.get("body", b"")

        # It answers before it raises.
        with contextlib.suppress(Exception):
            await self._app(scope, _whole_once(request.receive), keep)
        return Response(status=status, body=body)

    async def _pass_on(self, scope: Message, receive: Receive, send: Send) -> None:
        """Let MLflow answer, and count what it says before the caller can read it."""
        path = scope["path"] if scope["path"] in ROUTES else "other"
        started = time.perf_counter()
        failures: list[str] = []
        _failures.set(failures)
        answered = gone = False

        async def noticing() -> Message:
            nonlocal gone
            message = await receive()
            gone = gone or message["type"] == "http.disconnect"
            return message

        async def counting(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                # To a caller who closed the connection MLflow answers 500; nginx's code for it is for the metrics.
                self._count(500 if failures else 499 if gone else message["status"], path, started)
                if self.draining:
                    message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        try:
            await self._app(scope, noticing, counting)
        except Exception as error:
            # It has sent its 500. Not the error's words, which may repeat the caller's.
            if not gone:
                _log.error("a request failed", extra={"fields": {"error": type(error).__name__}})
        if not answered:
            self._count(499 if gone else 500, path, started)

    def _count(self, status: int, path: str, started: float) -> None:
        if path == INVOCATIONS:
            self._metrics.duration.observe(time.perf_counter() - started)
        self._metrics.count(status, path)

    async def _answer_own(self, method: str, path: str) -> Response:
        if method not in {"GET", "HEAD"}:
            error = ApiError(405, "MethodNotAllowed", f"{path} takes GET", expected="GET", got=method)
            return Response(status=405, body=_encode(error.body()), headers=((b"allow", b"GET"),))
        if path.startswith("/v2/health/"):
            return self._own[path]()
        return await asyncio.get_running_loop().run_in_executor(self._aside, self._own[path])

    def _read_input_example(self) -> Response:
        if self._input_example is None:
            error = ApiError(404, "NoInputExample", "the model was logged without an input example")
            return _json(404, error.body())
        return Response(body=self._input_example.read_bytes())


def verify_input_example(app: MlflowApp, example: Path | None) -> None:
    """Let the app answer the example that the model was logged with, as it will answer a request."""
    if example is None:
        _log.info("the model was logged without an input example: nothing to verify it by")
        return
    started = time.monotonic()
    try:
        body = example.read_bytes()
    except OSError as error:
        raise StartError(INPUT_EXAMPLE_FAILED, f"the input example cannot be read: {type(error).__name__}") from None

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    headers = {b"content-type": JSON_TYPE, b"content-length": b"%d" % len(body)}
    request = Request(method="POST", path=INVOCATIONS, headers=headers, receive=receive)
    response = asyncio.run(app.answer(request))
    if response.status != 200:
        said = f"status {response.status}: {_explain(response.body)}"
        raise StartError(INPUT_EXAMPLE_FAILED, f"the model was asked its own input example and answered {said}")
    _log.info("input example answered", extra={"fields": {"seconds": round(time.monotonic() - started, 3)}})


def _explain(body: bytes) -> str:
    """Take a sentence out of an error of MLflow's: the end of its traceback, which names the exception, if any."""
    try:
        told = json.loads(body)
        lines = str(told.get("stack_trace") or told["message"]).strip().splitlines()
    except (ValueError, KeyError, AttributeError):
        lines = [body.decode(errors="replace")]
    return one_line(lines[-1] if lines else "", EXPLANATION_LIMIT)


def _noting_failures(predict: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap the flavor's predict; `wraps` keeps its signature, which MLflow inspects for `params`.

    Below it an exception is the model's, above it MLflow's enforcement of the signature.
    """

    @functools.wraps(predict)
    def noting(*args: Any, **kwargs: Any) -> Any:
        try:
            return predict(*args, **kwargs)
        except (Exception, SystemExit) as error:
            refused = isinstance(error, MlflowException) and error.error_code in CALLER_ERRORS
            if not refused or isinstance(error, RestException):
                _failures.get([]).append(type(error).__name__)
            raise

    return noting


def _whole_once(receive: Receive) -> Receive:
    """Hand over the body once; after that nothing comes any more, as from a caller who waits for the answer."""
    done = False

    async def once() -> Message:
        nonlocal done
        if done:
            await asyncio.Event().wait()
        message = await receive()
        done = not message.get("more_body", False)
        return message

    return once


def _json(status: int, content: Mapping[str, Any]) -> Response:
    return Response(status=status, body=_encode(content))


def _encode(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()
