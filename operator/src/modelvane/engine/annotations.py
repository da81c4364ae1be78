"""What people ask by annotation, and what they are told. Pure.

A request is the value of an annotation that was not answered yet, whatever the value is. Its answer is a sentence in
`status.handled` and in an event, so that nobody has to guess whether it was seen.
"""

from dataclasses import dataclass, replace
from typing import Literal

from modelvane.engine import ledger
from modelvane.engine.memory import Candidate, Handled, Memory
from modelvane.engine.state import Event, Observed
from modelvane.names import (
    ANNOTATION_ABORT,
    ANNOTATION_PAUSE,
    ANNOTATION_RESTART,
    ANNOTATION_RESUME,
    ANNOTATION_RETRY,
)

_ANNOTATIONS = {
    "resume": ANNOTATION_RESUME,
    "pause": ANNOTATION_PAUSE,
    "abort": ANNOTATION_ABORT,
    "retry": ANNOTATION_RETRY,
    "restart": ANNOTATION_RESTART,
}


@dataclass(frozen=True)
class Answered:
    """The memory after all new requests were answered, and what is left for the rollout to do."""

    memory: Memory
    events: tuple[Event, ...] = ()
    skip: bool = False
    """The stage that the rollout is in is to end now."""
    abort: bool = False
    """The rollout is to end now."""
    suspended: bool = False
    """Nothing may go on, whoever asks."""


def answer_requests(o: Observed, memory: Memory) -> Answered:
    """Answer what is new. A restart is part of the revision's hash, so nothing more is to be done for it here."""
    handled = memory.handled or Handled()
    asked = {name: o.annotations.get(annotation) for name, annotation in _ANNOTATIONS.items()}
    new = [name for name, value in asked.items() if value is not None and value != getattr(handled, name)]
    answered = Answered(memory, suspended=o.spec.suspend)
    for name in new:
        answered = _ANSWERS[name](answered)
    answer = "; ".join(event.message for event in answered.events) or handled.answer
    after = Handled(**asked, answer=answer if any(asked.values()) else None)
    kept = None if after == Handled() else after
    memory = answered.memory.model_copy(update={"handled": kept})
    return replace(answered, memory=memory)


def _pause(a: Answered) -> Answered:
    candidate = a.memory.candidate
    if candidate is None:
        return _say(a, "NothingToPause", "pause: no rollout is in progress")
    message = f"pause: the rollout of version {candidate.version} is paused"
    # Of two that come at once, as while the operator was away, the careful one wins.
    return _say(replace(a, memory=_paused(a.memory, candidate, "Request"), skip=False), "Paused", message)


def _resume(a: Answered) -> Answered:
    candidate = a.memory.candidate
    if candidate is None:
        return _say(a, "NothingToResume", "resume: no rollout is in progress")
    told = f"resume: the rollout of version {candidate.version} goes on"
    if candidate.paused == "Request":
        return _say(replace(a, memory=_paused(a.memory, candidate, None)), "Resumed", told)
    if a.suspended:
        return _say(a, "NothingToResume", "resume: rollouts are suspended; set spec.suspend to false first")
    if candidate.paused is None and candidate.step_started_at is None:
        why = candidate.message or "it has just begun"
        return _say(a, "NothingToResume", f"resume: version {candidate.version} is not paused: {why}")
    return _say(replace(a, skip=True), "Resumed", f"{told} without waiting for the end of its step")


def _abort(a: Answered) -> Answered:
    candidate = a.memory.candidate
    if candidate is None:
        return _say(a, "NothingToAbort", "abort: no rollout is in progress")
    message = f"abort: the rollout of version {candidate.version} ends"
    return _say(replace(a, abort=True), "Aborting", message)


def _retry(a: Answered) -> Answered:
    version = a.memory.desired.version if a.memory.desired else None
    if not any(rejection.version == version for rejection in a.memory.rejected):
        return _say(a, "NothingToRetry", "retry: the wanted version is not rejected")
    message = f"retry: version {version} was rejected and is tried again"
    return _say(replace(a, memory=ledger.forgive(a.memory, version)), "Retrying", message)


def _restart(a: Answered) -> Answered:
    if a.suspended:
        message = "restart: rollouts are suspended; new pods take over once spec.suspend is false"
        return _say(a, "Restarting", message)
    return _say(a, "Restarting", "restart: new pods take over from the present ones, as in any rollout")


def _say(a: Answered, reason: str, message: str) -> Answered:
    return replace(a, events=(*a.events, Event(reason, message)))


def _paused(memory: Memory, candidate: Candidate, how: Literal["Request"] | None) -> Memory:
    return memory.model_copy(update={"candidate": candidate.model_copy(update={"paused": how})})


_ANSWERS = {"pause": _pause, "resume": _resume, "abort": _abort, "retry": _retry, "restart": _restart}
