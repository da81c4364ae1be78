"""The HTTP interface of one model as a bare ASGI app: a table of routes and a few lines around it.

Everything that touches the model runs in a thread, so that health and metrics answer during a slow prediction.
"""

import asyncio
import functools
import importlib.metadata
import logging
import os
import time
import traceback
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mlflow.version import VERSION as MLFLOW_VERSION

from modelvane_serving import metrics as prometheus
from modelvane_serving.decoding import media_type
from modelvane_serving.encoding import to_json
from modelvane_serving.errors import ApiError
from modelvane_serving.inference_protocol import decode_infer, describe_schema, encode_infer
from modelvane_serving.messages import ClientGoneError, Message, Receive, Request, Response, Send
from modelvane_serving.model import Model, ModelError

_log = logging.getLogger(__name__)

SERVER_VERSION: Final = importlib.metadata.version("modelvane-serving")
Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, kw_only=True)
class Route:
    """What answers a path. The template names it in the metrics."""

    template: str
    method: str
    handler: Handler
    predicts: bool = False


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What is served, as the answers name it."""

    name: str
    version: str
    platform: str
    info: dict[str, Any]


class App:
    """The ASGI callable. `draining` is set by the server when the pod is asked to go."""

    def __init__(
        self,
        *,
        model: Model,
        identity: Identity,
        metrics: prometheus.Metrics,
        max_body_bytes: int,
        input_example: Path | None,
    ) -> None:
        self.draining = False
        self._model = model
        self._identity = identity
        self._metrics = metrics
        self._max_body_bytes = max_body_bytes
        self._input_example = input_example
        self._outputs = describe_schema(model.output_schema, "output")
        # asyncio's own default: enough for models that wait for something, and no queue behind a slow one.
        self._threads = ThreadPoolExecutor(min(32, (os.cpu_count() or 1) + 4), thread_name_prefix="predict")
        self._routes = self._build_routes()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(method=scope["method"], path=scope["path"], headers=scope["headers"], receive=receive)
        route = self._match(request.path)
        started = time.perf_counter()
        if route is not None and route.predicts:
            with self._metrics.in_flight.track_inprogress():
                response = await self._answer(route, request)
            self._metrics.duration.observe(time.perf_counter() - started)
        else:
            response = await self._answer(route, request)
        # Counted before it is sent: who has an answer finds it counted.
        self._metrics.count(response.status, route.template if route is not None else "other")
        await response.send(send, close=self.draining)

    async def answer(self, request: Request) -> Response:
        """Answer a request that is not traffic, uncounted."""
        return await self._answer(self._match(request.path), request)

    def _build_routes(self) -> dict[str, Route]:
        routes = [
            Route(template="/invocations", method="POST", handler=self._invocations, predicts=True),
            Route(template="/ping", method="GET", handler=self._ping),
            Route(template="/health", method="GET", handler=self._ping),
            Route(template="/version", method="GET", handler=self._version),
            Route(template="/model-info", method="GET", handler=self._model_info),
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
            table[f"{path}/infer"] = Route(
                template=f"{template}/infer", method="POST", handler=self._infer, predicts=True
            )
        return table

    def _match(self, path: str) -> Route | None:
        return self._routes.get(path) or self._routes.get(path.rstrip("/"))

    async def _answer(self, route: Route | None, request: Request) -> Response:
        try:
            if route is None:
                raise self._unknown_path(request.path)
            if request.method != route.method and (request.method, route.method) != ("HEAD", "GET"):
                message = f"{route.template} takes {route.method}"
                error = ApiError(405, "MethodNotAllowed", message, expected=route.method, got=request.method)
                return error_response(error, [(b"allow", route.method.encode())])
            return await route.handler(request)
        except ApiError as error:
            if error.status >= 500:
                _log.error(error.message, extra={"fields": {"code": error.code}})
            return error_response(error)
        except ModelError as error:
            fields = {"error": error.error_type, "where": error.where}
            _log.error("the model failed on a request", extra={"fields": fields})
            return error_response(ApiError(500, "ModelError", f"the model failed: {error.error_type}"))
        except ClientGoneError:
            # Nobody reads it; the code, nginx's for this, is for the metrics.
            return error_response(ApiError(499, "ClientClosedRequest", "the connection was closed"))
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
            _log.error("a request failed", extra={"fields": {"error": type(error).__name__, "where": where}})
            return error_response(ApiError(500, "InternalError", "the server failed"))

    def _unknown_path(self, path: str) -> ApiError:
        if path.startswith("/v2/models/"):
            served = f"/v2/models/{self._identity.name}[/versions/{self._identity.version}]"
            return ApiError(404, "ModelNotFound", "no such model, version or operation here", expected=served)
        return ApiError(404, "NotFound", "there is nothing at this path")

    async def _in_thread(self, work: Callable[[], bytes]) -> bytes:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def _invocations(self, request: Request) -> Response:
        content_type = request.header(b"content-type")
        # Refused before the body is read.
        media_type(content_type)
        body = await request.body(self._max_body_bytes)
        return Response(body=await self._in_thread(functools.partial(self._model.answer, body, content_type)))

    async def _infer(self, request: Request) -> Response:
        body = await request.body(self._max_body_bytes)

        def infer() -> bytes:
            inference = decode_infer(body, self._model.spec)
            predictions = self._model.predict(inference.input)
            names = [output["name"] for output in self._outputs]
            return encode_infer(predictions, inference, (self._identity.name, self._identity.version), names)

        return Response(body=await self._in_thread(infer))

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
        return Response(body=to_json({"name": "modelvane", "version": SERVER_VERSION, "extensions": []}))

    async def _model_metadata(self, _request: Request) -> Response:
        metadata = {
            "name": self._identity.name,
            "versions": [self._identity.version],
            "platform": self._identity.platform,
            "inputs": describe_schema(self._model.spec.schema, "input"),
            "outputs": self._outputs,
        }
        return Response(body=to_json(metadata))

    async def _model_info(self, _request: Request) -> Response:
        return Response(body=to_json(self._identity.info))

    async def _send_input_example(self, _request: Request) -> Response:
        if self._input_example is None:
            raise ApiError(404, "NoInputExample", "the model was logged without an input example")
        return Response(body=await self._in_thread(self._input_example.read_bytes))

    async def _render_metrics(self, _request: Request) -> Response:
        body = await self._in_thread(self._metrics.render)
        return Response(body=body, content_type=prometheus.CONTENT_TYPE.encode())


def error_response(error: ApiError, headers: list[tuple[bytes, bytes]] | None = None) -> Response:
    """Write an error as the answer."""
    return Response(status=error.status, body=to_json(error.body()), headers=headers or [])
