"""What happens to a resource that is there already: updates, scaling, status, and what kubectl shows of it."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.crds.conftest import GROUP, VERSION, Kubectl, Refused, Resources, resource

NOW = "2026-01-01T00:00:00Z"
STATUS: dict[str, Any] = {
    "observedGeneration": 1,
    "phase": "Progressing",
    "replicas": 3,
    "selector": "serving.modelvane.dev/modeldeployment=iris",
    "desired": {"version": "4", "pointer": "models:/iris/Production"},
    "stable": {"version": "3", "revision": "v3-0a1b2c3d", "replicas": 2, "readyReplicas": 2, "weight": 67},
    "candidate": {"version": "4", "revision": "v4-0a1b2c3d", "weight": 33, "replicas": 1, "readyReplicas": 1},
    "conditions": [
        {"type": "Ready", "status": "False", "reason": "Progressing", "message": "...", "lastTransitionTime": NOW}
    ],
}
STEPS = [{"weight": 10, "pause": {"duration": "2m"}}, {"weight": 50, "pause": {}}]


@pytest.fixture
def iris(resources: Resources, kubectl: Kubectl) -> Iterator[str]:
    """Make a ModelDeployment of this test's own."""
    resources.create(resource("ModelDeployment"))
    yield "iris"
    kubectl("delete", "-n", resources.namespace, "modeldeployment", "iris")


def test_pointer_moves_from_stage_to_alias(resources: Resources, iris: str) -> None:
    model = {"stage": None, "alias": "champion"}
    changed = resources.patch("ModelDeployment", iris, {"spec": {"model": model}})
    assert changed["spec"]["model"] == {"name": "iris", "alias": "champion"}


def test_second_pointer_beside_the_first_is_refused(resources: Resources, iris: str) -> None:
    with pytest.raises(Refused, match="set exactly one of stage, alias, version; got stage and alias"):
        resources.patch("ModelDeployment", iris, {"spec": {"model": {"alias": "champion"}}})


def test_removing_the_only_pointer_is_refused(resources: Resources, iris: str) -> None:
    with pytest.raises(Refused, match="set exactly one of stage, alias, version; got none"):
        resources.patch("ModelDeployment", iris, {"spec": {"model": {"stage": None}}})


def test_node_port_left_behind_by_a_change_of_type_is_refused(resources: Resources, iris: str) -> None:
    resources.patch("ModelDeployment", iris, {"spec": {"service": {"type": "NodePort", "nodePort": 31234}}})
    with pytest.raises(Refused, match="nodePort needs type: NodePort or type: LoadBalancer; got type: ClusterIP"):
        resources.patch("ModelDeployment", iris, {"spec": {"service": {"type": "ClusterIP"}}})


def test_steps_left_behind_by_a_change_of_strategy_are_refused(resources: Resources, iris: str) -> None:
    resources.patch("ModelDeployment", iris, {"spec": {"strategy": {"type": "Canary", "steps": STEPS}}})
    with pytest.raises(Refused, match="steps are those of a Canary: write type: Canary, or remove them; got type: Bl"):
        resources.patch("ModelDeployment", iris, {"spec": {"strategy": {"type": "BlueGreen"}}})
    resources.patch("ModelDeployment", iris, {"spec": {"strategy": {"type": "BlueGreen", "steps": None}}})


def test_mirror_left_behind_by_the_gateway_is_refused(resources: Resources, iris: str) -> None:
    spec = {"gateway": {"parentRefs": [{"name": "public"}]}, "strategy": {"mirror": {"percent": 10}}}
    resources.patch("ModelDeployment", iris, {"spec": spec})
    with pytest.raises(Refused, match="a mirror needs a gateway"):
        resources.patch("ModelDeployment", iris, {"spec": {"gateway": None}})


def test_removed_field_gets_its_default_again(resources: Resources, iris: str) -> None:
    resources.patch("ModelDeployment", iris, {"spec": {"onPointerRemoved": "ScaleToZero"}})
    changed = resources.patch("ModelDeployment", iris, {"spec": {"onPointerRemoved": None}})
    assert changed["spec"]["onPointerRemoved"] == "Keep"


def test_two_owners_share_the_variables(resources: Resources, kubectl: Kubectl, iris: str) -> None:
    for manager, variable in (("team", "A"), ("platform", "B")):
        body = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": "ModelDeployment",
            "metadata": {"name": iris},
            "spec": {"runtime": {"env": [{"name": variable, "value": manager}]}},
        }
        apply = ("apply", "--server-side", f"--field-manager={manager}", "-n", resources.namespace, "-f", "-")
        kubectl(*apply, stdin=json.dumps(body))
    env = resources.get("ModelDeployment", iris)["spec"]["runtime"]["env"]
    assert env == [{"name": "A", "value": "team"}, {"name": "B", "value": "platform"}]


def test_kubectl_scale_sets_the_replicas(resources: Resources, kubectl: Kubectl, iris: str) -> None:
    kubectl("scale", "-n", resources.namespace, f"modeldeployment/{iris}", "--replicas=5")
    assert resources.get("ModelDeployment", iris)["spec"]["replicas"] == 5


