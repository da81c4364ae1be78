"""The whole way: an alias moves in a real MLflow, and the real operator acts although its next poll is an hour away."""

import re
import secrets
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import requests

from examples.demo.kube import Manifest, Namespace, conditions, is_true
from tests.e2e.waiting import eventually
from tests.integration.registry.mlflow_server import MlflowServer
from tests.integration.registry.operator_process import Operator
from tests.integration.registry.postgres import free_port

KIND = "serving.modelvane.dev/v1alpha1"
MODEL = "told"
HOOK = {"enabled": True, "secretRef": {"name": "webhook"}}


@pytest.fixture
def place() -> Iterator[Namespace]:
    namespace = Namespace(f"mv-webhook-{secrets.token_hex(3)}")
    namespace.create()
    yield namespace
    namespace.delete(wait=False)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def operator(place: Namespace, port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    env = {"MODELVANE_WEBHOOK_PORT": str(port), "MODELVANE_WEBHOOK_URL": f"http://127.0.0.1:{port}"}
    operator = Operator(tmp_path_factory.mktemp("operator"), place.name, "modelvane/never-pulled:0", **env)
    operator.start()
    yield operator
    operator.kill()
    print(operator.log())


def set_registry(place: Namespace, server: MlflowServer, **spec: Any) -> None:
    whole = {"uri": server.url, "credentialsSecretRef": {"name": "mlflow"}, "pollInterval": "1h", **spec}
    place.apply({"apiVersion": KIND, "kind": "ModelRegistry", "metadata": {"name": "default"}, "spec": whole})


def registry(place: Namespace) -> Manifest:
    return place.get("mvr", "default")


def deliveries(operator: Operator) -> dict[str, float]:
    """Count what came to the webhook's port, by what was thought of it."""
    text = requests.get(f"{operator.url}/metrics", timeout=10).text
    found = re.findall(r'^modelvane_webhook_deliveries_total\{result="(\w+)"\} (\S+)$', text, re.MULTILINE)
    return {result: float(count) for result, count in found}


def test_a_moved_alias_is_acted_on_without_a_poll(
    place: Namespace, operator: Operator, port: int, telling_server: MlflowServer
) -> None:
    server = telling_server
    for name, data in (("mlflow", server.admin), ("webhook", {"secret": secrets.token_hex(32)})):
        place.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data})
    set_registry(place, server, webhook=HOOK)
    seen = eventually("registered", lambda: registry(place), lambda seen: is_true(seen, "WebhookRegistered"))
    url = f"http://127.0.0.1:{port}/webhook/{place.name}/default"
    assert conditions(seen)["WebhookRegistered"]["message"] == f"MLflow tells of changes at {url}"

    server.call("POST", "registered-models/create", name=MODEL)
    for _ in range(2):
        server.call("POST", "model-versions/create", name=MODEL, source=f"s3://bucket/{MODEL}")
    pods = {"nodeSelector": {"modelvane.dev/nowhere": "true"}}
    spec = {"model": {"name": MODEL, "alias": "champion"}, "template": {"spec": pods}}
    place.apply({"apiVersion": KIND, "kind": "ModelDeployment", "metadata": {"name": MODEL}, "spec": spec})
    for version in ("1", "2"):
        server.call("POST", "registered-models/alias", name=MODEL, alias="champion", version=version)
        selector = f"serving.modelvane.dev/model-version={version}"
        eventually(f"version {version} is rolled out", partial(place.get_all, "deployments", selector), seconds=30)

    assert registry(place)["status"]["lastEventTime"]
    assert deliveries(operator)["accepted"] >= 2
    assert requests.post(url, json={"entity": "model_version_alias"}, timeout=10).status_code == 401
    assert deliveries(operator)["unauthentic"] == 1

    set_registry(place, server, webhook={**HOOK, "enabled": False})
    eventually("the condition goes", lambda: registry(place), lambda seen: "WebhookRegistered" not in conditions(seen))
    eventually("the webhook goes", partial(server.call, "GET", "webhooks"), lambda listed: url not in str(listed))
    told = {event["reason"] for event in place.get_all("events")}
    assert "WebhookRegistered" in told
