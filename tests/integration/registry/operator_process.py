"""The operator as a process beside the test, on the cluster that KUBECONFIG names and for one namespace."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from tests.integration.registry.postgres import free_port

START_SECONDS = 60


class Operator:
    """One process. It can be killed and started again."""

    def __init__(self, folder: Path, namespace: str, serving_image: str, **env: str) -> None:
        self._log = folder / "operator.log"
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._env = {
            **os.environ,
            "MODELVANE_NAMESPACES": namespace,
            "MODELVANE_LEADER_ELECTION": "false",
            "MODELVANE_HTTP_PORT": str(self._port),
            "MODELVANE_SERVING_IMAGE": serving_image,
            "POD_NAMESPACE": namespace,
            **env,
        }

    @property
    def url(self) -> str:
        """Return where it answers probes and shows its metrics."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it and wait until it says that it works."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "modelvane"], env=self._env, stdout=log, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.1)

    def kill(self) -> None:
        """End it without a word."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(10)

    def log(self) -> str:
        """Return all that it has written."""
        return self._log.read_text()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/healthz", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False
