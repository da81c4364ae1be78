"""The status people read, word for word."""

from datetime import timedelta
from typing import Any

import pytest
from modelvane.engine.decide import decide
from modelvane.engine.memory import Memory
from modelvane.engine.state import Absent, Failure, Hold, Live, NotReady, Unreachable, Unread
from modelvane.engine.status import build_invalid_status, build_status

from tests.unit.operator.builder import LONG_AGO, NOW, Builder, a_deployment, revision, workload

BROKEN = Failure("ModelLoadFailed", "it raised", permanent=True)
DOWN = Unreachable("ConnectionRefused", "http://mlflow:5000 refuses connections")


def status(builder: Builder, refusal: Hold | None = None) -> dict[str, Any]:
    observed = builder.observed()
    return build_status(observed, decide(observed, NOW), refusal, NOW)


def conditions(status: dict[str, Any]) -> dict[str, tuple[str, str, str]]:
    return {c["type"]: (c["status"], c["reason"], c["message"]) for c in status["conditions"]}


def test_at_rest_the_status_says_what_serves_and_nothing_else() -> None:
    read = status(a_deployment().wants("1").serving("1"))
    assert conditions(read) == {
        "Ready": ("True", "Serving", "serving version 1 with 2 of 2 pods"),
        "RegistryReachable": ("True", "Reachable", "ModelRegistry default answers"),
        "ModelResolved": ("True", "Resolved", "models:/iris/Production is version 1"),
    }
    assert read["phase"] == "Ready"
    assert read["url"] == "http://iris.ns.svc"
    assert read["stable"] == {
        "version": "1",
        "revision": revision("1"),
        "replicas": 2,
        "readyReplicas": 2,
        "weight": 100,
        "since": "2026-01-01T11:00:00Z",
    }
    assert (read["replicas"], read["selector"]) == (
        2,
        f"serving.modelvane.dev/modeldeployment=iris,serving.modelvane.dev/revision={revision('1')}",
    )


def test_at_rest_the_same_status_comes_out_again_whenever_the_registry_was_polled() -> None:
    builder = a_deployment().wants("1").serving("1")
    first = status(builder)
    builder.memory = Memory.model_validate(first)
    later = builder.but(polled_at=NOW + timedelta(hours=1)).observed()
    again = build_status(later, decide(later, NOW + timedelta(hours=1)), None, NOW + timedelta(hours=1))
    assert again == first


def test_a_rollout_shows_both_revisions_and_their_weights() -> None:
    read = status(a_deployment().wants("2").serving("1").rolling("2", replicas=2, ready=1, shifting=True))
    assert conditions(read)["Reconciling"] == (
        "True",
        "RollingOut",
        "serving version 1, rolling out version 2: 1 of 2 pods are ready",
    )
    assert (read["stable"]["weight"], read["candidate"]["weight"]) == (67, 33)
    assert (read["candidate"]["readyReplicas"], read["candidate"]["message"]) == (1, "1 of 2 pods are ready")
    assert read["phase"] == "Progressing"


def test_a_rejected_version_is_stalled_while_stable_is_ready() -> None:
    read = status(a_deployment().wants("2").serving("1").rejecting("2"))
    assert conditions(read)["Stalled"] == (
        "True",
        "ModelLoadFailed",
        "serving version 1, version 2 is rejected: ModelLoadFailed: it raised",
    )
    assert conditions(read)["Ready"][0] == "True"
    assert read["phase"] == "Degraded"


def test_crashing_pods_of_stable_make_it_unready_with_their_reason() -> None:
    builder = a_deployment().wants("1").serving("1")
    builder.workloads[0] = workload("1", ready=1, failure=BROKEN)
    read = status(builder)
    assert conditions(read)["Ready"] == (
        "False",
        "ModelLoadFailed",
        "serving version 1 with 1 of 2 pods: it raised",
    )
    assert read["phase"] == "Degraded"


def test_scaling_up_is_progress_and_no_trouble() -> None:
    read = status(a_deployment().with_spec(replicas=3).wants("1").serving("1"))
    assert conditions(read)["Ready"] == ("False", "PodsNotReady", "serving version 1 with 2 of 3 pods")
    assert conditions(read)["Reconciling"] == ("True", "Scaling", "2 of 3 pods are ready")
    assert read["phase"] == "Progressing"


GATEWAY = {"parentRefs": [{"name": "edge"}]}


