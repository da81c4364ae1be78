"""Traces, sent by the real exporter to a receiver of OTLP over HTTP."""

import contextlib
import gzip
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from modelvane_serving.tracing import is_configured
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.serving.conftest import Fleet
from tests.serving.processes import Server

TRACE = "0af7651916cd43dd8448eb211c80319c"


@contextlib.contextmanager
def receiver() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    received: list[ExportTraceServiceRequest] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            received.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_prediction_joins_the_trace_of_its_caller(fleet: Fleet, start: Callable[..., Server]) -> None:
    with receiver() as (url, received):
        server = start(fleet.root / "workbench", OTEL_EXPORTER_OTLP_ENDPOINT=url, OTEL_SERVICE_NAME="shop").wait_ready()
        traceparent = f"00-{TRACE}-b7ad6b7169203331-01"
        assert server.post("/invocations", {"inputs": {"x": [1.0]}}, traceparent=traceparent).status_code == 200
        assert server.post("/invocations", {"inputs": {"x": ["secret"]}}, traceparent=traceparent).status_code == 400
        assert server.get("/ping").status_code == 200
        # What is left is sent before it ends.
        assert server.stop() == 0
    resources = [item for request in received for item in request.resource_spans]
    named = {pair.key: pair.value.string_value for item in resources for pair in item.resource.attributes}
    assert (named["service.name"], named["modelvane.model"], named["modelvane.version"]) == ("shop", "workbench", "3")
    spans = [span for item in resources for scope in item.scope_spans for span in scope.spans]
    assert [span.name for span in spans] == ["POST /invocations"] * 2
    assert {span.trace_id.hex() for span in spans} == {TRACE}
    statuses = [
        pair.value.int_value for span in spans for pair in span.attributes if pair.key == "http.response.status_code"
    ]
    assert statuses == [200, 400]
    assert b"secret" not in b"".join(request.SerializeToString() for request in received)


@pytest.mark.parametrize(
    ("env", "configured"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://a:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_opentelemetrys_own_variables_decide(env: dict[str, str], configured: bool) -> None:
    assert is_configured(env) is configured
