"""What goes on, in sentences: the state, what is waited for, how long, and what a person can do. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from modelvane_cli.seen import Manifest, Seen
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
    if stalled.get("status") == "True" and seen.status.get("rejected"):
        return [
            f"Mend it and promote a new version; or try the same one again:  modelvane retry {name}  ; or let the "
            f"registry name what serves:  modelvane rollback {name}"
        ]
    if stalled.get("status") == "True":
        return [f"More about it:  modelvane doctor {name}"]
    return []


def step(seen: Seen) -> Manifest:
    """Return the step of the Canary that is being done, empty if there is none."""
    number = seen.part("candidate").get("step")
    steps = (seen.spec.get("strategy") or {}).get("steps") or ()
    return dict(steps[number - 1]) if isinstance(number, int) and 0 < number <= len(steps) else {}


def pause_ends(seen: Seen) -> datetime | None:
    """Return when the pause of this step is over, if a time was set."""
    began = parse_time(seen.part("candidate").get("stepStartedAt"))
    duration = parse_duration((step(seen).get("pause") or {}).get("duration"))
    return began + duration if began and duration is not None else None


def describe_step(seen: Seen, now: datetime) -> str | None:
    """Say which step it is and what ends it: `step 2 of 4 (50 %), pause 2m, 1m12s left`."""
    candidate, wanted = seen.part("candidate"), step(seen)
    number = candidate.get("step")
    if not number:
        return None
    text = f"step {number}" + (f" of {candidate['steps']}" if candidate.get("steps") else "")
    if "weight" in wanted:
        text += f" ({wanted['weight']} %)"
    pause = wanted.get("pause")
    if candidate.get("paused"):
        return f"{text}, paused"
    if pause is None:
        return text
    ends = pause_ends(seen)
    if ends is None:
        duration = pause.get("duration")
        return f"{text}, then pause {duration}" if duration else f"{text}, then waits for you"
    return f"{text}, pause {pause['duration']}, {left(ends, now)}"


def progress(seen: Seen, now: datetime) -> float | None:
    """Return how far a rollout is, from 0 to 1: by its steps where it has some, else by its weight."""
    candidate = seen.part("candidate")
    if not candidate:
        return None
    number, steps = candidate.get("step"), candidate.get("steps")
    if not number or not steps:
        return min(1.0, float(candidate.get("weight") or 0) / 100)
    began, ends = parse_time(candidate.get("stepStartedAt")), pause_ends(seen)
    part = 0.0
    if began and ends and ends > began:
        part = min(1.0, max(0.0, (now - began) / (ends - began)))
    return min(1.0, (float(number) - 1 + part) / float(steps))
