"""The verdict on a candidate and the step of a healthy one."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from modelvane.memory import Candidate
from modelvane.rollout import advance, judge
from modelvane.spec import Strategy
from modelvane.stage import Situation, Step
from modelvane.state import Failure, Workload

from tests.unit.operator.builder import NOW, revision, workload

DEADLINE = timedelta(minutes=10)
FETCH = Failure("FetchFailed", "http://mlflow:5000 does not answer", permanent=False)
LOAD = Failure("ModelLoadFailed", "it raised", permanent=True)
STABLE = workload("1", ready=2)


def situation(candidate: Workload | None, *, waiting_since: datetime = NOW, **changes: object) -> Situation:
    memory = Candidate(
        version="2", revision=revision("2"), since=NOW, waiting_since=waiting_since, message="403: denied by policy"
    )
    base = Situation(
        wanted=2,
        strategy=Strategy(),
        analysis=None,
        memory=memory,
        candidate=candidate,
        stable=STABLE,
        others_serve=False,
        first=False,
        warm=False,
        exact=False,
        routable=True,
        mirror_problem=None,
        skip=False,
        deadline=DEADLINE,
        registry_reachable=True,
        now=NOW,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


LATE = {"waiting_since": NOW - DEADLINE}


@pytest.mark.parametrize(
    ("case", "reason", "message"),
    [
        (situation(workload("2", failure=LOAD)), "ModelLoadFailed", "it raised"),
        (
            situation(workload("2", failure=FETCH), **LATE),
            "FetchFailed",
            "http://mlflow:5000 does not answer (still so after 10m)",
        ),
        (
            situation(workload("2", waiting_for="no node can take a pod: too big"), **LATE),
            "ProgressDeadlineExceeded",
            "0 of 2 pods are ready after 10m: no node can take a pod: too big",
        ),
        (
            situation(workload("2", ready=1), **LATE),
            "ProgressDeadlineExceeded",
            "1 of 2 pods are ready after 10m",
        ),
        (
            situation(workload("2", refused="exceeded quota: pods"), **LATE),
            "PodRefused",
            "its pods are refused after 10m: exceeded quota: pods",
        ),
        (
            situation(None, **LATE),
            "PodRefused",
            "its Deployment could not be made after 10m: 403: denied by policy",
        ),
    ],
)
def test_a_candidate_is_rejected_with_the_best_reason(case: Situation, reason: str, message: str) -> None:
    failure = judge(case, advance(case))
    assert failure is not None
    assert (failure.reason, failure.message) == (reason, message)


@pytest.mark.parametrize(
    "case",
    [
        situation(None),
        situation(workload("2")),
        situation(workload("2", failure=FETCH)),
        situation(workload("2", failure=FETCH), registry_reachable=False, **LATE),
        situation(workload("2"), waiting_since=NOW - DEADLINE + timedelta(seconds=1)),
        situation(workload("2", ready=2), **LATE),
    ],
    ids=["no Deployment yet", "starting", "fetch failed once", "the registry is down", "a second left", "all ready"],
)
def test_a_candidate_that_may_still_come_is_not_rejected(case: Situation) -> None:
    assert judge(case, advance(case)) is None


@pytest.mark.parametrize(
    ("case", "step"),
    [
        (situation(None), Step(1, 0, "no pod is verified yet")),
        (situation(workload("2", replicas=1)), Step(1, 0, "no pod is verified yet")),
        (situation(workload("2", replicas=2)), Step(2, 0, "no pod is verified yet")),
        (
            situation(workload("2", replicas=1, ready=1)),
            Step(2, 50, "1 of 2 pods are ready", step=1, steps=1, clear_others=True),
        ),
        (
            situation(workload("2", ready=2, ready_for=1)),
            Step(2, 50, "2 of 2 pods are ready", step=1, steps=1, clear_others=True, wake_after=timedelta(seconds=2)),
        ),
        (
            situation(workload("2", ready=2, ready_for=2)),
            Step(2, 100, "all 2 pods are ready", step=1, steps=1, promote=True),
        ),
        (situation(None, first=True), Step(2, 100, "no pod of 2 is verified yet")),
        (
            situation(workload("2", ready=1, ready_for=0), first=True),
            Step(2, 100, "the first pod is verified", promote=True),
        ),
    ],
)
def test_a_rolling_update_moves_traffic_with_readiness(case: Situation, step: Step) -> None:
    assert advance(case) == step
