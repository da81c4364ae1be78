"""The verdict on a candidate under traffic, in the words that people read."""

from datetime import timedelta
from itertools import accumulate
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelvane.analysis.figures import Comparison, Figures, Measurement
from modelvane.analysis.verdict import Check, Verdict, check, compare, describe, describe_queries
from modelvane.engine.memory import FiguresSeen, QuerySeen
from modelvane.spec import Analysis, Predictions

from tests.unit.operator.builder import NOW

BOUNDS = (0.05, 0.1, 0.25, 0.5, inf)


def figures(*counts: int, errors: int = 0, mean: float = 0.08) -> Figures:
    """Make figures from how many answers fell into each bucket."""
    buckets = tuple(zip(BOUNDS, accumulate(counts), strict=True))
    return Figures(sum(counts), errors, buckets, sum(counts) * mean)


FAST = figures(20, 300, 0, 0, 0)
STABLE = figures(100, 900, 0, 0, 0, errors=1)


def judge(
    candidate: Figures,
    stable: Figures = STABLE,
    queries: dict[str, float | None] | None = None,
    trouble: str | None = None,
    **limits: Any,
) -> Check:
    measured = Measurement(NOW, NOW + timedelta(seconds=10), candidate, stable, queries or {}, trouble)
    return check(Analysis.model_validate(limits), measured)


def passed(message: str) -> Check:
    return Check(Verdict.PASSED, message)


def failed(message: str) -> Check:
    return Check(Verdict.FAILED, message)


def inconclusive(message: str) -> Check:
    return Check(Verdict.INCONCLUSIVE, message)


def test_too_few_requests_are_no_failure() -> None:
    verdict = judge(figures(0, 0, 0, 0, 12, errors=12), maxErrorRate="1%", maxLatencyP99="250ms")
    assert verdict == inconclusive("12 of the 50 requests that minRequests asks for")


def test_as_many_requests_as_asked_for_are_judged_and_compared() -> None:
    half, none = figures(0, 50, 0, 0, 0, errors=25), figures(0, 50, 0, 0, 0)
    assert judge(half, none, maxErrorRateIncrease="1%").verdict is Verdict.FAILED


def test_too_few_requests_come_with_their_reason() -> None:
    verdict = judge(Figures(), trouble="version 4 has no ready pod", maxErrorRate="1%")
    assert verdict == inconclusive("0 of the 50 requests that minRequests asks for; version 4 has no ready pod")


def test_errors_above_the_limit_fail() -> None:
    verdict = judge(figures(20, 300, 0, 0, 0, errors=40), maxErrorRate="1%")
    assert verdict == failed("error rate 12.5% is above maxErrorRate 1% (40 of 320 requests; stable 0.1%)")


def test_errors_at_the_limit_pass() -> None:
    verdict = judge(figures(0, 1000, 0, 0, 0, errors=7), Figures(), maxErrorRate="0.7%")
    assert verdict == passed("error rate 0.7% is within maxErrorRate 0.7% (7 of 1000 requests)")


def test_latency_above_a_limit_fails_and_the_others_are_not_mentioned() -> None:
    verdict = judge(figures(0, 300, 10, 10, 0), maxLatencyP50="100ms", maxLatencyP99="250ms")
    assert verdict == failed("p99 420ms is above maxLatencyP99 250ms (stable 99.4ms)")


def test_a_limit_at_the_bound_of_a_bucket_is_exact() -> None:
    # All answers took between 100 and 250 ms: whatever the estimate says, none took longer.
    assert judge(figures(0, 0, 99, 0, 0), maxLatencyP99="250ms").verdict is Verdict.PASSED


def test_latency_at_the_limit_passes() -> None:
    expected = passed("p99 100ms is within maxLatencyP99 100ms (stable 99.4ms)")
    assert judge(figures(0, 99, 1, 0, 0), maxLatencyP99="100ms") == expected


def test_latency_beyond_the_last_bucket_is_judged_where_it_can_be() -> None:
    slow = figures(0, 0, 0, 0, 99)
    assert judge(slow, maxLatencyP95="250ms") == failed("p95 >500ms is above maxLatencyP95 250ms (stable 97.2ms)")
    expected = inconclusive("p95 is over 500ms, which is too coarse for maxLatencyP95 10s")
    assert judge(slow, maxLatencyP95="10s") == expected


def test_latency_that_is_not_known_is_inconclusive() -> None:
    expected = inconclusive("p50 is not known, so maxLatencyP50 1s cannot be judged")
    assert judge(Figures(requests=60), maxLatencyP50="1s") == expected


def test_more_errors_than_stable_fail() -> None:
    verdict = judge(figures(20, 300, 0, 0, 0, errors=3), maxErrorRateIncrease="0.5%")
    expected = "error rate 0.938% against stable's 0.1% is above maxErrorRateIncrease 0.5%"
    assert verdict == failed(f"{expected} (3 of 320 requests; 1 of 1000)")


