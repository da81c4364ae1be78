"""What goes on, in sentences: the state, what is waited for, how long, and what a person can do. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from modelvane_cli.seen import Seen
from modelvane_cli.words import left, parse_duration, parse_time

_CONDITIONS = {
    "Ready": ("serves as wanted", "does not serve as wanted", "nobody knows whether it serves"),
    "RegistryReachable": ("the registry answers", "the registry does not answer", "the registry was not asked yet"),
    "ModelResolved": ("the pointer leads to a version", "the pointer leads nowhere", "the pointer was not read yet"),
    "RouteAccepted": ("the gateway takes the route", "the gateway refuses the route", "the gateway says nothing yet"),
    "Reconciling": ("something is under way", "nothing is under way", "nobody knows what is under way"),
    "Stalled": ("it needs help", "it needs no help", "nobody knows whether it needs help"),
}
_BAD_WHEN_TRUE = frozenset({"Stalled"})
_NEUTRAL = frozenset({"Reconciling"})


@dataclass(frozen=True)
class Sentence:
    """A condition in plain words. `good` is None where it is neither."""

    good: bool | None
    text: str
    detail: str


def conditions(seen: Seen) -> Iterator[Sentence]:
    """Say each condition in plain words, in the order of the status."""
    for one in seen.status.get("conditions") or ():
        kind, status = one.get("type", ""), one.get("status", "Unknown")
        words = _CONDITIONS.get(kind, (f"{kind} is true", f"{kind} is false", f"{kind} is unknown"))
        text = words[("True", "False", "Unknown").index(status) if status in ("True", "False") else 2]
        good: bool | None = None
        if status != "Unknown" and kind not in _NEUTRAL:
            good = (status == "True") != (kind in _BAD_WHEN_TRUE)
        yield Sentence(good, text, f"{one.get('reason', '')}: {one.get('message', '')}")


def advice(seen: Seen) -> list[str]:
    """Say what a person can do now, if it waits for one; the commands are written as they are typed."""
    name = f"{seen.name} -n {seen.namespace}" if seen.namespace else seen.name
    candidate, stalled = seen.part("candidate"), seen.condition("Stalled")
    paused = candidate.get("paused")
    if not seen.status:
        return [f"The operator has not seen it yet. If that lasts: modelvane doctor {name}"]
    if paused == "Step":
        return [f"It waits for you: go on with  modelvane resume {name}  or call it off with  modelvane abort {name}"]
    if paused == "Request":
        return [f"You asked it to pause: go on with  modelvane resume {name}"]
    if paused == "Inconclusive":
        return [
            "There were too few requests to judge it. More requests, or your word, take it on:  "
            f"modelvane resume {name}  or  modelvane abort {name}"
        ]
    if stalled.get("status") == "True" and seen.is_rejected:
        return [
            f"Mend it and promote a new version; or try the same one again:  modelvane retry {name}  ; or let the "
            f"registry name what serves:  modelvane rollback {name}"
        ]
    if stalled.get("status") == "True":
        return [
            "Correct what the message of the condition names; the operator tries again by itself. More about it:  "
            f"modelvane doctor {name}"
        ]
    return []


def pause_ends(seen: Seen) -> datetime | None:
    """Return when the pause of the present step is over, if a time was set and nobody has to say so."""
    candidate, strategy = seen.part("candidate"), seen.spec.get("strategy") or {}
    steps, number = strategy.get("steps") or (), candidate.get("step")
    if candidate.get("paused") or strategy.get("type") != "Canary" or not number or number > len(steps):
        return None
    began = parse_time(candidate.get("stepStartedAt"))
    duration = parse_duration((steps[number - 1].get("pause") or {}).get("duration"))
    return began + duration if began and duration is not None else None


def describe_progress(seen: Seen, now: datetime) -> str | None:
    """Say what the candidate does or waits for, in the operator's words, and how long that still takes."""
    message, ends = seen.part("candidate").get("message"), pause_ends(seen)
    if ends is None or not message:
        return str(message) if message else None
    return f"{message}, {left(ends, now)}"


def progress(seen: Seen, now: datetime) -> float | None:
    """Return how far a rollout is, from 0 to 1: by the steps of a Canary, else by the pods that are ready."""
    candidate, strategy = seen.part("candidate"), seen.spec.get("strategy") or {}
    if not candidate:
        return None
    number, steps = candidate.get("step"), candidate.get("steps")
    if strategy.get("type") == "Canary":
        if not number or not steps:
            return 0.0
        began, ends = parse_time(candidate.get("stepStartedAt")), pause_ends(seen)
        part = (now - began) / (ends - began) if began and ends and ends > began else 0.0
        return min(1.0, (float(number) - 1 + min(1.0, max(0.0, part))) / float(steps))
    wanted = int(seen.spec.get("replicas") or 0)
    return min(1.0, float(candidate.get("readyReplicas") or 0) / wanted) if wanted else 0.0