@pytest.mark.parametrize(
    ("route", "phase", "reconciling"),
    [
        ({"route_accepted": True}, "Ready", None),
        ({"route_problem": "Gateway edge says NoMatch"}, "Degraded", ("RouteNotAccepted", "Gateway edge says NoMatch")),
        (
            {"live": Live(route={"spec": {"rules": [{}]}})},
            "Progressing",
            ("RoutePending", "no gateway has said yet whether it takes the HTTPRoute"),
        ),
    ],
)
def test_a_version_that_no_gateway_routes_to_yet_is_not_the_end(
    route: dict[str, object], phase: str, reconciling: tuple[str, str] | None
) -> None:
    read = status(a_deployment().with_spec(gateway=GATEWAY).wants("1").serving("1").but(**route))
    told = conditions(read)
    assert told["Ready"][0] == "True"  # Behind its Service it does serve.
    assert read["phase"] == phase
    assert told.get("Reconciling", ("",))[1:] == (reconciling or ())


def test_scaled_to_zero_is_ready() -> None:
    read = status(a_deployment().with_spec(replicas=0).wants("1").serving("1", replicas=0, ready=0))
    assert conditions(read)["Ready"] == ("True", "ScaledToZero", "version 1 is scaled to zero")
    assert read["phase"] == "Ready"


def test_a_registry_that_does_not_answer_is_one_condition() -> None:
    before = status(a_deployment().wants("1").serving("1"))
    builder = a_deployment().finds(DOWN).serving("1")
    builder.memory = Memory.model_validate(before)
    read = status(builder)
    assert conditions(read) == {
        **conditions(before),
        "RegistryReachable": ("False", "ConnectionRefused", "http://mlflow:5000 refuses connections"),
    }
    assert read["phase"] == "Ready"
    assert read["registry"]["reachable"] is False


@pytest.mark.parametrize(
    ("builder", "reason", "message"),
    [
        (a_deployment().finds(DOWN), "ConnectionRefused", "http://mlflow:5000 refuses connections"),
        (
            a_deployment().finds(Absent("model iris has no version in stage Production")),
            "PointerNotFound",
            "model iris has no version in stage Production",
        ),
        (a_deployment().knows("1").finds(Absent("it is gone")), "PointerRemoved", "it is gone"),
        (a_deployment().finds(NotReady("1", "version 1 is PENDING")), "VersionNotReady", "version 1 is PENDING"),
        (a_deployment().finds(Unread()), "Pending", "the registry has not been read yet"),
        (
            a_deployment().with_spec(suspend=True).wants("1"),
            "Suspended",
            "nothing was served before rollouts were suspended",
        ),
        (a_deployment().wants("1"), "RollingOut", "version 1 is the first: no pod of 2 is verified yet"),
    ],
)
def test_while_nothing_serves_ready_says_why(builder: Builder, reason: str, message: str) -> None:
    assert conditions(status(builder))["Ready"] == ("False", reason, message)


def test_what_the_api_server_refuses_is_told_in_its_own_words() -> None:
    refusal = Hold("DeploymentRefused", "the Deployment of version 2: 422: spec.template is invalid")
    read = status(a_deployment().wants("2").serving("1"), refusal)
    assert conditions(read)["Stalled"] == ("True", refusal.reason, refusal.message)
    assert conditions(read)["Ready"][0] == "True"
    assert read["candidate"]["message"] == refusal.message


def test_a_spec_that_cannot_be_read_keeps_the_memory_of_what_serves() -> None:
    memory = a_deployment().wants("1").serving("1").observed().memory
    read = build_invalid_status(memory, 7, "strategy.type: Input should be 'RollingUpdate'", NOW)
    assert read["stable"]["version"] == "1"
    assert conditions(read)["Stalled"][1:] == ("InvalidSpec", "strategy.type: Input should be 'RollingUpdate'")
    assert read["observedGeneration"] == 7


def test_a_condition_keeps_its_time_until_its_status_changes() -> None:
    builder = a_deployment().wants("1").serving("1")
    before = status(builder)
    for condition in before["conditions"]:
        condition["lastTransitionTime"] = "2025-01-01T00:00:00Z"
    builder.memory = Memory.model_validate(before)
    builder.workloads[0] = workload("1", ready=1, failure=BROKEN)
    times = {c["type"]: c["lastTransitionTime"] for c in status(builder)["conditions"]}
    assert times["Ready"] == "2026-01-01T12:00:00Z"
    assert times["RegistryReachable"] == "2025-01-01T00:00:00Z"


def test_the_digest_stays_known_when_the_pods_that_told_it_are_gone() -> None:
    builder = a_deployment().wants("1").serving("1")
    stable = builder.memory.stable
    assert stable is not None
    builder.remembers(stable=stable.model_copy(update={"digest": "sha256:ab", "since": LONG_AGO}))
    assert status(builder)["stable"]["digest"] == "sha256:ab"
