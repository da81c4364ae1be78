"""What the analysis says of a candidate goes into the memory of its rollout, and into its story. Pure."""

from modelvane.analysis import verdict
from modelvane.engine.ledger import Entry
from modelvane.engine.memory import AnalysisSeen, Candidate, Memory, PredictionsSeen
from modelvane.engine.state import Event, Observed


def note_checks(o: Observed, memory: Memory) -> Entry:
    """Take over what was measured since the last look."""
    candidate = memory.candidate
    if candidate is None or o.spec.analysis is None:
        return memory, ()
    candidate, events = _note_comparison(o, candidate)
    candidate, more = _note_measurement(o, candidate)
    return memory.model_copy(update={"candidate": candidate}), (*events, *more)


def _note_comparison(o: Observed, candidate: Candidate) -> tuple[Candidate, tuple[Event, ...]]:
    wanted = o.spec.analysis.predictions if o.spec.analysis else None
    if wanted is None or o.comparison is None:
        return candidate, ()
    check = verdict.compare(wanted, o.comparison)
    seen = PredictionsSeen(
        compared=o.comparison.compared,
        different=o.comparison.different,
        verdict=check.verdict.value,
        message=check.message,
    )
    if seen == candidate.predictions:
        return candidate, ()
    event = Event("PredictionsCompared", f"version {candidate.version}: {check.message}")
    return candidate.model_copy(update={"predictions": seen}), (event,) if seen.compared else ()


def _note_measurement(o: Observed, candidate: Candidate) -> tuple[Candidate, tuple[Event, ...]]:
    wanted, m = o.spec.analysis, o.measurement
    if wanted is None or m is None:
        return candidate, ()
    check = verdict.check(wanted, m)
    seen = AnalysisSeen(
        since=m.since,
        checked_at=m.until,
        verdict=check.verdict.value,
        message=check.message,
        candidate=verdict.describe(m.candidate),
        stable=verdict.describe(m.stable),
        queries=verdict.describe_queries(m),
    )
    if check.verdict is verdict.Verdict.FAILED:
        failed = (candidate.failed_checks or 0) + 1
        told = f"version {candidate.version}: check {failed} of {wanted.failure_limit} failed: {check.message}"
        update = {"analysis": seen, "failed_checks": failed}
        # One that is past its limit is only kept while nobody else could answer, which may take long.
        events = (Event("CheckFailed", told, "Warning"),) if failed <= wanted.failure_limit else ()
        return candidate.model_copy(update=update), events
    if check.verdict is verdict.Verdict.INCONCLUSIVE and (
        _has_verdict(candidate) or _says_the_same(candidate.analysis, seen)
    ):
        return candidate, ()
    return candidate.model_copy(update={"analysis": seen}), ()


def _has_verdict(candidate: Candidate) -> bool:
    """Say whether a check of this step came to a verdict: one that finds nothing to judge does not take that back."""
    seen, started = candidate.analysis, candidate.step_started_at
    return seen is not None and started is not None and seen.verdict != "Inconclusive" and seen.checked_at > started


def _says_the_same(before: AnalysisSeen | None, seen: AnalysisSeen) -> bool:
    """Compare without the time of the check: a quiet service would be a write at each look."""
    if before is None:
        return False
    times = {"since": seen.since, "checked_at": seen.checked_at}
    return before.model_copy(update=times) == seen
