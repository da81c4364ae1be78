"""What must hold for every way to install the chart, one ci/*-values.yaml each."""

import functools
import json
import pathlib
import re

import pytest
import yaml

from tests.charts import helm
from tests.charts.podsecurity import violations

SCENARIOS = helm.scenarios("mlflow")
EVERYTHING = helm.CHARTS / "mlflow" / "ci" / "everything-values.yaml"
in_every_scenario = pytest.mark.parametrize("values", SCENARIOS, ids=lambda path: path.stem.removesuffix("-values"))


@functools.cache
def rendered(values: pathlib.Path) -> list[helm.Manifest]:
    return helm.manifests("mlflow", values, release="mlflow")


@in_every_scenario
def test_pods_pass_podsecurity_restricted(values: pathlib.Path) -> None:
    pods = list(helm.pods(rendered(values)))
    assert pods
    assert [(name, found) for name, pod in pods for found in violations(pod)] == []


@in_every_scenario
def test_pods_write_nowhere_but_to_volumes_with_a_limit(values: pathlib.Path) -> None:
    for name, pod in helm.pods(rendered(values)):
        for container in helm.containers(pod):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, (name, container["name"])
        for volume in pod.get("volumes", []):
            assert "emptyDir" not in volume or "sizeLimit" in volume["emptyDir"], (name, volume["name"])


@in_every_scenario
def test_service_variables_reach_no_pod(values: pathlib.Path) -> None:
    # Those of a Service named mlflow are flags of the MLflow command line: MLFLOW_PORT=tcp://10.96.0.1:5000.
    assert {name for name, pod in helm.pods(rendered(values)) if pod.get("enableServiceLinks") is not False} == set()


@in_every_scenario
def test_only_the_secret_maker_gets_a_token(values: pathlib.Path) -> None:
    with_token = {name for name, pod in helm.pods(rendered(values)) if pod.get("automountServiceAccountToken", True)}
    assert with_token <= {"Job/mlflow-make-secret"}


@in_every_scenario
def test_secrets_appear_in_no_argument_and_no_plain_value(values: pathlib.Path) -> None:
    secret = re.compile("PASSWORD|SECRET_ACCESS_KEY|ACCESS_KEY_ID|PGUSER|POSTGRES_USER")
    for name, pod in helm.pods(rendered(values)):
        for container in helm.containers(pod):
            for argument in [*container.get("command", []), *container.get("args", [])]:
                assert "$(" not in argument, (name, argument)
            for variable in container.get("env", []):
                if secret.search(variable["name"]):
                    assert variable["valueFrom"].keys() == {"secretKeyRef"}, (name, variable["name"])


@in_every_scenario
def test_chart_renders_no_secret(values: pathlib.Path) -> None:
    # One rendered with random values would change with every `helm template`.
    assert [o for o in rendered(values) if o["kind"] == "Secret"] == []


@in_every_scenario
def test_objects_carry_the_common_labels(values: pathlib.Path) -> None:
    wanted = {
        f"app.kubernetes.io/{key}" for key in ("name", "instance", "component", "version", "part-of", "managed-by")
    }
    for item in rendered(values):
        assert wanted <= item["metadata"]["labels"].keys(), item["metadata"]["name"]


@in_every_scenario
def test_selectors_find_their_own_pods_only(values: pathlib.Path) -> None:
    objects = rendered(values)
    labels = {
        o["metadata"]["name"]: o["spec"]["template"]["metadata"]["labels"]
        for o in objects
        if "template" in o.get("spec", {})
    }
    for item in objects:
        selector = item.get("spec", {}).get("selector")
        if selector is None:
            continue
        wanted = selector.get("matchLabels", selector)
        assert [name for name, has in labels.items() if wanted.items() <= has.items()] == [item["metadata"]["name"]]


@in_every_scenario
def test_names_fit_even_for_the_longest_release(values: pathlib.Path) -> None:
    for item in helm.manifests("mlflow", values, release="r" * 53):
        # A StatefulSet's name gets 11 characters more in the label controller-revision-hash.
        limit = 63 - 11 if item["kind"] == "StatefulSet" else 63
        assert len(item["metadata"]["name"]) <= limit, item["metadata"]["name"]


def _paths(tree: object, at: str = "") -> set[str]:
    if isinstance(tree, dict) and tree:
        return {path for key, below in tree.items() for path in _paths(below, f"{at}.{key}")}
    return {at}


def test_everything_scenario_changes_every_value() -> None:
    defaults = yaml.safe_load((helm.CHARTS / "mlflow" / "values.yaml").read_text())
    everything = yaml.safe_load(EVERYTHING.read_text())
    # External stores and embedded ones exclude each other, and these defaults are the only sensible value.
    excluded = {
        ".database.host",
        ".database.port",
        ".database.cloudNativePG",
        ".database.uriKey",
        ".artifacts.workloadIdentity",
        ".artifacts.endpointUrl",
        ".artifacts.rootKey",
        ".serviceAccount.create",
        # Nothing would run of everything.
        ".stopped",
    }

    def at(tree: object, path: str) -> object:
        for key in path.split(".")[1:]:
            tree = tree.get(key) if isinstance(tree, dict) else None
        return tree

    unchanged = {path for path in _paths(defaults) if at(everything, path) in (None, at(defaults, path))}
    assert unchanged == excluded


def test_schema_knows_exactly_the_values_of_the_chart() -> None:
    schema = json.loads((helm.CHARTS / "mlflow" / "values.schema.json").read_text())
    defaults = yaml.safe_load((helm.CHARTS / "mlflow" / "values.yaml").read_text())

    def compare(tree: dict[str, object], node: dict[str, object], at: str) -> None:
        while "$ref" in node:
            node = schema["$defs"][str(node["$ref"]).rsplit("/", 1)[1]]
        properties = node.get("properties")
        if not isinstance(properties, dict):
            return
        assert node["additionalProperties"] is False, at
        assert properties.keys() - {"global"} == tree.keys(), at
        for key, below in tree.items():
            if isinstance(below, dict) and below:
                compare(below, properties[key], f"{at}.{key}")

    compare(defaults, schema, "values")
