"""The HTTP interface of one model as a bare ASGI app: a table of routes and a few lines around it.

Whatever of a request may take long runs in a thread, so that health and metrics answer during a slow prediction.
"""

import asyncio
import importlib
import importlib.metadata
import logging
import os
import random
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from modelvane_serving import metrics as prometheus
from modelvane_serving.engines.errors import ModelError
from modelvane_serving.errors import ApiError
from modelvane_serving.formats.bodies import ARROW, media_type
from modelvane_serving.formats.encoding import to_json
from modelvane_serving.formats.inference_protocol import HEADER_LENGTH, describe_fields
from modelvane_serving.lanes import Admission, BatchLane, BatchSize, CallLane, Cost, Lane, too_many
from modelvane_serving.messages import INVOCATIONS, ClientGoneError, Message, Receive, Request, Response, Send, text_of
from modelvane_serving.model import Job, Model

_log = logging.getLogger(__name__)

SERVER_VERSION: Final = importlib.metadata.version("modelvane-serving")
# MLflow's own server answers its version, which clients compare; it is this package's dependency by that name.
MLFLOW_VERSION: Final = importlib.metadata.version("mlflow-skinny")
# What is larger takes longer to read than the event loop should be held: text is parsed, binary numbers lie there.
QUICK_TEXT: Final = 128 * 1024
QUICK_BINARY: Final = 1024 * 1024
# asyncio's own default for threads: enough for models that wait for something, and no queue behind a slow one.
THREADS: Final = min(32, (os.cpu_count() or 1) + 4)
Result = TypeVar("Result")
Handler = Callable[[Request], Awaitable[Response]]
Headers = Mapping[bytes, bytes]


class Reading(NamedTuple):
    """How the body of a prediction request is read, and up to which size that is quick."""

    read: Callable[[bytes], Job]
    quick: int


@dataclass(frozen=True, kw_only=True)
class Route:
    """What answers a path. The template names it in the metrics."""

    template: str
    method: str
    handler: Handler
    # Of a prediction: what its headers say of its body. Raises ApiError.
    reading: Callable[[Headers], Reading] | None = None


class AtOnce(NamedTuple):
    """A prediction request whose body is quick to read, before it has come."""

    route: Route
    read: Callable[[bytes], Job]


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What is served, as the answers name it."""

    name: str
    version: str
    platform: str
    info: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What requests may cost, and what is written of them. `cost` is that of a row-wise model, else None."""

    body_bytes: int
    batch_rows: int
    admission: Admission
    cost: Cost | None
    access_log_sample: float = 0.0


