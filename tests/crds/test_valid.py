"""What is accepted, and what the API server makes of it."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from modelvane.spec import ModelDeploymentSpec, ModelRegistrySpec

from tests.crds.conftest import MINIMAL, ROOT, Kubectl, Resources, merged, resource

EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
SPECS: dict[str, type[ModelDeploymentSpec | ModelRegistrySpec]] = {
    "ModelDeployment": ModelDeploymentSpec,
    "ModelRegistry": ModelRegistrySpec,
}

DEFAULTS: dict[str, dict[str, Any]] = {
    "ModelDeployment": {
        "registryRef": {"name": "default"},
        "onPointerRemoved": "Keep",
        "suspend": False,
        "replicas": 1,
        "runtime": {"workers": 1},
        "template": {},
        "service": {"type": "ClusterIP", "port": 80},
        "strategy": {"type": "RollingUpdate", "scaleDownDelay": "30s"},
        "verification": {"inputExample": True, "signature": "Compatible"},
        "progressDeadline": "10m",
        "historyLimit": 10,
        "writeBack": "None",
    },
    "ModelRegistry": {"pollInterval": "5s"},
}


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.name for path in EXAMPLES])
def test_example_is_accepted(kubectl: Kubectl, namespace: str, path: Path) -> None:
    kubectl("create", "-n", namespace, "--dry-run=server", "--validate=strict", "-f", str(path))


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.name for path in EXAMPLES])
def test_operator_reads_the_example(path: Path) -> None:
    for document in yaml.safe_load_all(path.read_text()):
        if model := SPECS.get(document["kind"]):
            model.model_validate(document["spec"])


@pytest.mark.parametrize("kind", ["ModelDeployment", "ModelRegistry"])
def test_defaults_are_filled_in(resources: Resources, kind: str) -> None:
    created = resources.create(resource(kind), dry_run=True)
    assert created["spec"] == MINIMAL[kind] | DEFAULTS[kind]


@pytest.mark.parametrize("kind", ["ModelDeployment", "ModelRegistry"])
def test_operator_has_the_same_defaults(resources: Resources, kind: str) -> None:
    created = resources.create(resource(kind), dry_run=True)
    assert SPECS[kind].model_validate(created["spec"]) == SPECS[kind].model_validate(MINIMAL[kind])


@pytest.mark.parametrize(
    "uri",
    [
        "http://mlflow:5000",
        "https://mlflow.example.com/path?x=1",
        "databricks",
        "databricks://profile",
        "databricks-uc",
    ],
)
def test_uri_of_a_server_or_a_plugin_is_accepted(resources: Resources, uri: str) -> None:
    created = resources.create(resource("ModelRegistry", spec={"uri": uri}), dry_run=True)
    assert created["spec"]["uri"] == uri


@pytest.mark.parametrize("duration", ["1s", "1000ms", "1.5s", "1m30s", "24h"])
def test_duration_is_accepted_and_kept_as_written(resources: Resources, duration: str) -> None:
    body = merged(resource("ModelRegistry"), {"spec": {"pollInterval": duration}})
    assert resources.create(body, dry_run=True)["spec"]["pollInterval"] == duration


def test_name_of_forty_characters_is_accepted(resources: Resources) -> None:
    resources.create(resource("ModelDeployment", name="a" * 40), dry_run=True)


def test_template_keeps_what_the_schema_does_not_know(resources: Resources) -> None:
    template = {
        "metadata": {"labels": {"team": "supply"}},
        "spec": {
            "nodeSelector": {"gpu": "true"},
            "futureField": {"of": ["Kubernetes", 2]},
            "containers": [
                {"name": "serve", "resources": {"limits": {"memory": "2Gi"}}},
                {"name": "proxy", "image": "envoy:1", "args": ["-c", "/etc/envoy.yaml"]},
            ],
        },
    }
    created = resources.create(merged(resource("ModelDeployment"), {"spec": {"template": template}}), dry_run=True)
    assert created["spec"]["template"] == template
