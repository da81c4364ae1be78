"""Which addresses are names of the cluster, and what is never printed."""

import pytest
from modelvane_cli.access import Access, find_service


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
