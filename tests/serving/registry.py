"""A real MLflow server with a database and an artifact store of its own, and registries that lie."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import requests

from tests.serving.processes import environment, free_port

START_SECONDS = 180


@contextmanager
def mlflow_server(scratch: Path, destination: str | None = None, **settings: str) -> Iterator[str]:
    """Run `mlflow server` on SQLite, with proxied artifacts, and yield its address."""
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", url.rpartition(":")[2]),
        *("--backend-store-uri", f"sqlite:///{scratch}/mlflow.db", "--workers", "1"),
        *("--artifacts-destination", destination or f"{scratch}/artifacts"),
    ]
    variables = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true", **settings}
    with (scratch / "mlflow.log").open("wb") as log:
        # A group of its own: the server has workers, and they must not outlive it.
        process = subprocess.Popen(
            command, env=environment(scratch, variables), stdout=log, stderr=log, start_new_session=True
        )
    try:
        _wait(process, url, scratch / "mlflow.log")
        yield url
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            if requests.get(f"{url}/health", timeout=5).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.1)
    raise AssertionError(f"no answer in {START_SECONDS} s: {log.read_text()}")


class _Liar(BaseHTTPRequestHandler):
    """A registry whose list of files leads out of the directory: nobody's real one does, until somebody's does."""

    names: ClassVar[tuple[str, ...]]

    def do_GET(self) -> None:
        version = {"name": "m", "version": "1", "status": "READY", "source": "mlflow-artifacts:/m"}
        path = urlsplit(self.path).path
        if path.endswith("/model-versions/get"):
            self._answer({"model_version": version})
        elif path.endswith("/registered-models/get"):
            self._answer({"registered_model": {"name": "m"}})
        elif path.endswith("/model-versions/get-download-uri"):
            self._answer({"artifact_uri": version["source"]})
        elif path.endswith("/mlflow-artifacts/artifacts"):
            self._answer({"files": [{"path": name, "is_dir": False, "file_size": 3} for name in self.names]})
        else:
            self._answer("bad")

    def _answer(self, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Stay quiet."""


@contextmanager
def lying_registry(*names: str) -> Iterator[str]:
    """Serve a version whose files have these names."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Liar", (_Liar,), {"names": names}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
