"""Starts the serving runtime as Kubernetes would: a process with an environment, reached over HTTP."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

START_SECONDS = 300


def environment(scratch: Path, extra: dict[str, str]) -> dict[str, str]:
    """Build the environment of a pod: little but what is given. Byte code is there, as it is in an image."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "MODELVANE_TERMINATION_LOG": str(scratch / "termination-log"),
        **extra,
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """A running `modelvane-serving serve`."""

    model_dir: Path
    port: int
    scratch: Path
    process: subprocess.Popen[bytes]
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    host: str = "127.0.0.1"

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def log(self) -> str:
        return (self.scratch / "stderr").read_text()

    def get(self, path: str) -> requests.Response:
        return requests.get(self.url + path, timeout=30)

    def post(self, path: str, body: Any, **headers: str) -> requests.Response:
        data = body if isinstance(body, bytes | str) else json.dumps(body)
        return requests.post(self.url + path, data=data, headers={**self.headers, **headers}, timeout=30)

    def predict(self, **body: Any) -> Any:
        response = self.post("/invocations", body)
        assert response.status_code == 200, response.text
        return response.json()["predictions"]

    def metric(self, sample: str) -> float:
        """Add up the samples whose name and labels match."""
        found = re.findall(rf"^{sample} (\S+)$", self.get("/metrics").text, re.MULTILINE)
        return sum(float(value) for value in found)

    def wait_ready(self) -> "Server":
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log
            try:
                if self.get("/v2/health/ready").status_code == 200:
                    return self
            except requests.ConnectionError:
                time.sleep(0.05)
        raise AssertionError(f"not ready in {START_SECONDS} s: {self.log}")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def failure(self) -> dict[str, str]:
        """Wait for the end of a server that cannot start, and return what it wrote for Kubernetes."""
        assert self.process.wait(START_SECONDS) == 1, self.log
        termination: dict[str, str] = json.loads((self.scratch / "termination-log").read_text())
        return termination


def start(model_dir: Path, **settings: str) -> Server:
    """Start without waiting."""
    scratch = Path(tempfile.mkdtemp(prefix="serve-", dir=model_dir.parent))
    host, port = settings.get("MODELVANE_HOST", "127.0.0.1"), settings.get("MODELVANE_PORT") or str(free_port())
    variables = {
        "MODELVANE_MODEL_DIR": str(model_dir),
        "MODELVANE_MODEL_NAME": model_dir.name,
        "MODELVANE_MODEL_VERSION": "3",
        "MODELVANE_REVISION": "v3-0a1b2c3d",
        "MODELVANE_HOST": host,
        "MODELVANE_PORT": port,
        "MODELVANE_DRAIN_SECONDS": "0",
        # Shared by the servers of one folder of models: each model is compiled once.
        "MODELVANE_COMPILED_DIR": str(model_dir.parent / "compiled"),
        # Several are compiled at once here, and the first time without byte code.
        "MODELVANE_COMPILE_SECONDS": "300",
        **settings,
    }
    with (scratch / "stderr").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "modelvane_serving", "serve"],
            env=environment(scratch, variables),
            stdout=log,
            stderr=log,
        )
    # What is no port at all is reached nowhere: a test of what the program says to it.
    number = int(port) if port.isdigit() else 0
    return Server(model_dir=model_dir, port=number, scratch=scratch, process=process, host=host)


# What the fixture `start` returns: `start`, with an end.
Start = Callable[..., Server]
