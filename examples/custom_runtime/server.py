"""A server of one's own, without any package: a linear model whose weights are a JSON file among the model's files.

It keeps the whole contract of docs/runtimes.md: a path for readiness and one for predictions is what it must have; the
header, the metrics, the input example and the words on its way out are what makes a rollout tell more.
"""

import json
import os
import signal
import ssl
import sys
import threading
import time
from bisect import bisect_left
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)
LONGEST_BODY = 16 * 1024 * 1024
LAST_SECONDS = 20.0
"""How long requests may still come and be answered after SIGTERM; Kubernetes kills after 30 s, 5 of which are over."""


class Model:
    """Adds up weighted inputs."""

    def __init__(self, folder: Path) -> None:
        # Where mlflow.pyfunc.log_model(artifacts={"weights": ...}) puts it.
        content = json.loads((folder / "artifacts" / "artifacts" / "weights.json").read_text())
        self.bias, self.weights = float(content["bias"]), {name: float(w) for name, w in content["weights"].items()}
        self.example = {"dataframe_records": [dict.fromkeys(self.weights, 1.0)]}

    def predict(self, body: Any) -> dict[str, list[float]]:
        """Answer the two forms of a table that this model takes."""
        if "dataframe_split" in body:
            table = body["dataframe_split"]
            rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
        else:
            rows = body["dataframe_records"]
        return {"predictions": [self.bias + sum(w * row[name] for name, w in self.weights.items()) for row in rows]}


class Figures:
    """What the operator's analysis reads, in its own names."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._codes: Counter[int] = Counter()
        self._buckets = [0] * (len(BUCKETS) + 1)
        self._seconds = 0.0
        self.in_flight = 0

    def count(self, code: int, seconds: float) -> None:
        """Count one answer to a prediction."""
        with self._lock:
            self._codes[code] += 1
            self._buckets[bisect_left(BUCKETS, seconds)] += 1
            self._seconds += seconds

    def render(self) -> str:
        """Write them as Prometheus reads them; the buckets are cumulative."""
        lines = ["# TYPE modelvane_requests_total counter", "# TYPE modelvane_request_duration_seconds histogram"]
        with self._lock:
            lines += [
                f'modelvane_requests_total{{code="{code}",path="/invocations"}} {count}'
                for code, count in sorted(self._codes.items())
            ]
            total = 0
            for bound, count in zip((*BUCKETS, "+Inf"), self._buckets, strict=True):
                total += count
                lines.append(f'modelvane_request_duration_seconds_bucket{{le="{bound}"}} {total}')
            lines.append(f"modelvane_request_duration_seconds_sum {self._seconds}")
            lines.append(f"modelvane_request_duration_seconds_count {total}")
        return "\n".join(lines) + "\n"


class Server(ThreadingHTTPServer):
    """Answers until SIGTERM, then asks callers to go elsewhere, and ends when none is left."""

    request_queue_size = 1024
    daemon_threads = True

    def __init__(self, port: int, model: Model) -> None:
        self.model, self.figures = model, Figures()
        self.version = os.environ.get("MODELVANE_MODEL_VERSION", "")
        self.draining, self.last_request = False, time.monotonic()
        super().__init__(("", port), Handler)
        certificate = os.environ.get("MODELVANE_TLS_CERT")
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, os.environ["MODELVANE_TLS_KEY"])
            # The handshake is for the thread of the connection, not for the one that takes connections.
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of callers who went away, and of probes that only knock."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def leave(self) -> None:
        """Go on answering until nobody has come for a second."""
        self.draining = True
        end = time.monotonic() + LAST_SECONDS
        while time.monotonic() < end and (self.figures.in_flight or time.monotonic() - self.last_request < 1):
            time.sleep(0.05)
        self.shutdown()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    wbufsize = 64 * 1024  # Head and body in one piece.
    timeout = 75  # Longer than callers keep an idle connection.

    def do_GET(self) -> None:
        """Answer what is asked besides predictions."""
        server = self.server
        if self.path == "/v2/health/ready":
            self._send(503 if server.draining else 200, {"ready": not server.draining})
        elif self.path == "/metrics":
            self._send(200, server.figures.render(), "text/plain; version=0.0.4")
        elif self.path == "/input-example":
            self._send(200, server.model.example)
        else:
            self._send(404, {"error": "there is nothing at this path"})

    def do_POST(self) -> None:
        """Predict."""
        started, figures = time.perf_counter(), self.server.figures
        self.server.last_request = time.monotonic()
        figures.in_flight += 1
        try:
            code, answer = self._predict()
            figures.count(code, time.perf_counter() - started)
            self._send(code, answer)
        finally:
            figures.in_flight -= 1

    def _predict(self) -> tuple[int, Any]:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LONGEST_BODY:
            self.close_connection = True  # What follows is not read.
            return 413, {"error": f"send a Content-Length of at most {LONGEST_BODY}"}
        body = self.rfile.read(int(length))
        if self.path != "/invocations":
            return 404, {"error": "predictions are at /invocations"}
        try:
            return 200, self.server.model.predict(json.loads(body))
        except (ValueError, TypeError, KeyError, AttributeError):
            names = ", ".join(self.server.model.weights)
            return 400, {"error": f"expected dataframe_split or dataframe_records with numbers for {names}"}

    def _send(self, code: int, content: Any, kind: str = "application/json") -> None:
        data = (content if isinstance(content, str) else json.dumps(content)).encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Modelvane-Model-Version", self.server.version)
        if self.server.draining or self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Write no line for each request."""


def main() -> None:
    """Load, listen, answer; say for the status of the ModelDeployment why it cannot."""
    try:
        model = Model(Path(os.environ.get("MODELVANE_MODEL_DIR", "/model")))
    except (OSError, ValueError, KeyError, AttributeError) as error:
        told = {"reason": "ModelLoadFailed", "message": f"weights.json cannot be used: {type(error).__name__}: {error}"}
        Path(os.environ.get("TERMINATION_LOG", "/dev/termination-log")).write_text(json.dumps(told))
        sys.exit(1)
    server = Server(int(os.environ.get("MODELVANE_PORT", "8080")), model)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.leave).start())
    server.serve_forever(poll_interval=0.1)


if __name__ == "__main__":
    main()