def test_as_many_errors_as_stable_pass() -> None:
    bad = figures(0, 100, 0, 0, 0, errors=50)
    assert judge(bad, bad, maxErrorRateIncrease="0%").verdict is Verdict.PASSED


def test_a_slower_candidate_fails() -> None:
    verdict = judge(figures(0, 0, 320, 0, 0, mean=0.16), maxLatencyIncrease="20%")
    expected = "p95 242ms against stable's 97.2ms is above maxLatencyIncrease 20% (mean 160ms, stable 80ms)"
    assert verdict == failed(expected)


def test_a_difference_that_the_buckets_make_is_none() -> None:
    """Stable's answers take 99 ms and the candidate's 101 ms: they fall on either side of a bound."""
    verdict = judge(
        figures(0, 0, 320, 0, 0, mean=0.101), figures(0, 900, 0, 0, 0, mean=0.099), maxLatencyIncrease="20%"
    )
    assert verdict == passed(
        "p95 242ms against stable's 97.5ms is no proof of more than maxLatencyIncrease 20%: the buckets are coarser "
        "(mean 101ms, stable 99ms)"
    )


SLOW, SLOWEST = figures(0, 0, 0, 100, 0, mean=0.4), figures(0, 0, 0, 0, 100, mean=0.52)


@pytest.mark.parametrize(
    ("candidate", "stable", "expected"),
    [
        (
            figures(0, 0, 0, 0, 100, mean=3),
            SLOW,
            failed("p95 >500ms against stable's 488ms is above maxLatencyIncrease 50% (mean 3s, stable 400ms)"),
        ),
        (
            SLOWEST,
            SLOW,
            inconclusive(
                "p95 >500ms against stable's 488ms is too coarse for maxLatencyIncrease 50% (mean 520ms, stable 400ms)"
            ),
        ),
        (
            SLOWEST,
            SLOWEST,
            inconclusive(
                "p95 >500ms against stable's >500ms is too coarse for maxLatencyIncrease 50% (mean 520ms, stable 520ms)"
            ),
        ),
        (
            SLOWEST,
            figures(0, 100, 0, 0, 0, mean=0.5),
            failed("p95 >500ms against stable's 97.5ms is above maxLatencyIncrease 50% (mean 520ms, stable 500ms)"),
        ),
        (
            SLOW,
            SLOWEST,
            passed("p95 488ms against stable's >500ms is within maxLatencyIncrease 50% (mean 400ms, stable 520ms)"),
        ),
    ],
    ids=["the mean proves it", "nothing proves it", "of both", "the buckets prove it", "of stable alone"],
)
def test_latency_beyond_the_last_bucket_is_no_proof_of_being_within_an_increase(
    candidate: Figures, stable: Figures, expected: Check
) -> None:
    assert judge(candidate, stable, maxLatencyIncrease="50%") == expected


def test_a_slower_tail_fails_though_the_mean_is_as_before() -> None:
    tail = figures(300, 0, 0, 20, 0, mean=0.05)
    assert judge(tail, figures(300, 20, 0, 0, 0, mean=0.05), maxLatencyIncrease="20%").verdict is Verdict.FAILED


def test_a_higher_mean_alone_is_no_higher_p95() -> None:
    slower = figures(10, 310, 0, 0, 0, mean=0.09)
    assert judge(slower, figures(150, 170, 0, 0, 0, mean=0.045), maxLatencyIncrease="20%").verdict is Verdict.PASSED


def test_a_stable_without_traffic_is_not_compared_with() -> None:
    verdict = judge(FAST, figures(0, 3, 0, 0, 0), maxErrorRate="1%", maxErrorRateIncrease="0.5%")
    expected = "error rate 0% is within maxErrorRate 1% (0 of 320 requests; stable 0%)"
    assert verdict == passed(f"{expected}; not compared with stable, which had 3 of 50 requests")


def test_nothing_but_a_stable_without_traffic_is_inconclusive() -> None:
    expected = inconclusive("not compared with stable, which had 0 of 50 requests")
    assert judge(FAST, Figures(), maxLatencyIncrease="20%") == expected


PROMETHEUS = {"address": "http://p", "queries": [{"name": "drift", "query": "x", "min": 0.5, "max": 3}]}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.25, failed("query drift is 0.25, below min 0.5")),
        (0.5, passed("query drift is 0.5")),
        (3.0, passed("query drift is 3")),
        (3.14159265, failed("query drift is 3.14159, above max 3")),
        (inf, failed("query drift is inf, above max 3")),
        (None, inconclusive("query drift has no data")),
    ],
)
def test_a_query_is_judged_by_its_limits(value: float | None, expected: Check) -> None:
    assert judge(FAST, queries={"drift": value}, prometheus=PROMETHEUS) == expected


def test_trouble_with_a_query_is_inconclusive() -> None:
    assert judge(FAST, trouble="Prometheus is down", prometheus=PROMETHEUS) == inconclusive("Prometheus is down")