def test_scale_beyond_the_limit_is_refused(resources: Resources, iris: str) -> None:
    with pytest.raises(Refused, match=r"spec\.replicas in body should be less than or equal to 1000"):
        resources.patch("ModelDeployment", iris, {"spec": {"replicas": 1001}}, subresource="scale")


def test_autoscaler_reads_replicas_and_selector(resources: Resources, iris: str) -> None:
    resources.patch("ModelDeployment", iris, {"status": STATUS}, subresource="status")
    scale = resources.patch("ModelDeployment", iris, {"spec": {"replicas": 2}}, subresource="scale")
    assert scale["spec"] == {"replicas": 2}
    assert scale["status"] == {"replicas": 3, "selector": STATUS["selector"]}


@pytest.mark.parametrize("kind", ["ModelDeployment", "ModelRegistry"])
def test_status_of_a_new_resource_is_one_of_no_generation(resources: Resources, kind: str) -> None:
    created = resources.create(resource(kind) | {"status": {"observedGeneration": 7}}, dry_run=True)
    assert created["status"] == {"observedGeneration": -1}


def test_status_is_not_written_through_the_resource(resources: Resources, iris: str) -> None:
    resources.patch("ModelDeployment", iris, {"status": STATUS}, subresource="status")
    resources.patch("ModelDeployment", iris, {"status": {"phase": "Ready"}, "spec": {"replicas": 2}})
    after = resources.get("ModelDeployment", iris)
    assert (after["status"], after["spec"]["replicas"]) == (STATUS, 2)


def test_spec_is_not_written_through_the_status(resources: Resources, iris: str) -> None:
    resources.patch("ModelDeployment", iris, {"status": STATUS, "spec": {"replicas": 9}}, subresource="status")
    after = resources.get("ModelDeployment", iris)
    assert (after["status"], after["spec"]["replicas"]) == (STATUS, 1)
    assert after["metadata"]["generation"] == 1


def test_phase_of_the_operators_own_making_is_refused(resources: Resources, iris: str) -> None:
    with pytest.raises(Refused, match='"Pending", "Progressing", "Paused", "Ready", "Degraded", "Suspended"'):
        resources.patch("ModelDeployment", iris, {"status": {"phase": "Fine"}}, subresource="status")


def test_two_conditions_of_one_type_are_refused(resources: Resources, iris: str) -> None:
    status = copy.deepcopy(STATUS)
    status["conditions"] *= 2
    with pytest.raises(Refused, match="Duplicate value"):
        resources.patch("ModelDeployment", iris, {"status": status}, subresource="status")


def test_kubectl_get_shows_the_rollout(resources: Resources, kubectl: Kubectl, iris: str) -> None:
    resources.patch("ModelDeployment", iris, {"status": STATUS}, subresource="status")
    header, row = kubectl("get", "mvd", iris, "-n", resources.namespace).splitlines()
    assert header.split() == ["NAME", "DESIRED", "STABLE", "CANDIDATE", "WEIGHT", "READY", "PHASE", "AGE"]
    assert row.split()[:-1] == ["iris", "4", "3", "4", "33", "False", "Progressing"]


def test_kubectl_get_wide_says_where_a_canary_is(resources: Resources, kubectl: Kubectl, iris: str) -> None:
    resources.patch("ModelDeployment", iris, {"spec": {"strategy": {"type": "Canary", "steps": STEPS}}})
    status = copy.deepcopy(STATUS) | {"phase": "Paused"}
    seen = {"checkedAt": NOW, "verdict": "Passed", "message": "..."}
    status["candidate"] |= {"message": "step 2 of 2: weight 50 until someone resumes it", "analysis": seen}
    resources.patch("ModelDeployment", iris, {"status": status}, subresource="status")
    header, row = kubectl("get", "mvd", iris, "-n", resources.namespace, "-o", "wide").splitlines()
    shown = {name: row[header.index(name) :] for name in ("PHASE", "STRATEGY", "ANALYSIS", "ROLLOUT")}
    assert {name: text.split("  ")[0] for name, text in shown.items()} == {
        "PHASE": "Paused",
        "STRATEGY": "Canary",
        "ANALYSIS": "Passed",
        "ROLLOUT": "step 2 of 2: weight 50 until someone resumes it",
    }


def test_kubectl_get_shows_the_registry(resources: Resources, kubectl: Kubectl) -> None:
    resources.create(resource("ModelRegistry", name="shown"))
    ready = {"type": "Ready", "status": "True", "reason": "Answered", "message": "...", "lastTransitionTime": NOW}
    status = {"models": 3, "conditions": [ready]}
    resources.patch("ModelRegistry", "shown", {"status": status}, subresource="status")
    header, row = kubectl("get", "mvr", "shown", "-n", resources.namespace).splitlines()
    assert header.split() == ["NAME", "URI", "READY", "MODELS", "AGE"]
    assert row.split()[:-1] == ["shown", "http://mlflow.mlflow.svc:5000", "True", "3"]


def test_category_lists_both_kinds(kubectl: Kubectl, namespace: str) -> None:
    assert namespace
    listed = kubectl("api-resources", "--categories=modelvane", "-o", "name").split()
    assert listed == [f"modeldeployments.{GROUP}", f"modelregistries.{GROUP}"]
