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
        "runtime": {"type": "Modelvane", "engine": "Auto", "environment": "Image"},
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


EVERYTHING: dict[str, Any] = {
    "model": {"name": "iris", "alias": "champion"},
    "replicas": 4,
    "runtime": {
        "type": "Modelvane",
        "engine": "Native",
        "environment": "FromModel",
        "workers": 64,
        "maxModelSize": "1.5Gi",
        "cache": {"persistentVolumeClaim": {"claimName": "models"}, "maxSize": "1"},
    },
    "gateway": {
        "parentRefs": [
            {"name": "public", "namespace": "gateways", "sectionName": "web"},
            {"name": "public", "namespace": "gateways", "sectionName": "internal", "port": 8443},
            {"group": "", "kind": "Service", "name": "public", "namespace": "gateways"},
        ],
        "hostnames": ["iris.example.com", "*.models.example.com"],
        "path": "/models/iris-1.0/~a%20b",
    },
    "strategy": {
        "type": "Canary",
        "steps": [{"weight": 0, "pause": {}}, {"weight": 10, "pause": {"duration": "1m30s"}}, {"weight": 100}],
        "mirror": {"percent": 20, "duration": "5m"},
        "scaleDownDelay": "0s",
    },
    "verification": {
        "inputExample": False,
        "signature": "Ignore",
        "requests": [
            {
                "name": "known-flower",
                "path": "/invocations",
                "body": {"dataframe_split": {"columns": ["a", "b"], "data": [[1, None]]}},
                "expect": {"status": 200, "json": {"predictions": [None, {"x": 0.5}]}, "tolerance": 0.01},
            },
            {
                "name": "v2",
                "path": "/v2/models/iris/infer",
                "body": {"inputs": []},
                "expect": {"status": 400, "tolerance": 0},
            },
            {
                "name": "shape",
                "path": "/invocations",
                "body": [1, "two", None],
                "expect": {"schema": {"type": "object", "required": ["predictions"]}, "tolerance": 1},
            },
            {"name": "text", "path": "/invocations", "body": "a,b\n1,2"},
        ],
    },
    "analysis": {
        "interval": "30s",
        "minRequests": 1,
        "failureLimit": 1,
        "maxErrorRate": "0%",
        "maxLatencyP50": "20ms",
        "maxLatencyP95": "0.5s",
        "maxLatencyP99": "1s500ms",
        "maxErrorRateIncrease": "0.5%",
        "maxLatencyIncrease": "150%",
        "prometheus": {
            "address": "https://prometheus.example.com:9090/prefix",
            "queries": [
                {"name": "share", "query": "a / b", "min": 0.5, "max": 0.5},
                {"name": "backlog", "query": "sum(backlog)", "max": -1},
            ],
        },
        "onInconclusive": "RollBack",
        "replay": True,
        "predictions": {
            "maxDifferent": "100%",
            "tolerance": 0,
            "inputsFrom": {"configMapRef": {"name": "iris-inputs", "key": "june.jsonl"}},
        },
    },
    "writeBack": "Tags",
}


def test_everything_at_once_is_accepted_and_kept_as_written(resources: Resources) -> None:
    created = resources.create(resource("ModelDeployment", spec=EVERYTHING), dry_run=True)
    assert {field: created["spec"][field] for field in EVERYTHING} == EVERYTHING


def test_operator_reads_everything_at_once(resources: Resources) -> None:
    created = resources.create(resource("ModelDeployment", spec=EVERYTHING), dry_run=True)
    read = ModelDeploymentSpec.model_validate(created["spec"])
    assert read == ModelDeploymentSpec.model_validate(EVERYTHING)


@pytest.mark.parametrize(
    "runtime",
    [
        {"type": "MLflow", "workers": 2, "environment": "FromModel", "tls": {"secretName": "iris-tls"}},
        {"type": "Custom", "image": "mine:1", "tls": {"secretName": "iris-tls"}, "maxModelSize": "500M"},
        {"type": "Custom", "image": "mine:1", "engine": "Auto", "environment": "Image"},
        {"cache": {"hostPath": {"path": "/var/cache/..models/x.y"}}},
        {"env": [{"name": "MODELVANE_MAX_BODY_BYTES", "value": "1000"}]},
    ],
    ids=["MLflow", "Custom", "Custom with defaults", "a directory of the node", "a variable for the runtime"],
)
def test_runtime_is_accepted_and_kept_as_written(resources: Resources, runtime: dict[str, Any]) -> None:
    created = resources.create(merged(resource("ModelDeployment"), {"spec": {"runtime": runtime}}), dry_run=True)
    assert created["spec"]["runtime"] == DEFAULTS["ModelDeployment"]["runtime"] | runtime


def test_workers_of_an_earlier_release_stay_and_can_be_left_to_the_runtime(resources: Resources) -> None:
    """Its CRD wrote `workers: 1` into every resource."""
    body = merged(resource("ModelDeployment", name="old"), {"spec": {"runtime": {"workers": 1}}})
    assert resources.create(body)["spec"]["runtime"]["workers"] == 1
    left = resources.patch("ModelDeployment", "old", {"spec": {"runtime": {"workers": None}}})
    assert "workers" not in left["spec"]["runtime"]


@pytest.mark.parametrize("strategy", ["RollingUpdate", "BlueGreen"])
def test_every_strategy_takes_a_mirror_behind_a_gateway(resources: Resources, strategy: str) -> None:
    spec = {"gateway": {"parentRefs": [{"name": "public"}]}, "strategy": {"type": strategy, "mirror": {"percent": 1}}}
    created = resources.create(merged(resource("ModelDeployment"), {"spec": spec}), dry_run=True)["spec"]
    assert created["gateway"]["path"] == "/"
    assert created["strategy"]["mirror"] == {"percent": 1, "duration": "1m"}


def test_analysis_is_absent_unless_written_and_whole_when_it_is(resources: Resources) -> None:
    written = merged(resource("ModelDeployment"), {"spec": {"analysis": {"predictions": {"maxDifferent": "5%"}}}})
    assert "analysis" not in resources.create(resource("ModelDeployment"), dry_run=True)["spec"]
    assert resources.create(written, dry_run=True)["spec"]["analysis"] == {
        "interval": "10s",
        "minRequests": 50,
        "failureLimit": 2,
        "onInconclusive": "Pause",
        "replay": False,
        "predictions": {"maxDifferent": "5%", "tolerance": 0.000001},
    }


@pytest.mark.parametrize(
    "part",
    [
        {"maxErrorRate": "1%"},
        {"maxLatencyP50": "1s"},
        {"maxLatencyP95": "1s"},
        {"maxLatencyP99": "1s"},
        {"maxErrorRateIncrease": "1%"},
        {"maxLatencyIncrease": "1%"},
        {"prometheus": {"address": "http://prometheus", "queries": [{"name": "up", "query": "up", "min": 1}]}},
        {"predictions": {}},
    ],
    ids=lambda part: next(iter(part)),
)
def test_one_thing_to_judge_is_enough(resources: Resources, part: dict[str, Any]) -> None:
    resources.create(merged(resource("ModelDeployment"), {"spec": {"analysis": part}}), dry_run=True)