def test_a_broken_limit_fails_whatever_else_is_unknown() -> None:
    verdict = judge(
        figures(0, 300, 0, 0, 0, errors=300),
        Figures(),
        {"drift": None},
        "Prometheus is down",
        maxErrorRate="1%",
        maxLatencyIncrease="20%",
        prometheus=PROMETHEUS,
    )
    assert verdict == failed("error rate 100% is above maxErrorRate 1% (300 of 300 requests)")


def test_no_limit_is_said_to_be_none() -> None:
    """A rollout that only compares predictions does not wait for traffic."""
    assert judge(FAST) == passed("320 requests; no limit is set")
    assert judge(Figures(), trouble="version 4 has no ready pod") == passed("0 requests; no limit is set")


@pytest.mark.parametrize(
    ("comparison", "max_different", "expected"),
    [
        (
            Comparison(200, 12, "input 3: 1 instead of 0"),
            "5%",
            failed("12 of 200 predictions differ from stable's (6%), above maxDifferent 5%: input 3: 1 instead of 0"),
        ),
        (
            Comparison(200, 10, "input 3: 1 instead of 0"),
            "5%",
            passed("10 of 200 predictions differ from stable's (5%), within maxDifferent 5%: input 3: 1 instead of 0"),
        ),
        # 0.7 % of 1,000 is not 7 when it is calculated in floats.
        (
            Comparison(1000, 7),
            "0.7%",
            passed("7 of 1000 predictions differ from stable's (0.7%), within maxDifferent 0.7%"),
        ),
        (
            Comparison(1000, 8),
            "0.7%",
            failed("8 of 1000 predictions differ from stable's (0.8%), above maxDifferent 0.7%"),
        ),
        (Comparison(3, 0), None, passed("0 of 3 predictions differ from stable's (0%)")),
        (Comparison(3, 3, "a"), None, passed("3 of 3 predictions differ from stable's (100%): a")),
        (Comparison(0, 0, None, "no pod"), "5%", inconclusive("no pod")),
        (Comparison(0, 0), None, inconclusive("no prediction could be compared")),
        (
            Comparison(3, 0, None, "input 4: no answer"),
            "5%",
            inconclusive("input 4: no answer; 0 of 3 predictions differ from stable's (0%)"),
        ),
        (
            Comparison(3, 3, None, "input 4: no answer"),
            "5%",
            failed("3 of 3 predictions differ from stable's (100%), above maxDifferent 5%"),
        ),
    ],
)
def test_predictions_are_judged_by_the_share_that_differs(
    comparison: Comparison, max_different: str | None, expected: Check
) -> None:
    assert compare(Predictions.model_validate({"maxDifferent": max_different}), comparison) == expected


def test_figures_are_shown_in_the_units_of_people() -> None:
    seen = describe(figures(0, 318, 0, 1, 1, errors=1))
    assert seen == FiguresSeen(requests=320, error_rate="0.312%", p50="75.2ms", p95="97.8ms", p99="99.8ms")
    assert describe(figures(0, 0, 0, 0, 9)).p99 == ">500ms"
    assert describe(Figures(60, 0, ((1.0, 30), (2.0, 60), (inf, 60)))).p50 == "1s"
    assert describe(Figures()) == FiguresSeen()


def test_a_query_without_data_is_shown() -> None:
    measured = Measurement(NOW, NOW, FAST, FAST, {"drift": 0.1234567, "sales": None})
    assert describe_queries(measured) == (
        QuerySeen(name="drift", value="0.123457"),
        QuerySeen(name="sales", value="no data"),
    )


counted = st.builds(
    lambda counts, errors, mean: figures(*counts, errors=min(errors, sum(counts)), mean=mean),
    st.lists(st.integers(0, 300), min_size=5, max_size=5),
    st.integers(0, 300),
    st.floats(0, 1),
)
LIMITS: dict[str, Any] = {
    "maxErrorRate": "{:.4f}%",
    "maxErrorRateIncrease": "{:.4f}%",
    "maxLatencyIncrease": "{:.4f}%",
    "maxLatencyP50": "{:.4f}ms",
    "maxLatencyP95": "{:.4f}ms",
    "maxLatencyP99": "{:.4f}ms",
}


@given(counted, counted, st.sampled_from(sorted(LIMITS)), st.floats(0, 700), st.floats(0, 700))
def test_what_fails_a_lax_limit_fails_a_strict_one(
    candidate: Figures, stable: Figures, field: str, one: float, other: float
) -> None:
    strict, lax = (
        judge(candidate, stable, None, None, **{field: LIMITS[field].format(limit)}).verdict
        for limit in sorted((one, other))
    )
    assert lax is not Verdict.FAILED or strict is Verdict.FAILED


@given(counted, counted)
def test_equal_figures_get_equal_words(candidate: Figures, stable: Figures) -> None:
    limits: dict[str, Any] = {"maxErrorRate": "1%", "maxLatencyP95": "90ms", "maxLatencyIncrease": "5%"}
    assert judge(candidate, stable, **limits) == judge(candidate, stable, **limits)
    assert describe(candidate) == describe(candidate)
