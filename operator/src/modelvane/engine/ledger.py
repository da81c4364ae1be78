"""The entries of a rollout's book: how the memory changes when a rollout starts, ends well or ends badly.

Each function returns the memory after the entry and the events that tell it to people. Called by `decide`. Pure.
"""

from datetime import datetime

from modelvane.engine.memory import Candidate, HistoryEntry, Memory, Outcome, Rejection, Stable, Warm
from modelvane.engine.state import Event, Failure, Revision
from modelvane.spec import ModelDeploymentSpec, terms_hash

MAX_REJECTED = 10

Entry = tuple[Memory, tuple[Event, ...]]


def serving(memory: Memory) -> str:
    """Say what serves, as the first half of most sentences."""
    return f"serving version {memory.stable.version}" if memory.stable else "serving nothing yet"


def blame(rejection: Rejection) -> str:
    """Say what was rejected and why."""
    return f"version {rejection.version} is rejected: {rejection.reason}: {rejection.message}"


def find_rejection(memory: Memory, revision: Revision) -> Rejection | None:
    """Find the verdict on a revision."""
    return next((rejection for rejection in memory.rejected if rejection.revision == revision.name), None)


def forgive(memory: Memory, version: str | None) -> Memory:
    """Forget the verdicts on a version, so that it may be tried again."""
    return memory.model_copy(update={"rejected": tuple(r for r in memory.rejected if r.version != version)})


def void(memory: Memory, spec: ModelDeploymentSpec) -> Memory:
    """Forget the verdicts that were made on other terms than those of the spec: it may do by these."""
    terms = terms_hash(spec)
    valid = tuple(r for r in memory.rejected if r.terms in (None, terms))
    return memory if valid == memory.rejected else memory.model_copy(update={"rejected": valid})


def start(memory: Memory, revision: Revision, now: datetime) -> Entry:
    """Open a rollout."""
    pointer = memory.desired.pointer if memory.desired else None
    candidate = Candidate(
        version=revision.version, revision=revision.name, pointer=pointer, since=now, waiting_since=now
    )
    event = Event("RolloutStarted", f"{serving(memory)}, rolling out version {revision.version}")
    return memory.model_copy(update={"candidate": candidate}), (event,)


def drop(memory: Memory, spec: ModelDeploymentSpec, outcome: Outcome, why: str, now: datetime) -> Entry:
    """Close a running rollout that is no longer wanted. Without one there is nothing to write."""
    if memory.candidate is None:
        return memory, ()
    event = Event(f"Rollout{outcome}", f"{serving(memory)}, dropped version {memory.candidate.version}: {why}")
    return _close(memory, spec, outcome, why, now), (event,)


def promote(memory: Memory, spec: ModelDeploymentSpec, now: datetime) -> Entry:
    """Close a rollout that went well: the candidate is stable now."""
    candidate = memory.candidate
    if candidate is None:
        return memory, ()
    if memory.stable is None:
        why = "the first version"
    elif memory.stable.version == candidate.version:
        why = "with a new pod template"
    else:
        why = f"in place of version {memory.stable.version}"
    stable = Stable(version=candidate.version, revision=candidate.revision, since=now)
    before, warm = memory.stable, None
    if before is not None and spec.strategy.scale_down_delay:
        warm = Warm(version=before.version, revision=before.revision, until=now + spec.strategy.scale_down_delay)
    promoted = _close(memory, spec, "Promoted", why, now).model_copy(update={"stable": stable, "warm": warm})
    return promoted, (Event("Promoted", f"serving version {candidate.version}, {why}"),)


def reject(
    memory: Memory, spec: ModelDeploymentSpec, failure: Failure, now: datetime, outcome: Outcome = "RolledBack"
) -> Entry:
    """Close a rollout that went badly, or that a person has ended, and remember why."""
    candidate = memory.candidate
    if candidate is None:
        return memory, ()
    rejection = Rejection(
        version=candidate.version,
        revision=candidate.revision,
        reason=failure.reason,
        message=failure.message,
        at=now,
        terms=terms_hash(spec),
    )
    others = tuple(other for other in memory.rejected if other.revision != candidate.revision)
    rejected = _close(memory, spec, outcome, f"{failure.reason}: {failure.message}", now)
    events = [Event("Rejected", f"{serving(memory)}, {blame(rejection)}", "Warning")]
    if memory.stable and candidate.weight:
        events.append(Event("RolledBack", f"all traffic is back on version {memory.stable.version}"))
    warm = None if memory.warm and memory.warm.revision == candidate.revision else memory.warm
    update = {"rejected": (rejection, *others)[:MAX_REJECTED], "warm": warm}
    return rejected.model_copy(update=update), tuple(events)


def _close(memory: Memory, spec: ModelDeploymentSpec, outcome: Outcome, message: str, now: datetime) -> Memory:
    candidate = memory.candidate
    if candidate is None:
        return memory
    entry = HistoryEntry(
        version=candidate.version,
        pointer=candidate.pointer,
        started_at=candidate.since,
        finished_at=now,
        outcome=outcome,
        message=message,
    )
    return memory.model_copy(update={"candidate": None, "history": (entry, *memory.history)[: spec.history_limit]})
