"""Is a candidate good enough? Figures and predictions against the limits that the user set, in words for people.

A limit that is broken fails a check whatever else is unknown; what could not be measured makes it inconclusive, which
is never a failure. Equal input gives equal words, so that a status which says nothing new is not written. Pure.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from math import inf

from modelvane.analysis.figures import Comparison, Figures, Measurement
from modelvane.engine.memory import FiguresSeen, QuerySeen
from modelvane.spec import Analysis, Predictions, Query
from modelvane.units import format_duration, format_percent

ROUNDING = 1e-9
"""0.7 % as a float is a little less than 7 of 1000."""


class Verdict(Enum):
    """What a check found. The values are those of the status."""

    PASSED = "Passed"
    FAILED = "Failed"
    INCONCLUSIVE = "Inconclusive"


@dataclass(frozen=True)
class Check:
    """A verdict and its grounds."""

    verdict: Verdict
    message: str


Finding = tuple[Verdict, str]


def check(wanted: Analysis, m: Measurement) -> Check:
    """Judge what was measured in one window."""
    if not _is_limited(wanted):
        return Check(Verdict.PASSED, f"{m.candidate.requests} requests; no limit is set")
    if m.candidate.requests < wanted.min_requests:
        few = f"{m.candidate.requests} of the {wanted.min_requests} requests that minRequests asks for"
        return Check(Verdict.INCONCLUSIVE, f"{few}; {m.trouble}" if m.trouble else few)
    findings = [*_check_errors(wanted, m), *_check_latency(wanted, m), *_check_queries(wanted, m)]
    if wanted.max_error_rate_increase is not None or wanted.max_latency_increase is not None:
        if m.stable.requests >= wanted.min_requests:
            findings += _compare_figures(wanted, m)
        else:
            said = f"not compared with stable, which had {m.stable.requests} of {wanted.min_requests} requests"
            # Where nothing else is asked for, nothing is known about the candidate.
            findings.append((Verdict.PASSED if findings else Verdict.INCONCLUSIVE, said))
    if m.trouble:
        findings.append((Verdict.INCONCLUSIVE, m.trouble))
    for verdict in (Verdict.FAILED, Verdict.INCONCLUSIVE):
        texts = [text for found, text in findings if found is verdict]
        if texts:
            return Check(verdict, "; ".join(texts))
    return Check(Verdict.PASSED, "; ".join(text for _, text in findings))


def compare(wanted: Predictions, c: Comparison) -> Check:
    """Judge how many predictions differ."""
    if not c.compared:
        return Check(Verdict.INCONCLUSIVE, c.trouble or "no prediction could be compared")
    share = c.different / c.compared
    example = f": {c.example}" if c.example else ""
    said = f"{c.different} of {c.compared} predictions differ from stable's ({_percent(share)})"
    if wanted.max_different is None:
        verdict = Verdict.INCONCLUSIVE if c.trouble else Verdict.PASSED
        return Check(verdict, f"{c.trouble}; {said}{example}" if c.trouble else f"{said}{example}")
    limit = f"maxDifferent {format_percent(wanted.max_different)}"
    if share > wanted.max_different + ROUNDING:
        return Check(Verdict.FAILED, f"{said}, above {limit}{example}")
    if c.trouble:
        return Check(Verdict.INCONCLUSIVE, f"{c.trouble}; {said}{example}")
    return Check(Verdict.PASSED, f"{said}, within {limit}{example}")


def describe(figures: Figures) -> FiguresSeen:
    """Write figures as the status shows them."""
    return FiguresSeen(
        requests=figures.requests,
        error_rate=None if figures.error_rate is None else _percent(figures.error_rate),
        p50=_quantile(figures, 0.5),
        p95=_quantile(figures, 0.95),
        p99=_quantile(figures, 0.99),
    )


def describe_queries(m: Measurement) -> tuple[QuerySeen, ...]:
    """Write the answers of PromQL queries as the status shows them."""
    return tuple(
        QuerySeen(name=name, value="no data" if value is None else f"{value:.6g}") for name, value in m.queries.items()
    )


def _is_limited(wanted: Analysis) -> bool:
    shares = (wanted.max_error_rate, wanted.max_error_rate_increase, wanted.max_latency_increase)
    durations = (wanted.max_latency_p50, wanted.max_latency_p95, wanted.max_latency_p99)
    return wanted.prometheus is not None or any(limit is not None for limit in (*shares, *durations))


def _check_errors(wanted: Analysis, m: Measurement) -> Iterator[Finding]:
    rate, limit = m.candidate.error_rate, wanted.max_error_rate
    if limit is None or rate is None:
        return
    stable = "" if m.stable.error_rate is None else f"; stable {_percent(m.stable.error_rate)}"
    seen = f"({m.candidate.errors} of {m.candidate.requests} requests{stable})"
    bad = rate > limit + ROUNDING
    yield _found(bad), f"error rate {_percent(rate)} is {_side(bad)} maxErrorRate {format_percent(limit)} {seen}"


def _check_latency(wanted: Analysis, m: Measurement) -> Iterator[Finding]:
    limits = (
        ("p50", 0.5, "maxLatencyP50", wanted.max_latency_p50),
        ("p95", 0.95, "maxLatencyP95", wanted.max_latency_p95),
        ("p99", 0.99, "maxLatencyP99", wanted.max_latency_p99),
    )
    for name, q, field, limit in limits:
        if limit is not None:
            yield _check_quantile(m, name, q, f"{field} {format_duration(limit)}", limit)


def _check_quantile(m: Measurement, name: str, q: float, wanted: str, limit: timedelta) -> Finding:
    value, bounds = m.candidate.quantile(q), m.candidate.bounds(q)
    if value is None or bounds is None:
        return Verdict.INCONCLUSIVE, f"{name} is not known, so {wanted} cannot be judged"
    if bounds[1] == inf and limit.total_seconds() >= bounds[0]:
        return Verdict.INCONCLUSIVE, f"{name} is over {_latency(bounds[0])}, which is too coarse for {wanted}"
    stable = _quantile(m.stable, q)
    seen = f" (stable {stable})" if stable else ""
    bad = value > limit.total_seconds() + ROUNDING
    return _found(bad), f"{name} {_quantile(m.candidate, q)} is {_side(bad)} {wanted}{seen}"


def _compare_figures(wanted: Analysis, m: Measurement) -> Iterator[Finding]:
    ours, theirs, limit = m.candidate.error_rate, m.stable.error_rate, wanted.max_error_rate_increase
    if limit is not None and ours is not None and theirs is not None:
        bad = ours - theirs > limit + ROUNDING
        counts = f"{m.candidate.errors} of {m.candidate.requests} requests; {m.stable.errors} of {m.stable.requests}"
        said = f"error rate {_percent(ours)} against stable's {_percent(theirs)} is {_side(bad)} maxErrorRateIncrease"
        yield _found(bad), f"{said} {format_percent(limit)} ({counts})"
    if wanted.max_latency_increase is not None:
        yield _compare_latency(wanted.max_latency_increase, m)


def _compare_latency(limit: float, m: Measurement) -> Finding:
    """Compare the p95 of both.

    It is an estimate within a bucket, so two revisions that are alike but fall on either side of a bound seem far
    apart. Such a difference counts only where the buckets prove it or the mean, which is exact, has grown as much.
    Beyond the last bound there is no estimate: what is not proven there may still be so.
    """
    wanted = f"maxLatencyIncrease {format_percent(limit)}"
    ours, theirs = m.candidate, m.stable
    value, reference = ours.quantile(0.95), theirs.quantile(0.95)
    within, beside = ours.bounds(0.95), theirs.bounds(0.95)
    if value is None or reference is None or within is None or beside is None:
        return Verdict.INCONCLUSIVE, f"p95 is not known of both revisions, so {wanted} cannot be judged"
    said = f"p95 {_quantile(ours, 0.95)} against stable's {_quantile(theirs, 0.95)}"
    means = f"mean {_latency(ours.mean or 0)}, stable {_latency(theirs.mean or 0)}"
    beyond = within[1] == inf
    above = beyond or value > reference * (1 + limit) + ROUNDING
    proven = within[0] >= beside[1] * (1 + limit)
    slower = (ours.mean or 0) > (theirs.mean or 0) * (1 + limit) + ROUNDING
    if beyond and not proven and not slower:
        return Verdict.INCONCLUSIVE, f"{said} is too coarse for {wanted} ({means})"
    if above and not proven and not slower:
        return Verdict.PASSED, f"{said} is no proof of more than {wanted}: the buckets are coarser ({means})"
    return _found(above), f"{said} is {_side(above)} {wanted} ({means})"


def _check_queries(wanted: Analysis, m: Measurement) -> Iterator[Finding]:
    for query in wanted.prometheus.queries if wanted.prometheus else ():
        if query.name in m.queries:
            yield _check_query(query, m.queries[query.name])
        elif m.trouble is None:  # Otherwise that says why.
            yield Verdict.INCONCLUSIVE, f"query {query.name} was not asked"


def _check_query(query: Query, value: float | None) -> Finding:
    if value is None:
        return Verdict.INCONCLUSIVE, f"query {query.name} has no data"
    if query.min is not None and value < query.min:
        return Verdict.FAILED, f"query {query.name} is {value:.6g}, below min {query.min:.6g}"
    if query.max is not None and value > query.max:
        return Verdict.FAILED, f"query {query.name} is {value:.6g}, above max {query.max:.6g}"
    return Verdict.PASSED, f"query {query.name} is {value:.6g}"


def _found(bad: bool) -> Verdict:
    return Verdict.FAILED if bad else Verdict.PASSED


def _side(bad: bool) -> str:
    return "above" if bad else "within"


def _percent(share: float) -> str:
    return f"{float(f'{share * 100:.3g}'):g}%"


def _latency(seconds: float) -> str:
    number, unit = (seconds, "s") if seconds >= 1 else (seconds * 1000, "ms")
    return f"{float(f'{number:.3g}'):g}{unit}"


def _quantile(figures: Figures, q: float) -> str | None:
    value, bounds = figures.quantile(q), figures.bounds(q)
    if value is None or bounds is None:
        return None
    return f">{_latency(value)}" if bounds[1] == inf else _latency(value)