class App:
    """The ASGI callable. `draining` is set by the server when the pod is asked to go."""

    def __init__(
        self,
        *,
        model: Model,
        identity: Identity,
        metrics: prometheus.Metrics,
        options: Options,
        input_example: Path | None,
    ) -> None:
        self.draining = False
        self._model = model
        self._identity = identity
        self._metrics = metrics
        self._options = options
        self._input_example = input_example
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="read")
        signature = model.signature
        self._inputs = describe_fields(signature.inputs if signature is not None else None, "input")
        self._outputs = describe_fields(signature.outputs if signature is not None else None, "output")
        self._calls = CallLane(model.run, options.admission, THREADS, metrics.batch_rows.observe)
        # Tables of a model whose rows are independent; everything else is a call of its own.
        self._tables: Lane = self._calls
        if options.cost is not None:
            size = BatchSize(rows=options.batch_rows, cost=options.cost)
            self._tables = BatchLane(model.run, options.admission, size, metrics.batch_rows.observe)
        self._routes = self._build_routes()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started = time.perf_counter()
        request = Request(method=scope["method"], path=scope["path"], headers=dict(scope["headers"]), receive=receive)
        route = self._match(request.path)
        if route is not None and route.reading is not None:
            self._metrics.in_flight.inc()
            response = await self._answer(route, request)
            self._account_prediction(route, response, started)
        else:
            response = await self._answer(route, request)
            self._count(route, response)
        await response.send(send, close=self.draining)

    def recognize(self, method: bytes, path: bytes, headers: Headers, length: int) -> AtOnce | None:
        """Tell by its head whether a request can be answered at once; None is "by ASGI"."""
        route = self._routes.get(path.decode("latin-1"))
        if route is None or route.reading is None or method != b"POST":
            return None
        try:
            reading = route.reading(headers)
        except ApiError:
            return None
        return AtOnce(route, reading.read) if length <= min(reading.quick, self._options.body_bytes) else None

    def answer_at_once(
        self, asked: AtOnce, body: bytes, send: Callable[[Response, bool], None], started: float
    ) -> None:
        """Answer a request that was recognized, now that its body is whole, beside ASGI; its head came at `started`.

        It is the way of most requests: there is no task for it and nothing to be awaited. `send` takes whether to
        close the connection.
        """
        self._metrics.in_flight.inc()

        def answer(response: Response) -> None:
            self._account_prediction(asked.route, response, started)
            send(response, self.draining)

        def told(error: ApiError | None) -> None:
            outcome = error or job.outcome or RuntimeError("the job was not run")
            answer(outcome if isinstance(outcome, Response) else self._refuse(outcome))

        seconds = self._tables.try_again_in()
        if seconds is not None:
            answer(_turn_away(seconds))
            return
        try:
            job = asked.read(body)
            self._lane(job).submit(job, told)
        except Exception as error:
            answer(self._refuse(error))

    async def answer(self, request: Request) -> Response:
        """Answer a request that is not traffic, uncounted."""
        return await self._answer(self._match(request.path), request)

    def _build_routes(self) -> dict[str, Route]:
        routes = [
            self._prediction(INVOCATIONS, self._read_invocation),
            Route(template="/ping", method="GET", handler=self._ping),
            Route(template="/health", method="GET", handler=self._ping),
            Route(template="/version", method="GET", handler=self._version),
            Route(template="/model-info", method="GET", handler=self._model_info),
            Route(template="/openapi.json", method="GET", handler=self._openapi),
            Route(template="/input-example", method="GET", handler=self._send_input_example),
            Route(template="/metrics", method="GET", handler=self._render_metrics),
            Route(template="/v2", method="GET", handler=self._server_metadata),
            Route(template="/v2/health/live", method="GET", handler=self._live),
            Route(template="/v2/health/ready", method="GET", handler=self._ready),
        ]
        table = {route.template: route for route in routes}
        # A model's name may hold any character, so its paths are whole keys rather than patterns.
        for template, path in (
            ("/v2/models/{model}", f"/v2/models/{self._identity.name}"),
            (
                "/v2/models/{model}/versions/{version}",
                f"/v2/models/{self._identity.name}/versions/{self._identity.version}",
            ),
        ):
            table[path] = Route(template=template, method="GET", handler=self._model_metadata)
            table[f"{path}/ready"] = Route(template=f"{template}/ready", method="GET", handler=self._model_ready)
            table[f"{path}/infer"] = self._prediction(f"{template}/infer", self._read_infer)
        return table

    def _prediction(self, template: str, reading: Callable[[Headers], Reading]) -> Route:
        async def handler(request: Request) -> Response:
            return await self._predict(reading(request.headers), request)

        return Route(template=template, method="POST", handler=handler, reading=reading)

    def _match(self, path: str) -> Route | None:
        return self._routes.get(path) or self._routes.get(path.rstrip("/"))

    async def _answer(self, route: Route | None, request: Request) -> Response:
        try:
            if route is None:
                raise self._unknown_path(request.path)
            if request.method != route.method and (request.method, route.method) != ("HEAD", "GET"):
                message = f"{route.template} takes {route.method}"
                error = ApiError(405, "MethodNotAllowed", message, expected=route.method, got=request.method)
                return error_response(error, ((b"allow", route.method.encode()),))
            return await route.handler(request)
        except Exception as error:
            return self._refuse(error)

    @staticmethod
    def _refuse(error: Exception) -> Response:
        """Return the answer to a request that has none, and log what is not the caller's mistake."""
        if isinstance(error, ApiError):
            if error.status >= 500:
                _log.error(error.message, extra={"fields": {"code": error.code}})
            return error_response(error)
        if isinstance(error, ModelError):
            fields = {"error": error.error_type, "where": error.where}
            _log.error("the model failed on a request", extra={"fields": fields})
            return error_response(ApiError(500, "ModelError", f"the model failed: {error.error_type}"))
        if isinstance(error, ClientGoneError):
            # Nobody reads it; the code, nginx's for this, is for the metrics.
            return error_response(ApiError(499, "ClientClosedRequest", "the connection was closed"))
        frames = traceback.extract_tb(error.__traceback__)
        where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
        _log.error("a request failed", extra={"fields": {"error": type(error).__name__, "where": where}})
        return error_response(ApiError(500, "InternalError", "the server failed"))

    def _account_prediction(self, route: Route, response: Response, started: float) -> None:
        """Count it before it is sent: who has an answer finds it counted."""
        seconds = time.perf_counter() - started
        self._metrics.in_flight.dec()
        self._metrics.duration.observe(seconds)
        self._count(route, response)
        if self._options.access_log_sample:
            self._log_access(route, response, seconds)

    def _count(self, route: Route | None, response: Response) -> None:
        self._metrics.count(response.status, route.template if route is not None else "other")
        if response.error is not None:
            self._metrics.count_error(response.error)

    def _unknown_path(self, path: str) -> ApiError:
        if path.startswith("/v2/models/"):
            served = f"/v2/models/{self._identity.name}[/versions/{self._identity.version}]"
            return ApiError(404, "ModelNotFound", "no such model, version or operation here", expected=served)
        return ApiError(404, "NotFound", "there is nothing at this path")

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _read_invocation(self, headers: Headers) -> Reading:
        content_type, accept = text_of(headers, b"content-type"), text_of(headers, b"accept")
        quick = QUICK_BINARY if media_type(content_type) == ARROW else QUICK_TEXT
        return Reading(lambda body: self._model.invocation(body, content_type, accept), quick)

    def _read_infer(self, headers: Headers) -> Reading:
        header_length = text_of(headers, HEADER_LENGTH)
        quick = QUICK_TEXT if header_length is None else QUICK_BINARY
        return Reading(lambda body: self._model.infer(body, header_length), quick)

    async def _predict(self, reading: Reading, request: Request) -> Response:
        body = await request.body(self._options.body_bytes)
        self._tables.admit()
        if len(body) > reading.quick:
            return await self._run(await self._in_thread(lambda: reading.read(body)))
        return await self._run(reading.read(body))

    def _lane(self, job: Job) -> Lane:
        return self._tables if job.table is not None else self._calls

    async def _run(self, job: Job) -> Response:
        await self._lane(job).answer(job)
        outcome = job.outcome
        if type(outcome) is Response:
            return outcome
        raise outcome if isinstance(outcome, Exception) else RuntimeError("the job was not run")

    def _log_access(self, route: Route, response: Response, seconds: float) -> None:
        """Log a part of the requests; never what was in them."""
        if response.status >= 500 or random.random() < self._options.access_log_sample:  # noqa: S311 - a sample
            fields = {"path": route.template, "status": response.status, "seconds": round(seconds, 6)}
            _log.info("request", extra={"fields": {**fields, "bytes": len(response.body)}})

    async def _ping(self, _request: Request) -> Response:
        # The body is what MLflow's scoring server answers.
        return Response(status=503 if self.draining else 200, body=b"\n")

    async def _version(self, _request: Request) -> Response:
        return Response(body=MLFLOW_VERSION.encode(), content_type=b"text/plain; charset=utf-8")

    async def _live(self, _request: Request) -> Response:
        return Response(body=b'{"live":true}')

    async def _ready(self, _request: Request) -> Response:
        ready = not self.draining
        return Response(status=200 if ready else 503, body=to_json({"ready": ready}))

    async def _model_ready(self, _request: Request) -> Response:
        ready = not self.draining
        body = to_json({"name": self._identity.name, "ready": ready})
        return Response(status=200 if ready else 503, body=body)

    async def _server_metadata(self, _request: Request) -> Response:
        return Response(
            body=to_json({"name": "modelvane", "version": SERVER_VERSION, "extensions": ["binary_tensor_data"]})
        )

    async def _model_metadata(self, _request: Request) -> Response:
        metadata = {
            "name": self._identity.name,
            "versions": [self._identity.version],
            "platform": self._identity.platform,
            "inputs": self._inputs,
            "outputs": self._outputs,
        }
        return Response(body=to_json(metadata))

    async def _model_info(self, _request: Request) -> Response:
        return Response(body=to_json(self._identity.info))

    async def _send_input_example(self, _request: Request) -> Response:
        if self._input_example is None:
            raise ApiError(404, "NoInputExample", "the model was logged without an input example")
        return Response(body=await self._in_thread(self._input_example.read_bytes))

    async def _openapi(self, _request: Request) -> Response:
        return Response(body=await self._in_thread(self._describe_api))

    def _describe_api(self) -> bytes:
        # Few ask for it.
        openapi: Any = importlib.import_module("modelvane_serving.formats.openapi")
        identity, hints = self._identity, self._model.has_type_hints
        return to_json(openapi.describe(identity.name, identity.version, self._model.signature, from_type_hint=hints))

    async def _render_metrics(self, _request: Request) -> Response:
        self._metrics.waiting.set(self._calls.depth + (self._tables.depth if self._tables is not self._calls else 0))
        body = await self._in_thread(self._metrics.render)
        return Response(body=body, content_type=prometheus.CONTENT_TYPE.encode())


@lru_cache(maxsize=128)
def _turn_away(seconds: int) -> Response:
    """Return the same answer each time: under overload it is the most frequent one, and must cost little."""
    return error_response(too_many(seconds))


def error_response(error: ApiError, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Response:
    """Write an error as the answer."""
    if error.retry_after is not None:
        headers = (*headers, (b"retry-after", b"%d" % error.retry_after))
    return Response(status=error.status, body=to_json(error.body()), headers=headers, error=error.code)
