"""What the values do to the objects: the operator, the CRDs, the ModelRegistry, and the notes after an install."""

import subprocess
from typing import Any

import pytest
import yaml

from tests.charts import helm

CHART = helm.CHARTS / "modelvane"
VERSION = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
SERVED = "serving.modelvane.dev/v1alpha1/ModelRegistry"


def rendered(values: dict[str, Any]) -> list[helm.Manifest]:
    return helm.manifests("modelvane", values, release="modelvane")


def operator(values: dict[str, Any]) -> tuple[helm.Manifest, dict[str, Any]]:
    """Return the operator's container and its variables by name."""
    container = helm.one(rendered(values), "Deployment")["spec"]["template"]["spec"]["containers"][0]
    return container, {
        variable["name"]: variable.get("value", variable.get("valueFrom")) for variable in container["env"]
    }


def run_helm(*arguments: str) -> str:
    done = subprocess.run(["helm", *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_operator_gets_its_settings() -> None:
    container, variables = operator({"watch": {"namespaces": ["a", "b"]}, "logLevel": "debug", "workers": 9})
    assert container["image"] == f"modelvane/operator:{VERSION}"
    assert variables == {
        "MODELVANE_SERVING_IMAGE": f"modelvane/serving:{VERSION}",
        "MODELVANE_NAMESPACES": "a,b",
        "MODELVANE_LEASE_NAME": "modelvane",
        "MODELVANE_LOG_LEVEL": "debug",
        "MODELVANE_LOG_FORMAT": "text",
        "MODELVANE_WORKERS": "9",
        "MODELVANE_HTTP_PORT": "8080",
        "POD_NAME": {"fieldRef": {"fieldPath": "metadata.name"}},
        "POD_NAMESPACE": {"fieldRef": {"fieldPath": "metadata.namespace"}},
        "HOME": "/tmp",  # noqa: S108 - the mount of an emptyDir of its own
    }


def test_operator_is_probed_on_its_one_port() -> None:
    container, _ = operator({})
    assert container["ports"] == [{"name": "http", "containerPort": 8080}]
    paths = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert paths == {
        "startup": {"path": "/healthz", "port": "http"},
        "liveness": {"path": "/healthz", "port": "http"},
        "readiness": {"path": "/readyz", "port": "http"},
    }


def test_operator_takes_no_webhooks_unasked() -> None:
    assert [item["metadata"]["name"] for item in rendered({}) if item["kind"] == "Service"] == ["modelvane-metrics"]


@pytest.mark.parametrize(
    ("webhook", "url"),
    [
        ({}, "http://modelvane-webhook.ml.svc"),
        ({"service": {"port": 8090}}, "http://modelvane-webhook.ml.svc:8090"),
        ({"url": "https://hooks.example.com"}, "https://hooks.example.com"),
    ],
)
def test_operator_takes_webhooks_on_a_port_of_their_own(webhook: dict[str, Any], url: str) -> None:
    objects = helm.manifests(
        "modelvane", {"webhook": {"enabled": True, **webhook}}, release="modelvane", namespace="ml"
    )
    container = helm.one(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    variables = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert (variables["MODELVANE_WEBHOOK_PORT"], variables["MODELVANE_WEBHOOK_URL"]) == ("8090", url)
    assert container["ports"] == [{"name": "http", "containerPort": 8080}, {"name": "webhook", "containerPort": 8090}]
    port = helm.one(objects, "Service", "modelvane-webhook")["spec"]["ports"][0]
    assert (port["port"], port["targetPort"]) == (webhook.get("service", {}).get("port", 80), "webhook")


def test_chart_version_alone_restarts_no_operator() -> None:
    labels = helm.one(rendered({}), "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert labels.keys() == {"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component"}


@pytest.mark.parametrize(("replicas", "budgets"), [(0, 0), (1, 0), (2, 1)])
def test_budget_is_there_when_a_second_replica_is(replicas: int, budgets: int) -> None:
    objects = rendered({"replicas": replicas})
    assert len([item for item in objects if item["kind"] == "PodDisruptionBudget"]) == budgets


@pytest.mark.parametrize(
    ("release", "name"),
    [("modelvane", "modelvane"), ("my-modelvane", "my-modelvane"), ("models", "models-modelvane")],
)
def test_objects_are_named_after_the_release(release: str, name: str) -> None:
    objects = helm.manifests("modelvane", {}, release=release)
    assert helm.one(objects, "Deployment")["metadata"]["name"] == name
    assert helm.one(objects, "Lease")["metadata"]["name"] == name


@pytest.mark.parametrize("release", ["m" * 53, "modelvane-" + "m" * 43])
def test_longest_release_name_still_makes_a_service(release: str) -> None:
    objects = helm.manifests("modelvane", {}, release=release)
    assert len(helm.one(objects, "Service")["metadata"]["name"]) <= 63


def test_crds_are_those_of_the_checkout_and_are_kept() -> None:
    crds = {item["metadata"]["name"]: item for item in rendered({}) if item["kind"] == "CustomResourceDefinition"}
    sources = [yaml.safe_load(path.read_text()) for path in (helm.CHARTS.parent / "crds").glob("*.yaml")]
    assert {name: crd["spec"] for name, crd in crds.items()} == {s["metadata"]["name"]: s["spec"] for s in sources}
    assert {crd["metadata"]["annotations"]["helm.sh/resource-policy"] for crd in crds.values()} == {"keep"}


def test_crds_go_with_the_release_if_wanted() -> None:
    crds = [item for item in rendered({"crds": {"keep": False}}) if item["kind"] == "CustomResourceDefinition"]
    assert len(crds) == 2
    assert all("annotations" not in crd["metadata"] for crd in crds)


def test_crds_are_left_out_if_wanted() -> None:
    assert "CustomResourceDefinition" not in {item["kind"] for item in rendered({"crds": {"install": False}})}


def test_registry_is_not_made_unasked() -> None:
    assert "ModelRegistry" not in {item["kind"] for item in rendered({})}


def test_registry_of_a_first_install_comes_after_the_crds() -> None:
    registry = helm.one(rendered({"registry": {"create": True}}), "ModelRegistry")
    assert registry["metadata"]["annotations"] == {
        "helm.sh/hook": "post-install",
        "meta.helm.sh/release-name": "modelvane",
        "meta.helm.sh/release-namespace": "ml",
    }
    assert registry["spec"] == {"uri": "http://mlflow:5000", "pollInterval": "5s"}


@pytest.mark.parametrize("known", [("--is-upgrade",), ("--api-versions", SERVED)], ids=["upgrade", "crds there"])
def test_registry_belongs_to_the_release_once_the_crds_are_there(known: tuple[str, ...]) -> None:
    text = run_helm("template", "modelvane", str(CHART), "--set", "registry.create=true", *known)
    registry = helm.one([item for item in yaml.safe_load_all(text) if item], "ModelRegistry")
    assert "annotations" not in registry["metadata"]


def test_registry_names_its_secrets() -> None:
    values = {"registry": {"create": True, "credentialsSecret": "login", "artifactSecret": "bucket"}}
    spec = helm.one(rendered(values), "ModelRegistry")["spec"]
    assert spec["credentialsSecretRef"] == {"name": "login"}
    assert spec["artifactSecretRef"] == {"name": "bucket"}


def notes(*settings: str) -> str:
    return run_helm("install", "modelvane", str(CHART), "-n", "ml", "--dry-run=client", *settings).partition("NOTES:")[
        2
    ]


def examples(text: str) -> list[Any]:
    """Return the resources between `<<END` and `END`."""
    return [yaml.safe_load(part.partition("\n  END")[0]) for part in text.split("<<END\n")[1:]]


def test_notes_show_what_to_apply_next() -> None:
    registry, deployment = examples(notes())
    assert (registry["kind"], registry["metadata"]["name"]) == ("ModelRegistry", "default")
    assert deployment["spec"] == {"model": {"name": "iris", "stage": "Production"}, "replicas": 2}


def test_notes_use_the_registry_that_was_made() -> None:
    [deployment] = examples(notes("--set", "registry.create=true", "--set", "registry.name=company"))
    assert deployment["spec"]["registryRef"] == {"name": "company"}


def test_notes_apply_to_a_namespace_that_is_watched() -> None:
    assert "kubectl apply -n team-a" in notes("--set", "watch.namespaces={team-a,team-b}")


def test_notes_say_that_the_crds_are_missing() -> None:
    assert "THE CRDs ARE MISSING" in notes("--set", "crds.install=false")
    assert "THE CRDs ARE MISSING" not in notes()
