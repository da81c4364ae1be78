from examples.demo.summary import Promotion, Summary
from examples.demo.timeline import Stretch
from examples.demo.traffic import Answers, Second, Traffic

PROMOTION = Promotion(6.2, 9.5, [Stretch("the model is fetched", 2.0), Stretch("traffic reaches it", 4.2)])
REJECTION = {"version": "3", "reason": "ModelLoadFailed", "message": "no such file"}


def traffic(errors: dict[str, int]) -> Traffic:
    answers = {"2": Answers(120, 1.0, 2.0)}
    return Traffic([Second(at, answers, errors if at == 2 else {}, 4.0, 9.0, done=at == 2) for at in (1.0, 2.0)])


def test_a_demo_without_a_lost_request_has_no_faults() -> None:
    assert Summary(traffic({}), PROMOTION, REJECTION).faults() == []


def test_one_failed_request_is_a_fault_and_is_shown() -> None:
    (fault,) = Summary(traffic({"HTTP 503: draining": 1}), PROMOTION, REJECTION).faults()
    assert fault == "1 of 241 requests failed: 1 x HTTP 503: draining"


def test_a_broken_version_that_was_not_rejected_is_a_fault() -> None:
    (fault,) = Summary(traffic({}), PROMOTION, None).faults()
    assert "version 3" in fault


def test_no_traffic_at_all_is_a_fault() -> None:
    faults = Summary(Traffic(), None, REJECTION).faults()
    assert faults == ["no request was answered", "version 2 did not take over"]


def test_the_figures_are_printed_with_their_split() -> None:
    text = "\n".join(Summary(traffic({}), PROMOTION, REJECTION).lines())
    assert "Promotion to first answer by version 2        6.2 s" in text
    assert "the model is fetched                      2.0 s" in text
    assert "Promotion to all answers by version 2         9.5 s" in text
    assert "rejected: ModelLoadFailed" in text
