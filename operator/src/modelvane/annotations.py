"""What people ask by annotation, and what they are told. Pure.

A request is the value of an annotation that was not answered yet, whatever the value is. Its answer is a sentence in
`status.handled` and in an event, so that nobody has to guess whether it was seen.
"""

from dataclasses import dataclass

from modelvane import ledger
from modelvane.memory import Handled, Memory
from modelvane.names import (
    ANNOTATION_ABORT,
    ANNOTATION_PAUSE,
    ANNOTATION_RESTART,
    ANNOTATION_RESUME,
    ANNOTATION_RETRY,
)
from modelvane.state import Event, Observed

_ANNOTATIONS = {
    "pause": ANNOTATION_PAUSE,
    "resume": ANNOTATION_RESUME,
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


def answer_requests(o: Observed, memory: Memory) -> Answered:
    """Answer what is new. A restart is part of the revision's hash, so nothing more is to be done for it here."""
    handled = memory.handled or Handled()
    asked = {name: o.annotations.get(annotation) for name, annotation in _ANNOTATIONS.items()}
    new = [name for name, value in asked.items() if value is not None and value != getattr(handled, name)]
    answered = Answered(memory)
    for name in new:
        answered = _ANSWERS[name](answered)
    answer = answered.events[-1].message if answered.events else handled.answer
    after = Handled(**asked, answer=answer if any(asked.values()) else None)
    kept = None if after == Handled() else after
    memory = answered.memory.model_copy(update={"handled": kept})
    return Answered(memory, answered.events, answered.skip, answered.abort)


def _pause(a: Answered) -> Answered:
    candidate = a.memory.candidate
    if candidate is None:
        return _say(a, "NothingToPause", "pause: no rollout is in progress")
    memory = a.memory.model_copy(update={"candidate": candidate.model_copy(update={"paused": "Request"})})
    return _say(Answered(memory, a.events), "Paused", f"pause: the rollout of version {candidate.version} is paused")


def _resume(a: Answered) -> Answered:
    candidate = a.memory.candidate
    if candidate is None:
        return _say(a, "NothingToResume", "resume: no rollout is in progress")
    told = f"resume: the rollout of version {candidate.version} goes on"
    if candidate.paused == "Request":
        memory = a.memory.model_copy(update={"candidate": candidate.model_copy(update={"paused": None})})
        return _say(Answered(memory, a.events), "Resumed", told)
    if candidate.paused is None and candidate.step_started_at is None:
        why = candidate.message or "it has just begun"
        return _say(a, "NothingToResume", f"resume: version {candidate.version} is not paused: {why}")
    return _say(Answered(a.memory, a.events, skip=True), "Resumed", f"{told} without waiting for the end of its step")


def _abort(a: Answered) -> Answered:
    candidate = a.memory.candidate
    if candidate is None:
        return _say(a, "NothingToAbort", "abort: no rollout is in progress")
    message = f"abort: the rollout of version {candidate.version} ends"
    return _say(Answered(a.memory, a.events, abort=True), "Aborting", message)


def _retry(a: Answered) -> Answered:
    version = a.memory.desired.version if a.memory.desired else None
    if not any(rejection.version == version for rejection in a.memory.rejected):
        return _say(a, "NothingToRetry", "retry: the wanted version is not rejected")
    message = f"retry: version {version} was rejected and is tried again"
    return _say(Answered(ledger.forgive(a.memory, version), a.events, a.skip, a.abort), "Retrying", message)


def _restart(a: Answered) -> Answered:
    return _say(a, "Restarting", "restart: new pods take over from the present ones, as in any rollout")


def _say(a: Answered, reason: str, message: str) -> Answered:
    return Answered(a.memory, (*a.events, Event(reason, message)), a.skip, a.abort)


_ANSWERS = {"pause": _pause, "resume": _resume, "abort": _abort, "retry": _retry, "restart": _restart}
