"""The two charts together: MLflow's pod tells the operator's pod, and what it tells is acted on without a poll."""

import base64
import os
import secrets
from collections.abc import Iterator

import pytest

from examples.demo.kube import conditions, is_true
from tests.e2e.scene import Scene
from tests.e2e.tracking import Tracking
from tests.e2e.waiting import eventually


@pytest.fixture
def telling(tracking: Tracking) -> Iterator[Tracking]:
    """Let the shared MLflow send webhooks inside the cluster, for this test."""
    key = base64.urlsafe_b64encode(os.urandom(32)).decode()
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "webhook-key"}}
    tracking.namespace.apply({**secret, "stringData": {"MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": key}})
    tracking.install(webhooks={"encryptionKeySecret": "webhook-key", "allowHttp": True, "allowPrivateAddresses": True})
    yield tracking
    tracking.install()


def test_a_moved_alias_is_served_without_a_poll(telling: Tracking, empty_scene: Scene) -> None:
    scene = empty_scene
    signed = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "webhook"}}
    scene.namespace.apply({**signed, "stringData": {"secret": secrets.token_hex(32)}})
    registry = {"create": True, "uri": telling.address, "pollInterval": "1h", "webhookSecret": "webhook"}
    scene.install_operator(webhook={"enabled": True}, registry=registry)
    seen = eventually(
        "the webhook is registered",
        lambda: scene.namespace.get("mvr", "default"),
        lambda found: is_true(found, "WebhookRegistered"),
    )
    url = f"http://modelvane-webhook.{scene.namespace.name}.svc/webhook/{scene.namespace.name}/default"
    assert conditions(seen)["WebhookRegistered"]["message"] == f"MLflow tells of changes at {url}"
    version = scene.add_version()
    scene.deploy({"alias": "champion"})
    eventually(
        "the absence is seen",
        lambda: scene.namespace.get("mvd", "served"),
        lambda found: conditions(found).get("ModelResolved", {}).get("status") == "False",
    )
    scene.set_alias(version)
    scene.until_serves(version)
    assert scene.namespace.get("mvr", "default")["status"]["lastEventTime"]
