"""What must hold for every way to install the chart, one ci/*-values.yaml each."""

import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.charts import helm
from tests.charts.podsecurity import violations

CHART = helm.CHARTS / "modelvane"
SCENARIOS = helm.scenarios("modelvane")
in_every_scenario = pytest.mark.parametrize("values", SCENARIOS, ids=lambda path: path.stem.removesuffix("-values"))


def rendered(values: pathlib.Path) -> list[helm.Manifest]:
    return helm.manifests("modelvane", values, release="modelvane")


@in_every_scenario
def test_pods_pass_podsecurity_restricted(values: pathlib.Path) -> None:
    pods = dict(helm.pods(rendered(values)))
    assert {name.split("/")[0] for name in pods} == {"Deployment", "Pod"}
    assert [(name, found) for name, pod in pods.items() for found in violations(pod)] == []


@in_every_scenario
def test_pods_write_nowhere_but_to_volumes_with_a_limit(values: pathlib.Path) -> None:
    for name, pod in helm.pods(rendered(values)):
        for container in helm.containers(pod):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, (name, container["name"])
        for volume in pod.get("volumes", []):
            assert "sizeLimit" in volume["emptyDir"], (name, volume["name"])


@in_every_scenario
def test_objects_carry_the_common_labels_and_a_namespace(values: pathlib.Path) -> None:
    cluster_wide = {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}
    for item in rendered(values):
        name = f"{item['kind']}/{item['metadata']['name']}"
        labels = item["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == "modelvane", name
        assert labels["app.kubernetes.io/managed-by"] == "Helm", name
        assert ("namespace" in item["metadata"]) != (item["kind"] in cluster_wide), name


@in_every_scenario
def test_selectors_find_the_operators_pods_and_no_others(values: pathlib.Path) -> None:
    objects = rendered(values)
    deployment = helm.one(objects, "Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"].items()
    selectors = [deployment["spec"]["selector"]["matchLabels"]]
    selectors += [item["spec"]["selector"] for item in objects if item["kind"] == "Service"]
    selectors += [item["spec"]["selector"]["matchLabels"] for item in objects if item["kind"] == "PodDisruptionBudget"]
    for selector in selectors:
        assert selector.items() <= labels
        assert not selector.items() <= helm.one(objects, "Pod")["metadata"]["labels"].items()


def leaves(values: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value that is no group of values."""
    if isinstance(values, dict) and values:
        for key, value in values.items():
            yield from leaves(value, f"{path}.{key}")
    else:
        yield path, values


def test_scenario_everything_changes_every_value() -> None:
    default = yaml.safe_load((CHART / "values.yaml").read_text())
    everything = yaml.safe_load((CHART / "ci" / "everything-values.yaml").read_text())

    def at(path: str) -> Any:
        found = everything
        for key in path.split(".")[1:]:
            found = found[key]
        return found

    # Those that are true by default and that the others need: a ServiceAccount to name, CRDs to keep or not.
    stay = {".crds.install", ".serviceAccount.create"}
    assert {path for path, value in leaves(default) if at(path) == value} == stay
