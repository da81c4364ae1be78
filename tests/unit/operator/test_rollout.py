"""The verdict on a candidate and the step of a healthy one."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from modelvane.engine.memory import AnalysisSeen, PredictionsSeen
from modelvane.engine.rollout import advance, judge
from modelvane.engine.stage import Situation, Step
from modelvane.engine.state import Failure

from tests.unit.operator.builder import NOW, situation, workload

DEADLINE = timedelta(minutes=10)
FETCH = Failure("FetchFailed", "http://mlflow:5000 does not answer", permanent=False)
LOAD = Failure("ModelLoadFailed", "it raised", permanent=True)

LATE: dict[str, Any] = {"waiting_since": NOW - DEADLINE}


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
        situation(workload("2"), registry_reachable=False, **LATE),
        situation(workload("2"), waiting_since=NOW - DEADLINE + timedelta(seconds=1)),
        situation(workload("2", ready=2), **LATE),
    ],
    ids=[
        "no Deployment yet",
        "starting",
        "fetch failed once",
        "fetch failed without the registry",
        "fetch still tries without the registry",
        "a second left",
        "all ready",
    ],
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


def test_the_deadline_waits_while_a_person_holds_the_rollout() -> None:
    s = situation(workload("2"), remembered={"paused": "Request"}, **LATE)
    assert judge(s, advance(s)) is None
    s = situation(workload("2", failure=LOAD), remembered={"paused": "Request"}, **LATE)
    assert judge(s, advance(s)) == LOAD


# --- before any traffic


COMPARED = PredictionsSeen(compared=10, different=0, verdict="Passed", message="0 of 10 predictions differ")
UNKNOWN = PredictionsSeen(compared=0, different=0, verdict="Inconclusive", message="no input example")
PARTLY = PredictionsSeen(compared=149, different=0, verdict="Inconclusive", message="input 150: no answer within 10 s")
OLDER = PredictionsSeen(compared=149, different=0, message="an operator wrote this that knew no verdict")
MIRROR = {"mirror": {"percent": 60, "duration": "1m"}}
VERIFIED = workload("2", replicas=2, ready=2)


def comparing(seen: PredictionsSeen | None, limit: str | None = "5%", **more: object) -> Situation:
    analysis = {"predictions": {"maxDifferent": limit}, **more}
    return situation(VERIFIED, analysis=analysis, remembered={"predictions": seen})


@pytest.mark.parametrize(
    ("seen", "limit", "inconclusive", "then"),
    [
        (None, "5%", "Promote", "wait"),
        (None, None, "Promote", "wait"),
        (COMPARED, "5%", "RollBack", "traffic"),
        (UNKNOWN, "5%", "Pause", "Inconclusive"),
        (UNKNOWN, "5%", "Promote", "traffic"),
        (UNKNOWN, "5%", "RollBack", "roll back"),
        (UNKNOWN, None, "RollBack", "traffic"),
        (PARTLY, "5%", "Pause", "Inconclusive"),
        (PARTLY, "5%", "Promote", "traffic"),
        (PARTLY, "5%", "RollBack", "roll back"),
        (PARTLY, None, "RollBack", "traffic"),
        (OLDER, "5%", "Pause", "wait"),
        (OLDER, "5%", "Promote", "wait"),
        (OLDER, "5%", "RollBack", "wait"),
    ],
)
def test_predictions_are_compared_before_any_traffic(
    seen: PredictionsSeen | None, limit: str | None, inconclusive: str, then: str
) -> None:
    s = comparing(seen, limit, onInconclusive=inconclusive)
    step = advance(s)
    verdict = judge(s, step)
    if then == "roll back":
        assert verdict == Failure(
            "AnalysisInconclusive", f"it cannot be judged: {seen and seen.message}", permanent=True
        )
    else:
        assert verdict is None
        assert (step.step or step.paused or "wait") == (1 if then == "traffic" else then)
        assert (step.weight > 0) == (then == "traffic")


def test_predictions_that_differ_too_much_reject() -> None:
    s = comparing(PredictionsSeen(compared=10, different=1, verdict="Failed", message="1 of 10 predictions differ"))
    assert judge(s, advance(s)) == Failure("PredictionsDiffer", "1 of 10 predictions differ", permanent=True)


@pytest.mark.parametrize(
    ("remembered", "then"),
    [
        ({}, (None, 60, None)),
        ({"mirror_percent": 60, "step_started_at": NOW - timedelta(seconds=59)}, (None, 60, None)),
        ({"mirror_percent": 60, "step_started_at": NOW - timedelta(seconds=60)}, (1, None, None)),
        (
            {"mirror_percent": 60, "step_started_at": NOW - timedelta(seconds=90), "paused": "Request"},
            (None, 60, "Request"),
        ),
    ],
)
def test_copies_of_requests_come_before_any_traffic(
    remembered: dict[str, object], then: tuple[int | None, int | None, str | None]
) -> None:
    step = advance(situation(VERIFIED, exact=True, strategy={"type": "BlueGreen", **MIRROR}, remembered=remembered))
    assert (step.step, step.mirror_percent, step.paused) == then
    assert step.replicas == 2


def test_a_gateway_that_cannot_copy_requests_is_not_asked_to() -> None:
    step = advance(situation(VERIFIED, exact=True, strategy=MIRROR, mirror_problem="GatewayClass x does not list it"))
    assert (step.step, step.mirror_percent) == (1, None)
    assert advance(situation(VERIFIED, strategy=MIRROR)).step == 1


def test_a_person_who_ends_the_comparison_still_gets_the_copies() -> None:
    s = situation(
        VERIFIED,
        exact=True,
        strategy=MIRROR,
        analysis={"predictions": {"maxDifferent": "5%"}},
        remembered={"predictions": UNKNOWN, "paused": "Inconclusive"},
    )
    asked = advance(replace(s, skip=True))
    assert (asked.step, asked.mirror_percent, asked.paused) == (None, 60, None)
    memory = s.memory.model_copy(update={"mirror_percent": 60, "step_started_at": NOW, "paused": None})
    assert advance(replace(s, memory=memory)).mirror_percent == 60
    assert advance(replace(s, memory=memory, skip=True)).step == 1
    # Also while its pods are away, which is when one asks for it.
    assert advance(replace(s, candidate=workload("2"), memory=memory, skip=True)).step == 1


def test_a_candidate_that_lost_its_pods_is_not_asked_about_its_predictions_again() -> None:
    remembered = {"predictions": UNKNOWN, "mirror_percent": 60, "step_started_at": NOW}
    analysis = {"predictions": {"maxDifferent": "5%"}}
    s = situation(workload("2"), exact=True, strategy=MIRROR, analysis=analysis, remembered=remembered)
    assert advance(s).mirror_percent == 60


@pytest.mark.parametrize("case", ["first", "warm"])
def test_a_first_and_a_warm_version_take_no_steps(case: str) -> None:
    strategy = {"type": "Canary", "steps": [{"weight": 10, "pause": {}}], **MIRROR}
    s = replace(situation(VERIFIED, exact=True, strategy=strategy), **{case: True})  # type: ignore[arg-type]
    assert advance(s).promote


# --- under traffic


FAILED = AnalysisSeen(since=NOW, checked_at=NOW, verdict="Failed", message="error rate 5% is above maxErrorRate 1%")


@pytest.mark.parametrize(
    ("failed", "limit", "message"),
    [
        (0, 1, None),
        (1, 2, None),
        (2, 2, "2 checks failed, the last one: error rate 5% is above maxErrorRate 1%"),
        (3, 2, "3 checks failed, the last one: error rate 5% is above maxErrorRate 1%"),
    ],
)
@pytest.mark.parametrize("paused", [None, "Step", "Request", "Inconclusive"])
@pytest.mark.parametrize("strategy", ["RollingUpdate", "BlueGreen"])
def test_a_candidate_is_rejected_when_so_many_checks_have_failed(
    strategy: str, paused: str | None, failed: int, limit: int, message: str | None
) -> None:
    remembered = {"step": 1, "weight": 50, "analysis": FAILED, "failed_checks": failed, "paused": paused}
    analysis = {"failureLimit": limit}
    s = situation(VERIFIED, strategy={"type": strategy}, analysis=analysis, remembered=remembered)
    verdict = judge(s, advance(s))
    assert (verdict.message if verdict else None) == message


def test_checks_that_failed_are_forgotten_with_the_analysis() -> None:
    s = situation(VERIFIED, remembered={"step": 1, "analysis": FAILED, "failed_checks": 5})
    assert judge(s, advance(s)) is None
    assert advance(s).promote
