"""Which addresses are names of the cluster, and what is never printed or sent to another."""

import base64
import os
from typing import Any, cast

import pytest
from modelvane_cli.access import Access, find_service, open_resource
from modelvane_cli.cluster import Cluster


@pytest.mark.parametrize(
    ("uri", "service"),
    [
        ("http://mlflow:5000", ("mlflow", "ml")),
        ("http://mlflow.tracking:5000/prefix", ("mlflow", "tracking")),
        ("http://mlflow.tracking.svc:5000", ("mlflow", "tracking")),
        ("http://mlflow.tracking.svc.cluster.local", ("mlflow", "tracking")),
        ("http://localhost:5000", None),
        ("http://127.0.0.1:5000", None),
        ("https://mlflow.example.com", None),
        ("databricks", None),
        ("databricks://profile.one.two", None),
    ],
)
def test_a_name_of_the_cluster_is_told_from_one_of_the_world(uri: str, service: tuple[str, str] | None) -> None:
    assert find_service(uri, "ml") == service


@pytest.mark.parametrize(
    ("access", "name"),
    [
        (Access("https://user:secret@mlflow.example.com/x", "--registry-uri"), "https://mlflow.example.com/x"),
        (
            Access("http://127.0.0.1:4711", "ModelRegistry default in namespace ml", "kubectl port-forward"),
            "ModelRegistry default in namespace ml, by kubectl port-forward",
        ),
    ],
)
def test_an_address_is_named_without_its_password(access: Access, name: str) -> None:
    assert access.name == name


class Secrets:
    """A cluster that has one Secret."""

    def __init__(self, keys: dict[str, str]) -> None:
        self._data = {key: base64.b64encode(value.encode()).decode() for key, value in keys.items()}

    def find(self, *_: object) -> dict[str, Any]:
        return {"data": self._data}


def test_one_registry_is_not_sent_the_credentials_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {"MLFLOW_TRACKING_USERNAME": "anna", "MLFLOW_TRACKING_PASSWORD": "of the first"}
    for name in (*keys, "MLFLOW_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "bob")
    cluster = cast("Cluster", Secrets(keys))
    first = {"uri": "http://127.0.0.1:1", "credentialsSecretRef": {"name": "login"}, "workspace": "w"}
    metadata = {"namespace": "ml", "name": "r"}
    before = dict(os.environ)
    with open_resource(cluster, {"metadata": metadata, "spec": first}):
        assert {key: os.environ[key] for key in keys} == {**keys, "MLFLOW_TRACKING_USERNAME": "bob"}, "a person's own"
    with open_resource(cluster, {"metadata": metadata, "spec": {"uri": "http://127.0.0.1:2"}}):
        assert dict(os.environ) == before
