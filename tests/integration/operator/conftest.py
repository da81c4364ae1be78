"""A namespace on the cluster that KUBECONFIG names, and real MLflow servers beside it."""

import asyncio
import base64
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes.aio.client import CoreV1Api, V1Namespace, V1ObjectMeta
from modelvane.cluster.kube import connect

from tests.integration.registry import postgres
from tests.integration.registry.mlflow_server import MlflowServer


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@pytest.fixture(scope="session")
def namespace() -> Iterator[str]:
    """Make a namespace for the whole run, and delete it."""
    name = f"integration-{uuid.uuid4().hex[:8]}"

    async def change(verb: str) -> None:
        client = await connect()
        api = CoreV1Api(client)
        if verb == "create":
            await api.create_namespace(V1Namespace(metadata=V1ObjectMeta(name=name)))
        else:
            await api.delete_namespace(name)
        await client.close()  # type: ignore[no-untyped-call]

    asyncio.run(change("create"))
    yield name
    asyncio.run(change("delete"))


@pytest.fixture(scope="session")
def mlflow_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a real MLflow server on SQLite."""
    folder: Path = tmp_path_factory.mktemp("mlflow")
    port = _free_port()
    command = [
        sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{folder}/db", "--artifacts-destination", str(folder),
    ]  # fmt: skip
    env = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, env=env, stdout=log, stderr=log)
    uri = f"http://127.0.0.1:{port}"
    try:
        _wait(uri, server, folder / "log")
        yield uri
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture(scope="session")
def telling_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """Run a real MLflow server with users on PostgreSQL, which may send webhooks to this machine."""
    with postgres.running() as database:
        server = MlflowServer(
            tmp_path_factory.mktemp("telling"),
            database.uri,
            MLFLOW_WEBHOOK_ALLOWED_SCHEMES="https,http",
            MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS="true",
            MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY=base64.urlsafe_b64encode(os.urandom(32)).decode(),
            MLFLOW_WEBHOOK_CACHE_TTL="1",
        )
        try:
            server.start()
            yield server
        finally:
            server.kill()


def _wait(uri: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        assert server.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{uri}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise AssertionError(f"MLflow does not answer: {log.read_text()}")
