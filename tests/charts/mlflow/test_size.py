"""How much of the server there is: sizes, what takes precedence over them, autoscaling, and none of it."""

from typing import Any

import pytest
import yaml

from tests.charts import helm
from tests.charts.mlflow.test_server import EMBEDDED, EXTERNAL, config, kinds, render, server

SIZES: dict[str, Any] = yaml.safe_load((helm.CHARTS / "mlflow" / "files" / "sizes.yaml").read_text())


def deployment(values: dict[str, Any]) -> helm.Manifest:
    return helm.one(render({**EXTERNAL, **values}), "Deployment")


def autoscaler(values: dict[str, Any]) -> tuple[int, int] | None:
    found = [item for item in render({**EXTERNAL, **values}) if item["kind"] == "HorizontalPodAutoscaler"]
    return (found[0]["spec"]["minReplicas"], found[0]["spec"]["maxReplicas"]) if found else None


@pytest.mark.parametrize("size", SIZES)
def test_a_size_says_it_all(size: str) -> None:
    objects = render({**EXTERNAL, "size": size})
    wanted = SIZES[size]
    assert config(objects)["MLFLOW_WORKERS"] == str(wanted["workers"])
    assert server(objects)["resources"] == wanted["resources"]
    spec = helm.one(objects, "Deployment")["spec"]
    if wanted["maxReplicas"] > wanted["replicas"]:
        # What the autoscaler writes nobody else may write.
        assert "replicas" not in spec
        assert autoscaler({"size": size}) == (wanted["replicas"], wanted["maxReplicas"])
    else:
        assert spec["replicas"] == wanted["replicas"]
        assert autoscaler({"size": size}) is None
    assert ("PodDisruptionBudget" in kinds(objects)) == (wanted["replicas"] > 1)


def test_each_size_is_more_than_the_one_before() -> None:
    assert list(SIZES) == ["small", "medium", "large"]
    for key in ("replicas", "maxReplicas"):
        amounts = [size[key] for size in SIZES.values()]
        assert amounts == sorted(set(amounts))


def test_what_is_said_itself_takes_precedence() -> None:
    values = {"size": "large", "replicas": 4, "workers": 1, "resources": {"limits": {"memory": "8Gi"}}}
    objects = render({**EXTERNAL, **values})
    assert helm.one(objects, "Deployment")["spec"]["replicas"] == 4
    assert config(objects)["MLFLOW_WORKERS"] == "1"
    assert server(objects)["resources"] == {**SIZES["large"]["resources"], "limits": {"memory": "8Gi"}}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, None),
        ({"autoscaling": {"maxReplicas": 5}}, (1, 5)),
        ({"replicas": 2, "autoscaling": {"maxReplicas": 5}}, (2, 5)),
        ({"replicas": 2, "autoscaling": {"maxReplicas": 2}}, None),
        ({"size": "large", "autoscaling": {"maxReplicas": 0}}, None),
        # A number of pods that was asked for is that number.
        ({"size": "large", "replicas": 2}, None),
        ({"size": "large", "replicas": 0}, None),
    ],
)
def test_pods_come_and_go_with_the_load_only_where_there_is_room(
    values: dict[str, Any], expected: tuple[int, int] | None
) -> None:
    assert autoscaler(values) == expected
    assert ("replicas" in deployment(values)["spec"]) == (expected is None)


def test_autoscaler_goes_by_the_cpu_that_was_requested() -> None:
    values = {"size": "medium", "autoscaling": {"cpuUtilization": 50}}
    scaler = helm.one(render({**EXTERNAL, **values}), "HorizontalPodAutoscaler")["spec"]
    assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "mlflow"}
    target = {"type": "Utilization", "averageUtilization": 50}
    assert scaler["metrics"] == [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]


def test_pods_are_spread_over_nodes_and_zones() -> None:
    template = deployment({"size": "large"})["spec"]["template"]
    constraints = template["spec"]["topologySpreadConstraints"]
    assert [one["topologyKey"] for one in constraints] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    for constraint in constraints:
        assert constraint["whenUnsatisfiable"] == "ScheduleAnyway"
        assert constraint["labelSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
        assert constraint["matchLabelKeys"] == ["pod-template-hash"]


def test_constraints_of_the_users_own_stay_as_they_are() -> None:
    own = {
        "maxSkew": 2,
        "topologyKey": "rack",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"team": "ml"}},
    }
    spec = deployment({"topologySpreadConstraints": [own]})["spec"]["template"]["spec"]
    assert spec["topologySpreadConstraints"] == [own]
    assert "topologySpreadConstraints" not in deployment({"topologySpreadConstraints": []})["spec"]["template"]["spec"]


def test_stopped_runs_nothing_and_keeps_everything() -> None:
    running, stopped = render({**EMBEDDED, "size": "large"}), render({**EMBEDDED, "size": "large", "stopped": True})
    assert helm.one(stopped, "Deployment")["spec"]["replicas"] == 0
    stores = [item for item in stopped if item["kind"] == "StatefulSet"]
    assert [item["spec"]["replicas"] for item in stores] == [0, 0]
    # The Job would wait for a database that does not come. What claims the volumes and names the Secret is as it was.
    assert kinds(running) - kinds(stopped) == {"HorizontalPodAutoscaler", "PodDisruptionBudget"}
    assert "mlflow-migrate" not in " ".join(item["metadata"]["name"] for item in stopped)
    claims = [item["spec"]["volumeClaimTemplates"] for item in running if item["kind"] == "StatefulSet"]
    assert [item["spec"]["volumeClaimTemplates"] for item in stores] == claims
