from examples.demo.summary import Promotion, Rollback, Summary
from examples.demo.timeline import Share, Stretch
from examples.demo.traffic import Answers, Second, Traffic

PROMOTION = Promotion(6.2, 9.5, [Stretch("the model is fetched", 2.0), Stretch("traffic reaches it", 4.2)])
REJECTION = {"version": "3", "reason": "ModelLoadFailed", "message": "no such file"}
ROLLBACK = Rollback({"version": "5", "reason": "AnalysisFailed", "message": "error rate 100%"}, 80, 9.0)
CANARY = (Share(33, 0.331, 960), Share(50, 0.499, 960))


def traffic(errors: dict[str, int]) -> Traffic:
    answers = {"2": Answers(120, 1.0, 2.0)}
    return Traffic([Second(at, answers, errors if at == 2 else {}, 4.0, 9.0, done=at == 2) for at in (1.0, 2.0)])


def test_a_demo_without_a_lost_request_has_no_faults() -> None:
    assert Summary(traffic({}), PROMOTION, REJECTION, CANARY, ROLLBACK).faults() == []


def test_one_failed_request_is_a_fault_and_is_shown() -> None:
    (fault,) = Summary(traffic({"HTTP 503: draining": 1}), PROMOTION, REJECTION, CANARY, ROLLBACK).faults()
    assert fault == "1 of 241 requests failed: 1 x HTTP 503: draining"


def test_what_the_fragile_version_failed_is_no_lost_request() -> None:
    failed = traffic({"HTTP 500 by version 5: division by zero": 80, "HTTP 503 by version 4: draining": 2})
    summary = Summary(failed, PROMOTION, REJECTION, CANARY, ROLLBACK)
    (fault,) = summary.faults()
    assert fault == "2 of 322 requests failed: 2 x HTTP 503 by version 4: draining"
    assert "Requests lost                                   2" in summary.lines()


def test_a_canary_without_steps_and_a_version_that_stayed_are_faults() -> None:
    steps, stayed = Summary(traffic({}), PROMOTION, REJECTION).faults()
    assert "version 4" in steps
    assert "version 5" in stayed


def test_a_broken_version_that_was_not_rejected_is_a_fault() -> None:
    (fault,) = Summary(traffic({}), PROMOTION, None, CANARY, ROLLBACK).faults()
    assert "version 3" in fault


def test_no_traffic_at_all_is_a_fault() -> None:
    faults = Summary(Traffic(), None, REJECTION, CANARY, ROLLBACK).faults()
    assert faults == ["no request was answered", "version 2 did not take over"]


def test_the_figures_are_printed_with_their_split() -> None:
    text = "\n".join(Summary(traffic({}), PROMOTION, REJECTION, CANARY, ROLLBACK).lines())
    assert "Promotion to first answer by version 2        6.2 s" in text
    assert "the model is fetched                      2.0 s" in text
    assert "Promotion to all answers by version 2         9.5 s" in text
    assert "rejected: ModelLoadFailed" in text
    assert "Version 4, by canary                     33% gave 33.1% of 960, 50% gave 49.9% of 960" in text
    assert "rolled back: AnalysisFailed" in text
