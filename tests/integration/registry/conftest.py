"""One PostgreSQL, one MLflow with users and one proxy for all; a namespace and an operator for each module."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from examples.demo.kube import Namespace
from images.build import ensure
from tests.cluster.crds import apply_crds
from tests.integration.registry import postgres
from tests.integration.registry.mlflow_server import MlflowServer
from tests.integration.registry.operator_process import Operator
from tests.integration.registry.postgres import Postgres
from tests.integration.registry.proxy import Proxy
from tests.integration.registry.world import PASSWORD, USER, World


@pytest.fixture(scope="session")
def database() -> Iterator[Postgres]:
    with postgres.running() as server:
        yield server


@pytest.fixture(scope="session")
def server(database: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    running = MlflowServer(tmp_path_factory.mktemp("mlflow"), database.uri)
    try:
        running.start()
        running.call("POST", "users/create", username=USER, password=PASSWORD)
        yield running
    finally:
        running.kill()


@pytest.fixture(scope="session")
def crds() -> None:
    apply_crds()


@pytest.fixture(scope="session")
def pod_image() -> str:
    return ensure(("base",))["base"].ref


@pytest.fixture(scope="module")
def world(
    crds: None,
    database: Postgres,
    server: MlflowServer,
    pod_image: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    """Make a namespace with an operator, the Secret and the ModelRegistry `default`."""
    namespace = Namespace(f"mv-registry-{secrets.token_hex(3)}")
    proxy = Proxy(server.url)
    operator = Operator(tmp_path_factory.mktemp("operator"), namespace.name, pod_image)
    namespace.create()
    proxy.start()
    try:
        made = World(namespace, operator, database, server, proxy, pod_image)
        made.set_credentials(USER, PASSWORD)
        made.set_registry()
        operator.start()
        yield made
    finally:
        operator.kill()
        print(operator.log())  # With the last test of the module, and shown only if that one failed.
        proxy.stop()
        namespace.delete(wait=False)
