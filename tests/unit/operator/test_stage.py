"""When a stage is over, what it waits for otherwise, and when it is looked at again."""

from datetime import timedelta

import pytest
from modelvane.engine.memory import AnalysisSeen
from modelvane.engine.stage import Situation, Stage, Step, stay
from modelvane.spec import Pause

from tests.unit.operator.builder import NOW, situation, workload

MINUTE = Pause(duration=timedelta(minutes=1))
PERSON = Pause()
AT_ONCE = Pause(duration=timedelta(0))
HALF = Stage(1, 2, 50, 1, True, "half of it")


def check(verdict: str, seconds_ago: float) -> AnalysisSeen:
    at = NOW - timedelta(seconds=seconds_ago)
    return AnalysisSeen.model_validate({"since": at, "checked_at": at, "verdict": verdict, "message": "so it is"})


def at(
    seconds: float | None, seen: AnalysisSeen | None = None, judged: str | None = "Pause", **more: object
) -> Situation:
    """Make a stage that began some seconds ago."""
    started = None if seconds is None else NOW - timedelta(seconds=seconds)
    return situation(
        workload("2", replicas=1, ready=1),
        exact=True,
        analysis=None if judged is None else {"interval": "10s", "onInconclusive": judged},
        remembered={"step_started_at": started, "analysis": seen, **more},
    )


def outcome(step: Step | None) -> str:
    if step is None:
        return "over"
    return "roll back" if step.inconclusive else step.paused or "stay"


# The pause, how long ago the stage began, the last check and how long ago it was, onInconclusive.
TABLE = """
pause    began  check         ago  inconclusive  then
1m       0      -             -    none          stay
1m       59     -             -    none          stay
1m       60     -             -    none          over
at once  0      -             -    none          over
person   3600   -             -    none          Step
1m       59     Passed        5    Pause         stay
1m       60     Passed        5    Pause         over
1m       60     Passed        59   Pause         over
1m       60     Passed        60   Pause         Inconclusive
1m       60     Passed        90   Pause         Inconclusive
1m       60     Failed        5    Pause         stay
1m       60     -             -    Pause         Inconclusive
1m       60     Inconclusive  5    Pause         Inconclusive
1m       60     Inconclusive  5    Promote       over
1m       60     Inconclusive  5    RollBack      roll back
1m       60     -             -    RollBack      roll back
1m       130    Failed        50   RollBack      stay
1m       130    Failed        60   RollBack      roll back
at once  10     -             -    RollBack      stay
at once  29     -             -    RollBack      stay
at once  30     -             -    RollBack      roll back
at once  11     Passed        1    RollBack      over
person   3600   Passed        5    Pause         Step
person   3600   Inconclusive  5    RollBack      Step
"""


@pytest.mark.parametrize("row", TABLE.strip().splitlines()[1:])
def test_a_stage_ends_when_its_time_is_over_and_its_last_check_passed(row: str) -> None:
    words = row.replace("at once", "at-once").split()
    pause, began, verdict, ago, judged, then = words[0], words[1], words[2], words[3], words[4], " ".join(words[5:])
    seen = None if verdict == "-" else check(verdict, float(ago))
    s = at(float(began), seen, None if judged == "none" else judged)
    assert outcome(stay(s, HALF, {"1m": MINUTE, "at-once": AT_ONCE, "person": PERSON}[pause])) == then


@pytest.mark.parametrize("pause", [MINUTE, PERSON, AT_ONCE])
def test_a_stage_that_a_person_paused_stays_and_one_that_a_person_ends_is_over(pause: Pause) -> None:
    held = stay(at(3600, check("Passed", 1), paused="Request"), HALF, pause)
    assert held is not None
    assert (held.paused, held.message) == ("Request", "half of it (paused on request)")
    assert stay(situation(workload("2", ready=1), skip=True), HALF, pause) is None


@pytest.mark.parametrize("pause", [MINUTE, PERSON, AT_ONCE])
def test_a_stage_whose_pods_are_not_there_has_not_begun(pause: Pause) -> None:
    step = stay(at(None), Stage(1, 2, 50, 2, False, "1 of 2"), pause)
    assert step is not None
    assert (step.step_started_at, step.paused, step.inconclusive) == (None, None, False)


def test_a_stage_that_loses_its_pods_goes_on_when_they_are_back() -> None:
    lost = stay(at(90, judged=None), Stage(1, 2, 50, 2, False, "1 of 2"), MINUTE)
    assert lost is not None
    assert lost.step_started_at == NOW - timedelta(seconds=90)
    assert stay(at(90, judged=None), HALF, MINUTE) is None


def test_a_stage_that_waits_for_a_verdict_says_so() -> None:
    step = stay(at(60, check("Failed", 1)), HALF, MINUTE)
    assert step is not None
    assert step.message == "half of it, waiting for a check that passes"
    step = stay(at(60), HALF, MINUTE)
    assert step is not None
    assert step.message == "half of it: too little to judge it by, waiting for requests or for a person"
    step = stay(at(60, check("Inconclusive", 1), "RollBack"), HALF, MINUTE)
    assert step is not None
    assert step.message == "so it is"


# --- every wait ends by a watch event or by an alarm


def wake(s: Situation, stage: Stage, pause: Pause) -> float | None:
    step = stay(s, stage, pause)
    assert step is not None
    return step.wake_after.total_seconds() if step.wake_after is not None else None


def test_a_pause_wakes_at_its_end_and_one_for_a_person_never() -> None:
    assert wake(at(20, judged=None), HALF, MINUTE) == 40
    assert wake(at(20, judged=None), HALF, PERSON) is None


@pytest.mark.parametrize(
    ("began", "after"),
    # A status has whole seconds, so the stage began at most a second after the time that is in it.
    [(0, 1.05), (1, 10.05), (4, 7.05), (10, 1.05), (11, 10.05), (58, 2)],
)
def test_traffic_that_is_analysed_is_looked_at_once_an_interval(began: float, after: float) -> None:
    assert wake(at(began), HALF, MINUTE) == pytest.approx(after)


def test_analysis_goes_on_while_a_person_is_waited_for_and_while_pods_are_missing() -> None:
    assert wake(at(5), HALF, PERSON) == pytest.approx(6.05)
    assert wake(at(None), Stage(2, 2, 10, 2, False, "1 of 2"), PERSON) == pytest.approx(1.05)
    assert wake(at(None), Stage(2, 2, 0, 2, False, "1 of 2"), PERSON) is None


@pytest.mark.parametrize(
    ("replicas", "ready", "ready_for", "after"),
    [(2, 0, 0, None), (2, 1, 60, None), (2, 1, 0, 2), (2, 2, 0, 2), (2, 2, 60, 2)],
    ids=["none ready", "one is missing", "one settles", "both settle", "others are in the way"],
)
def test_pods_that_have_just_become_ready_are_looked_at_again(
    replicas: int, ready: int, ready_for: float, after: float | None
) -> None:
    candidate = workload("2", replicas=replicas, ready=ready, ready_for=ready_for)
    assert wake(situation(candidate), Stage(1, 1, 50, 2, False, "waiting"), MINUTE) == after
