"""From a promotion to its first answer: where the seconds went. Pure: what was seen and when in, the split out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

from examples.demo.kube import Manifest, is_true
from examples.demo.traffic import Traffic
from examples.demo.watch import Seen

VERSION_LABEL = "serving.modelvane.dev/model-version"


@dataclass(frozen=True)
class Stretch:
    """A part of the way, in seconds."""

    what: str
    seconds: float


def split(promoted: float, pods: Iterable[Seen], version: str, first_answer: float) -> list[Stretch]:
    """Name each stretch between the promotion and the first answer of the version's first ready pod.

    A moment that was not seen takes no time of its own: it is counted to the next one.
    """
    own = [seen for seen in pods if seen.resource["metadata"].get("labels", {}).get(VERSION_LABEL) == version]
    ready = _first(own, lambda pod: is_true(pod, "Ready"))
    name = ready.resource["metadata"]["name"] if ready else None
    own = [seen for seen in own if name in (None, seen.resource["metadata"]["name"])]
    milestones = [
        ("the operator sees it and makes the pod", _first(own, lambda _: True)),
        ("the pod is scheduled", _first(own, lambda pod: is_true(pod, "PodScheduled"))),
        ("its first container starts", _first(own, lambda pod: "running" in _fetch_state(pod) or _is_fetched(pod))),
        ("the model is fetched", _first(own, _is_fetched)),
        ("the model is loaded, verified and ready", ready),
    ]
    stretches, before = [], promoted
    for what, seen in milestones:
        if seen is not None:
            moment = max(before, min(seen.at, first_answer))
            stretches.append(Stretch(what, moment - before))
            before = moment
    return [*stretches, Stretch("traffic reaches it", first_answer - before)]


@dataclass(frozen=True)
class Share:
    """A step of a canary: the weight that its status named, and the share of the answers that came of it."""

    weight: int
    share: float
    answers: int


def shares(deployments: Iterable[Seen], traffic: Traffic, version: str) -> list[Share]:
    """Count who answered while each weight was in effect. The seconds in which it changed belong to neither."""
    changes: list[tuple[float, int | None]] = []
    for seen in deployments:
        candidate = seen.resource.get("status", {}).get("candidate", {})
        weight = candidate.get("weight") if candidate.get("version") == version else None
        if not changes or changes[-1][1] != weight:
            changes.append((seen.at, weight))
    found = []
    for (start, weight), (end, _) in pairwise(changes):
        seconds = [second for second in traffic.seconds if start + 2 <= second.at <= end]
        answers = sum(second.answered for second in seconds)
        if weight and answers:
            found.append(Share(weight, sum(second.count(version) for second in seconds) / answers, answers))
    return found


def _first(seen: Iterable[Seen], fact: Callable[[Manifest], bool]) -> Seen | None:
    return next((one for one in seen if fact(one.resource)), None)


def _fetch_state(pod: Manifest) -> Manifest:
    statuses = pod.get("status", {}).get("initContainerStatuses", [])
    state: Manifest = statuses[0]["state"] if statuses else {}
    return state


def _is_fetched(pod: Manifest) -> bool:
    return bool(_fetch_state(pod).get("terminated", {}).get("exitCode") == 0)
