"""What a revision did between two readings, whatever its pods did meanwhile."""

from datetime import timedelta
from itertools import accumulate
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelvane.analysis.figures import Figures, Reading

from tests.unit.operator.builder import NOW

BOUNDS = (0.01, 0.1, 1.0, inf)
LATER = NOW + timedelta(seconds=10)


def figures(*counts: int, errors: int = 0, seconds: float = 0.0) -> Figures:
    """Make figures from how many answers fell into each bucket."""
    return Figures(sum(counts), errors, tuple(zip(BOUNDS, accumulate(counts), strict=True)), seconds)


counted = st.builds(
    lambda counts, errors: figures(*counts, errors=min(errors, sum(counts)), seconds=sum(counts) * 0.05),
    st.lists(st.integers(0, 10**6), min_size=4, max_size=4),
    st.integers(0, 10**6),
)


def test_what_was_counted_between_two_readings_is_their_difference() -> None:
    earlier = figures(1, 2, 0, 0, errors=1, seconds=0.5)
    later = figures(4, 2, 1, 1, errors=3, seconds=2.0)
    assert later.since(earlier) == figures(3, 0, 1, 1, errors=2, seconds=1.5)


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (figures(5, 0, 0, 0), figures(3, 0, 0, 0)),
        (figures(5, 0, 0, 0, errors=2), figures(6, 0, 0, 0, errors=1)),
        # It has answered more than before its restart, but not as fast.
        (figures(5, 0, 0, 0), figures(1, 9, 0, 0)),
        (Figures(requests=5), Figures(requests=3)),
    ],
    ids=["requests", "errors", "bucket", "requests without latency"],
)
def test_a_count_that_went_down_begins_at_nought(earlier: Figures, later: Figures) -> None:
    assert later.since(earlier) == later


def reading(**pods: Figures) -> Reading:
    return Reading(LATER, pods)


def test_a_pod_that_came_after_the_reading_is_counted_from_its_start() -> None:
    _, seen = Reading(NOW, {}).then(reading(a=figures(3, 0, 0, 0)), {"a": NOW + timedelta(seconds=1)})
    assert seen == figures(3, 0, 0, 0)


def test_a_pod_that_was_there_but_was_not_read_is_counted_from_its_first_reading() -> None:
    first, seen = Reading(NOW, {}).then(reading(a=figures(3, 0, 0, 0)), {"a": NOW - timedelta(hours=1)})
    assert seen == Figures()
    _, seen = first.then(Reading(LATER + timedelta(seconds=10), {"a": figures(4, 0, 0, 0)}), {})
    assert seen == figures(1, 0, 0, 0)


def test_a_pod_that_did_not_answer_once_is_counted_on_from_its_last_reading() -> None:
    kept, seen = Reading(NOW, {"a": figures(3, 0, 0, 0)}).then(reading(), {})
    assert seen == Figures()
    _, seen = kept.then(reading(a=figures(3, 4, 0, 0)), {"a": NOW - timedelta(hours=1)})
    assert seen == figures(0, 4, 0, 0)


def test_pods_are_added_up() -> None:
    before = Reading(NOW, {"a": figures(1, 0, 0, 0), "b": figures(0, 0, 0, 7, errors=7)})
    _, seen = before.then(reading(a=figures(2, 0, 0, 0), b=figures(0, 0, 0, 8, errors=8)), {})
    assert seen == figures(1, 0, 0, 1, errors=1)


def test_nothing_asked_has_no_rate_no_mean_and_no_latency() -> None:
    nothing = figures(0, 0, 0, 0)
    assert (nothing.error_rate, nothing.mean, nothing.quantile(0.5), nothing.bounds(0.5)) == (None, None, None, None)
    assert Figures(requests=3).quantile(0.5) is None


@pytest.mark.parametrize(
    ("counts", "q", "expected"),
    [
        ((10, 0, 0, 0), 0.5, 0.005),  # halfway through the first bucket
        ((0, 10, 0, 0), 0.9, 0.01 + 0.9 * 0.09),
        ((5, 5, 0, 0), 0.5, 0.01),  # exactly at a bound
        ((5, 0, 5, 0), 0.75, 0.55),  # over an empty bucket
        ((0, 0, 0, 4), 0.5, 1.0),  # all that is known is the last finite bound
        ((1, 1, 1, 1), 0.0, 0.0),
    ],
)
def test_a_quantile_is_interpolated_within_its_bucket(counts: tuple[int, ...], q: float, expected: float) -> None:
    assert figures(*counts).quantile(q) == pytest.approx(expected)


@given(counted, counted)
def test_no_difference_is_negative(earlier: Figures, later: Figures) -> None:
    seen = later.since(earlier)
    counts = [count for _, count in seen.buckets]
    assert min(seen.requests, seen.errors, *counts) >= 0
    assert counts == sorted(counts)
    assert seen.seconds >= 0


@given(counted, counted)
def test_a_process_that_goes_on_counting_loses_nothing(earlier: Figures, more: Figures) -> None:
    seen = (earlier + more).since(earlier)
    assert (seen.requests, seen.errors, seen.buckets) == (more.requests, more.errors, more.buckets)


@given(counted.filter(lambda f: f.requests > 0), st.floats(0, 1), st.floats(0, 1))
def test_a_quantile_rises_with_q_and_stays_in_its_bucket(seen: Figures, one: float, other: float) -> None:
    low, high = seen.quantile(min(one, other)), seen.quantile(max(one, other))
    bounds = seen.bounds(one)
    value = seen.quantile(one)
    assert low is not None
    assert high is not None
    assert value is not None
    assert bounds is not None
    assert low <= high
    assert bounds[0] <= value <= bounds[1]
