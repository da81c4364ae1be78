import json

from examples.demo.traffic import Traffic, parse


def line(at: float, versions: dict[str, tuple[int, float, float]], errors: dict[str, int] | None = None) -> str:
    named = {
        version: {"answers": answers, "first": first, "last": last}
        for version, (answers, first, last) in versions.items()
    }
    return json.dumps({"at": at, "versions": named, "errors": errors or {}, "p50_ms": 4.0, "p99_ms": 9.0})


def traffic(*lines: str) -> Traffic:
    return Traffic([second for one in lines if (second := parse(one))])


def test_lines_add_up_to_requests_sent_and_failed() -> None:
    seen = traffic(
        line(1.0, {"1": (100, 0.1, 0.9)}),
        line(2.0, {"1": (60, 1.0, 1.9), "2": (50, 1.4, 1.9)}, {"HTTP 503: draining": 2}),
    )
    assert (seen.answered, seen.failed, seen.sent) == (210, 2, 212)
    assert seen.versions == {"1", "2"}


def test_first_and_last_answers_are_found_over_all_lines() -> None:
    seen = traffic(
        line(1.0, {"1": (100, 0.1, 0.9)}),
        line(2.0, {"1": (60, 1.0, 1.9), "2": (50, 1.4, 1.95)}),
        line(3.0, {"2": (110, 2.0, 2.9)}),
    )
    assert seen.first_answer("2") == 1.4
    assert seen.last_answer("1") == 1.9
    assert seen.first_answer("3") is None


def test_failures_are_listed_with_the_most_frequent_first() -> None:
    seen = traffic(
        line(1.0, {}, {"refused": 1, "HTTP 500": 2}),
        line(2.0, {}, {"refused": 5}),
    )
    assert list(seen.errors().items()) == [("refused", 6), ("HTTP 500", 2)]


def test_since_leaves_out_what_was_printed_before() -> None:
    seen = traffic(line(1.0, {"1": (100, 0.1, 0.9)}), line(2.0, {"2": (80, 1.0, 1.9)}))
    assert seen.since(1.5).versions == {"2"}


def test_rate_is_requests_by_seconds_between_the_lines() -> None:
    seen = traffic(
        line(10.0, {"1": (3, 9.9, 10.0)}),
        line(11.0, {"1": (118, 10.1, 11.0)}, {"refused": 2}),
        line(12.0, {"1": (120, 11.1, 12.0)}),
    )
    assert seen.rate() == 120.0


def test_what_is_no_line_of_the_generator_is_passed_over() -> None:
    assert parse("Traceback (most recent call last):") is None
    assert parse("17") is None
    assert parse('{"level": "warning"}') is None
