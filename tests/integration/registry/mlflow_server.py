"""A real `mlflow server` with users, on a database that is given, which a test can kill."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import requests

from tests.integration.registry.postgres import free_port

START_SECONDS = 180
ADMIN = "admin"


class MlflowServer:
    """One server. Its admin is used by tests; users are made for the operator."""

    def __init__(self, folder: Path, database: str, **env: str) -> None:
        self._folder = folder
        self._port = free_port()
        self.database = database
        self._password = secrets.token_hex(12)
        self._process: subprocess.Popen[bytes] | None = None
        settings = folder / "auth.ini"
        settings.write_text(
            f"[mlflow]\ndefault_permission = READ\ndatabase_uri = {database}\nadmin_username = {ADMIN}\n"
            "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
            # Checking a password takes MLflow longer than all the rest of a request; a change of it is known at once.
            "auth_cache_ttl_seconds = 600\n"
        )
        self._env = {
            **os.environ,
            "MLFLOW_AUTH_CONFIG_PATH": str(settings),
            "MLFLOW_AUTH_ADMIN_USERNAME": ADMIN,
            "MLFLOW_AUTH_ADMIN_PASSWORD": self._password,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(16),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            **env,
        }

    @property
    def url(self) -> str:
        """Return where it listens."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def admin(self) -> dict[str, str]:
        """Return the admin's credentials, as MLflow's client and a ModelRegistry take them."""
        return {"MLFLOW_TRACKING_USERNAME": ADMIN, "MLFLOW_TRACKING_PASSWORD": self._password}

    def start(self) -> None:
        """Start it, also after it was killed, and wait until it answers."""
        command = [
            sys.executable, "-m", "mlflow", "server", "--port", str(self._port), "--workers", "1",
            "--app-name", "basic-auth", "--backend-store-uri", self.database,
            "--artifacts-destination", str(self._folder / "artifacts"),
        ]  # fmt: skip
        log = self._folder / "log"
        with log.open("ab") as output:
            # In a session of its own, so that its workers can be killed with it.
            self._process = subprocess.Popen(
                command, env=self._env, stdout=output, stderr=output, start_new_session=True, cwd=self._folder
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)

    def kill(self) -> None:
        """End it and all its workers without a word."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)

    def grant(self, username: str, model: str, permission: str) -> None:
        """Give a user a right on a model."""
        resource = {"resource_type": "registered_model", "resource_id": model}
        self.call("POST", "users/permissions/grant", api="3.0", username=username, permission=permission, **resource)

    def call(self, method: str, path: str, *, api: str = "2.0", **body: object) -> Any:
        """Call its REST API as the admin."""
        arguments: dict[str, Any] = {"params": body} if method == "GET" else {"json": body}
        answer = requests.request(
            method, f"{self.url}/api/{api}/mlflow/{path}", auth=(ADMIN, self._password), timeout=60, **arguments
        )
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False
