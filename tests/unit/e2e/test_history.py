"""The judge of the end-to-end tests must itself find each kind of wrong answer."""

from examples.demo.traffic import Reply
from tests.e2e.history import History, Moment, Slack, Span, read_moment

SLACK = Slack(early=1, new=2, kept=5)
BEFORE = Moment(0, "1", None, 0, None)
VERIFYING = Moment(10, "1", "2", 0, None, step=None)
SHARING = Moment(20, "1", "2", 30, None, step=1)
PROMOTED = Moment(30, "2", None, 0, "1")
COLD = Moment(40, "2", None, 0, None)
REJECTED = Moment(30, "1", None, 0, None, frozenset({"2"}))


def reply(at: float, version: str, *, kept: bool = False, wrong: str | None = None, seconds: float = 0.01) -> Reply:
    return Reply(at + seconds, seconds, version, kept, wrong)


def faults(*replies: Reply, story: tuple[Moment, ...], failing: tuple[str, ...] = ()) -> list[str]:
    return History(story, replies, SLACK).faults(failing)


PROMOTION = (BEFORE, VERIFYING, SHARING, PROMOTED, COLD)
ROLLBACK = (BEFORE, VERIFYING, SHARING, REJECTED)


def test_a_rollout_without_a_wrong_answer_has_no_faults() -> None:
    good = [reply(5, "1"), reply(15, "1"), reply(19.5, "2"), reply(25, "1"), reply(25, "2"), reply(35, "2")]
    assert faults(*good, story=PROMOTION) == []


def test_a_failed_request_is_a_fault_however_it_failed() -> None:
    (fault,) = faults(reply(25, "", wrong="refused"), story=PROMOTION)
    assert fault.startswith("1 x refused on a new connection")
    (fault,) = faults(reply(25, "2", kept=True, wrong="HTTP 500"), story=PROMOTION)
    assert fault.startswith("1 x HTTP 500 on a kept connection")


def test_a_version_known_to_fail_may_fail_only_while_it_has_traffic() -> None:
    broken, answered = reply(25, "", wrong="reset"), reply(25, "2", wrong="HTTP 500")
    assert faults(broken, answered, story=ROLLBACK, failing=("2",)) == []
    assert len(faults(reply(15, "", wrong="reset"), story=ROLLBACK, failing=("2",))) == 1
    assert len(faults(reply(33, "2", wrong="HTTP 500"), story=ROLLBACK, failing=("2",))) == 1
    assert len(faults(reply(25, "1", wrong="HTTP 500"), story=ROLLBACK, failing=("2",))) == 1


def test_a_candidate_without_traffic_may_not_answer() -> None:
    (fault,) = faults(reply(15, "2"), reply(16, "2"), story=PROMOTION)
    assert fault.startswith("2 x version 2 answered on a new connection when it was not to have traffic")


def test_the_traffic_may_move_a_moment_before_the_status_says_so() -> None:
    assert faults(reply(19.1, "2"), story=PROMOTION) == []
    assert len(faults(reply(18.9, "2"), story=PROMOTION)) == 1


def test_an_answer_counts_for_all_the_time_between_sending_and_ending() -> None:
    assert faults(reply(18, "2", seconds=1.5), story=PROMOTION) == []


def test_the_old_version_may_answer_while_it_is_warm_only_to_who_is_connected() -> None:
    assert faults(reply(39, "1", kept=True), reply(44, "1", kept=True), reply(31, "1"), story=PROMOTION) == []
    assert len(faults(reply(33, "1"), story=PROMOTION)) == 1
    assert len(faults(reply(46, "1", kept=True), story=PROMOTION)) == 1


def test_a_rejected_version_may_never_answer_again() -> None:
    assert faults(reply(31, "2"), reply(34, "2", kept=True), story=ROLLBACK) == []
    assert len(faults(reply(32.5, "2"), story=ROLLBACK)) == 1
    assert len(faults(reply(36, "2", kept=True), story=ROLLBACK)) == 1


def test_an_answer_of_nobody_known_is_a_fault() -> None:
    assert len(faults(reply(25, ""), story=PROMOTION)) == 1
    assert len(faults(reply(25, "7"), story=PROMOTION)) == 1


def test_the_last_answer_after_a_verdict_is_told_by_kind_of_connection() -> None:
    history = History(ROLLBACK, [reply(25, "2"), reply(30.5, "2"), reply(33, "2", kept=True)], SLACK)
    assert history.last_answer("2", since=30, kept=False) == 30.51
    assert history.last_answer("2", since=30) == 33.01
    assert history.last_answer("2", since=40) is None


def test_shares_are_counted_by_when_requests_were_sent() -> None:
    history = History(PROMOTION, [reply(at, "2" if at % 4 == 0 else "1") for at in range(20, 30)], SLACK)
    assert history.share("2", 20, 28) == (2, 8)


def test_the_time_of_a_step_is_joined_over_changes_that_move_nothing() -> None:
    checked = Moment(24, "1", "2", 30, None, frozenset(), 1)
    history = History((*PROMOTION[:3], checked, *PROMOTION[3:]), [], SLACK)
    assert history.step_span("2", 1, 30) == Span(20, 30)
    assert history.step_span("2", 1, 50) is None


def test_a_moment_is_read_from_the_status() -> None:
    status = {
        "stable": {"version": "1"},
        "candidate": {"version": "2", "weight": 30, "step": 1},
        "warm": {"version": "7"},
        "rejected": [{"version": "9"}],
    }
    assert read_moment(3.0, {"status": status}) == Moment(3.0, "1", "2", 30, "7", frozenset({"9"}), 1)
    assert read_moment(3.0, {}) == Moment(3.0, None, None, 0, None)
