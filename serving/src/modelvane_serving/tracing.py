"""OpenTelemetry traces, when an endpoint for them is configured by OpenTelemetry's own variables.

One span for each prediction, which joins the trace that the caller's `traceparent` names. Where no endpoint is set,
nothing of it is imported or in the way of a request.
"""

import importlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from modelvane_serving.messages import Message, Receive, Send

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def is_configured(env: Mapping[str, str]) -> bool:
    """Tell whether traces are to be sent anywhere."""
    disabled = env.get("OTEL_SDK_DISABLED", "").lower() == "true" or env.get("OTEL_TRACES_EXPORTER") == "none"
    return not disabled and any(env.get(name) for name in ENDPOINTS)


class TracedApp:
    """An ASGI application with a span around each prediction."""

    def __init__(self, app: Any, *, model: str, version: str, revision: str) -> None:
        trace = importlib.import_module("opentelemetry.trace")
        sdk = importlib.import_module("opentelemetry.sdk.trace")
        export = importlib.import_module("opentelemetry.sdk.trace.export")
        resources = importlib.import_module("opentelemetry.sdk.resources")
        exporter = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
        # What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say goes before this.
        resource = resources.Resource.create().merge(
            resources.Resource({"modelvane.model": model, "modelvane.version": version, "modelvane.revision": revision})
        )
        self._provider = sdk.TracerProvider(resource=resource)
        # Sends from a thread of its own, and drops spans rather than hold up requests when the endpoint is slow.
        self._provider.add_span_processor(export.BatchSpanProcessor(exporter.OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("modelvane_serving")
        self._extract: Callable[[Any], Any] = importlib.import_module("opentelemetry.propagate").extract
        self._server_kind = trace.SpanKind.SERVER
        self._failed = trace.Status(trace.StatusCode.ERROR)
        self._app = app
        self._attributes = {"modelvane.model": model, "modelvane.version": version}

    @property
    def draining(self) -> bool:
        """Whether the pod is about to go."""
        return bool(self._app.draining)

    @draining.setter
    def draining(self, value: bool) -> None:
        self._app.draining = value

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, and note how long it took."""
        name = "/invocations" if scope["path"] == "/invocations" else "/infer"
        if not scope["path"].endswith(name):
            await self._app(scope, receive, send)
            return
        carrier = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        attributes = {**self._attributes, "http.request.method": scope["method"], "http.route": name}
        with self._tracer.start_as_current_span(
            f"{scope['method']} {name}", self._extract(carrier), self._server_kind, attributes
        ) as span:

            async def noting_status(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= 500:
                        span.set_status(self._failed)
                await send(message)

            await self._app(scope, receive, noting_status)

    def close(self) -> None:
        """Send what has not been sent."""
        self._provider.shutdown()
