"""The image's packages differ from what the model asks for: seen at the pods, kept in the status, told once."""

from dataclasses import replace
from typing import Any

import pytest
from modelvane.cluster.snapshot import read_pod
from modelvane.engine.decide import decide
from modelvane.engine.memory import Memory
from modelvane.engine.state import Failure, Workload
from modelvane.engine.status import build_status

from tests.unit.operator.builder import NOW, Builder, a_deployment, workload

DIFFERS = "the model asks for scikit-learn==1.7.2, the image has 1.9.1"
BROKEN = Failure("ModelLoadFailed", "it raised ValueError: no", permanent=True)


def fetched(message: str, code: int = 0) -> dict[str, Any]:
    state = {"terminated": {"exitCode": code, "message": message}}
    containers = [{"name": "fetch", "state": state, "restartCount": 0}]
    metadata = {"name": "p", "creationTimestamp": "2026-01-01T12:00:00Z"}
    return {"metadata": metadata, "status": {"initContainerStatuses": containers}}


@pytest.mark.parametrize(
    ("message", "code", "read"),
    [
        (f'{{"digest": "sha256:1", "environment": "{DIFFERS}"}}', 0, ("sha256:1", DIFFERS)),
        ('{"digest": "sha256:1"}', 0, ("sha256:1", None)),
        ('{"digest": 1, "environment": ["a"]}', 0, (None, None)),
        (f'{{"environment": "{DIFFERS}"}}', 1, (None, None)),
        ("no JSON", 0, (None, None)),
    ],
)
def test_fetch_says_it_when_it_is_done(message: str, code: int, read: tuple[str | None, str | None]) -> None:
    pod = read_pod(fetched(message, code))
    assert (pod.digest, pod.environment) == read


def lacking(found: Workload) -> Workload:
    return replace(found, pods=tuple(replace(pod, environment=DIFFERS) for pod in found.pods))


def told(builder: Builder) -> tuple[list[tuple[str, str, str]], dict[str, Any]]:
    """Decide once; return what is told of packages, and the status."""
    o = builder.observed()
    plan = decide(o, NOW)
    mine = [(e.reason, e.message, str(e.type)) for e in plan.events if e.reason == "EnvironmentDiffers"]
    return mine, build_status(o, plan, None, NOW)


def test_it_is_told_once_for_a_candidate_and_goes_with_it_when_it_is_promoted() -> None:
    builder = a_deployment().wants("1").rolling("1", replicas=2)
    builder.workloads = [lacking(builder.workloads[0])]
    first, status = told(builder)
    assert first == [("EnvironmentDiffers", f"version 1: {DIFFERS}", "Warning")]
    assert status["candidate"]["environment"] == DIFFERS

    builder.memory = Memory.model_validate(status)
    assert told(builder)[0] == []
    builder.workloads = [lacking(workload("1", ready=2))]
    again, promoted = told(builder)
    assert (again, promoted["stable"]["environment"]) == ([], DIFFERS)

    # Its pods may all be away for a moment: what was known of them is kept.
    builder.memory, builder.workloads = Memory.model_validate(promoted), [replace(workload("1"), pods=())]
    assert told(builder)[1]["stable"]["environment"] == DIFFERS


def test_of_two_revisions_only_the_one_that_differs_is_told_of() -> None:
    builder = a_deployment().wants("2").serving("1").rolling("2")
    builder.workloads[1] = lacking(builder.workloads[1])
    events, status = told(builder)
    assert [message for _, message, _ in events] == [f"version 2: {DIFFERS}"]
    assert "environment" not in status["stable"]


def test_a_version_that_fails_at_once_is_told_of_before_it_is_rejected() -> None:
    builder = a_deployment().wants("2").serving("1").rolling("2", failure=BROKEN)
    builder.workloads[1] = lacking(builder.workloads[1])
    reasons = [event.reason for event in decide(builder.observed(), NOW).events]
    assert reasons.index("EnvironmentDiffers") < reasons.index("Rejected")
