"""What the analysis says becomes part of the rollout's memory, and of its story."""

from datetime import timedelta

import pytest
from modelvane.analysis.figures import Comparison, Figures, Measurement
from modelvane.engine.checks import note_checks
from modelvane.engine.ledger import Entry
from modelvane.engine.memory import AnalysisSeen, PredictionsSeen

from tests.unit.operator.builder import NOW, a_deployment

ANALYSIS = {"interval": "10s", "minRequests": 50, "maxErrorRate": "1%", "predictions": {"maxDifferent": "5%"}}
BEGAN = NOW - timedelta(seconds=30)


def measured(requests: int, errors: int = 0, seconds_ago: int = 0) -> Measurement:
    until = NOW - timedelta(seconds=seconds_ago)
    return Measurement(BEGAN, until, Figures(requests, errors), Figures(100, 0))


def noted(
    measurement: Measurement | None = None,
    comparison: Comparison | None = None,
    spec: object = ANALYSIS,
    **remembered: object,
) -> Entry:
    builder = a_deployment().with_spec(analysis=spec).wants("2").serving("1").rolling("2", ready=1, shifting=True)
    fields = {"step_started_at": BEGAN, **remembered}
    builder.remembers(candidate=builder.memory.candidate and builder.memory.candidate.model_copy(update=fields))
    o = builder.but(measurement=measurement, comparison=comparison).observed()
    return note_checks(o, o.memory)


def verdict(verdict: str, seconds_ago: int) -> AnalysisSeen:
    at = NOW - timedelta(seconds=seconds_ago)
    return AnalysisSeen.model_validate({"since": at, "checked_at": at, "verdict": verdict, "message": "as it was"})


FEW, GOOD, BAD = measured(9), measured(100), measured(100, 5)


@pytest.mark.parametrize(
    ("before", "now", "then"),
    [
        (None, FEW, ("Inconclusive", None)),
        (None, GOOD, ("Passed", None)),
        (None, BAD, ("Failed", 1)),
        (verdict("Passed", 10), BAD, ("Failed", 1)),
        (verdict("Failed", 10), GOOD, ("Passed", None)),
        (verdict("Passed", 10), FEW, ("Passed", None)),
        (verdict("Failed", 10), FEW, ("Failed", None)),
        (verdict("Passed", 30), FEW, ("Inconclusive", None)),
        (verdict("Passed", 40), FEW, ("Inconclusive", None)),
        (verdict("Inconclusive", 10), GOOD, ("Passed", None)),
    ],
)
def test_a_verdict_of_this_step_stands_until_the_next_one(
    before: AnalysisSeen | None, now: Measurement, then: tuple[str, int | None]
) -> None:
    memory, _ = noted(now, analysis=before)
    assert memory.candidate is not None
    assert memory.candidate.analysis is not None
    assert (memory.candidate.analysis.verdict, memory.candidate.failed_checks) == then


def test_a_failed_check_is_counted_and_told() -> None:
    memory, events = noted(BAD, failed_checks=1)
    assert memory.candidate is not None
    assert memory.candidate.failed_checks == 2
    said = "error rate 5% is above maxErrorRate 1% (5 of 100 requests; stable 0%)"
    assert [(e.reason, e.message, e.type) for e in events] == [
        ("CheckFailed", f"version 2: check 2 of 2 failed: {said}", "Warning")
    ]


def test_a_check_that_passed_is_seen_in_the_status_alone() -> None:
    memory, events = noted(GOOD)
    assert memory.candidate is not None
    assert memory.candidate.analysis is not None
    assert (memory.candidate.analysis.since, memory.candidate.analysis.checked_at, events) == (BEGAN, NOW, ())


def test_a_quiet_service_is_not_a_write_at_each_look() -> None:
    before, _ = noted(measured(9, seconds_ago=10))
    assert before.candidate is not None
    after, _ = noted(measured(9), analysis=before.candidate.analysis)
    assert after == before
    after, _ = noted(measured(10), analysis=before.candidate.analysis)
    assert after != before


def test_a_comparison_is_told_once() -> None:
    memory, events = noted(comparison=Comparison(10, 3))
    assert memory.candidate is not None
    assert memory.candidate.predictions is not None
    assert memory.candidate.predictions.different == 3
    told = "version 2: 3 of 10 predictions differ from stable's (30%), above maxDifferent 5%"
    assert [(event.reason, event.message) for event in events] == [("PredictionsCompared", told)]
    again, events = noted(comparison=Comparison(10, 3), predictions=memory.candidate.predictions)
    assert (again, events) == (memory, ())


@pytest.mark.parametrize(
    ("comparison", "verdict"),
    [
        (Comparison(10, 3), "Failed"),
        (Comparison(10, 0), "Passed"),
        (Comparison(10, 0, trouble="input 11: no answer within 10 s"), "Inconclusive"),
    ],
)
def test_the_verdict_of_a_comparison_is_remembered(comparison: Comparison, verdict: str) -> None:
    memory, _ = noted(comparison=comparison)
    assert memory.candidate is not None
    assert memory.candidate.predictions is not None
    assert memory.candidate.predictions.verdict == verdict


def test_a_comparison_that_could_not_be_made_is_no_event() -> None:
    memory, events = noted(comparison=Comparison(0, 0, trouble="no input example"))
    assert memory.candidate is not None
    expected = PredictionsSeen(compared=0, different=0, verdict="Inconclusive", message="no input example")
    assert memory.candidate.predictions == expected
    assert events == ()


@pytest.mark.parametrize("spec", [None, {"interval": "10s"}])
def test_what_is_not_asked_for_is_not_noted(spec: object) -> None:
    memory, events = noted(BAD if spec is None else None, Comparison(10, 3), spec=spec)
    assert memory.candidate is not None
    assert (memory.candidate.analysis, memory.candidate.predictions, events) == (None, None, ())
