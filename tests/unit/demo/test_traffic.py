import json

from examples.demo.traffic import Reply, Traffic, parse


def line(at: float, *replies: Reply) -> str:
    """Write a line as the load generator does."""
    ended = [
        [round((at - reply.ended) * 1000), reply.seconds * 1000, reply.version, int(reply.kept)]
        + ([reply.wrong] if reply.wrong else [])
        for reply in replies
    ]
    return json.dumps({"at": at, "ended": ended})


def by(version: str, *, count: int, since: float, until: float) -> list[Reply]:
    """Make answers that come evenly spaced."""
    step = (until - since) / max(count - 1, 1)
    return [Reply(since + number * step, 0.004, version, kept=True) for number in range(count)]


def bad(why: str, *, count: int, at: float) -> list[Reply]:
    return [Reply(at, 0.004, "", kept=False, wrong=why)] * count


def traffic(*lines: str) -> Traffic:
    return Traffic([second for one in lines if (second := parse(one))])


def test_lines_add_up_to_requests_sent_and_failed() -> None:
    seen = traffic(
        line(1.0, *by("1", count=100, since=0.1, until=0.9)),
        line(
            2.0,
            *by("1", count=60, since=1.0, until=1.9),
            *by("2", count=50, since=1.4, until=1.9),
            *bad("503", count=2, at=2.0),
        ),
    )
    assert (seen.answered, seen.failed, seen.sent) == (210, 2, 212)
    assert seen.versions == {"1", "2"}


def test_first_and_last_answers_are_found_over_all_lines() -> None:
    seen = traffic(
        line(1.0, *by("1", count=100, since=0.1, until=0.9)),
        line(2.0, *by("1", count=60, since=1.0, until=1.9), *by("2", count=50, since=1.4, until=1.95)),
        line(3.0, *by("2", count=110, since=2.0, until=2.9)),
    )
    assert seen.first_answer("2") == 1.4
    assert seen.last_answer("1") == 1.9
    assert seen.first_answer("3") is None


def test_failures_are_listed_with_the_most_frequent_first() -> None:
    seen = traffic(
        line(1.0, *bad("refused", count=1, at=1.0), *bad("HTTP 500", count=2, at=1.0)),
        line(2.0, *bad("refused", count=5, at=2.0)),
    )
    assert list(seen.errors().items()) == [("refused", 6), ("HTTP 500", 2)]


def test_since_leaves_out_what_was_printed_before() -> None:
    seen = traffic(
        line(1.0, *by("1", count=9, since=0.1, until=0.9)), line(2.0, *by("2", count=8, since=1.0, until=1.9))
    )
    assert seen.since(1.5).versions == {"2"}


def test_rate_is_requests_by_seconds_between_the_lines() -> None:
    seen = traffic(
        line(10.0, *by("1", count=3, since=9.9, until=10.0)),
        line(11.0, *by("1", count=118, since=10.1, until=11.0), *bad("refused", count=2, at=10.5)),
        line(12.0, *by("1", count=120, since=11.1, until=12.0)),
    )
    assert seen.rate() == 120.0


def test_each_reply_is_kept_with_its_time_its_version_and_its_connection() -> None:
    (second,) = traffic(
        line(5.0, Reply(4.5, 0.25, "2", kept=True), Reply(4.75, 0.5, "", kept=False, wrong="refused"))
    ).seconds
    first, last = second.replies
    assert (first.started, first.ended, first.version, first.kept, first.wrong) == (4.25, 4.5, "2", True, None)
    assert (last.started, last.ended, last.version, last.kept, last.wrong) == (4.25, 4.75, "", False, "refused")


def test_latencies_are_those_of_good_answers() -> None:
    replies = [Reply(1.0, number / 1000, "1", kept=True) for number in range(1, 101)]
    (second,) = traffic(line(1.0, *replies, *bad("timed out", count=50, at=1.0))).seconds
    assert (second.p50_ms, second.p99_ms) == (51.0, 100.0)


def test_what_is_no_line_of_the_generator_is_passed_over() -> None:
    assert parse("Traceback (most recent call last):") is None
    assert parse("17") is None
    assert parse('{"level": "warning"}') is None
