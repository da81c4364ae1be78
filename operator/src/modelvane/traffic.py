"""Who gets which requests: what the Service selects, how the gateway splits, and the weight that comes of it. Pure."""

from dataclasses import dataclass

from modelvane.state import Observed, Split, Traffic, Workload


@dataclass(frozen=True)
class Shift:
    """The traffic as it should be now."""

    traffic: Traffic
    split: Split | None
    """None without a gateway, and until the Services that it would send to are there."""
    weight: int
    """The percentage of the requests that the candidate really gets."""


def shift(o: Observed, stable: str | None, candidate: str, asked: int, mirror: int | None) -> Shift:
    """Give the candidate the weight that was asked for, as far as it has pods to carry it."""
    serving, coming = o.workload(stable), o.workload(candidate)
    weight = asked if coming and coming.ready else 0
    if stable is None or weight >= 100:
        traffic = Traffic(candidate)
    elif weight == 0 or _others_serve(o, stable, candidate):
        traffic = Traffic(stable)
    else:
        traffic = Traffic(None)
    if o.spec.gateway is None:
        return Shift(traffic, None, _share(traffic, candidate, serving, coming))
    if candidate not in o.live.backends:
        weight, mirror = 0, None
    elif stable is None or (weight and not (serving and serving.ready)):
        weight = 100  # Nobody else could answer.
    split = split_between(o, stable, candidate, weight, mirror if coming and coming.ready else None)
    return Shift(traffic, split, weight)


def all_to(o: Observed, revision: str) -> Split | None:
    """Return the split that gives one revision everything."""
    return split_between(o, revision, None, 0, None)


def split_between(
    o: Observed, stable: str | None, candidate: str | None, weight: int, mirror: int | None
) -> Split | None:
    """Write a split down. A route never names a Service that is not there: a gateway answers 500 for that."""
    weights = tuple(
        (revision, share)
        for revision, share in ((stable, 100 - weight), (candidate, weight))
        if revision is not None and share
    )
    if o.spec.gateway is None or not weights or any(revision not in o.live.backends for revision, _ in weights):
        return None
    return Split(weights, (candidate, mirror) if candidate and mirror else None)


def _others_serve(o: Observed, stable: str, candidate: str) -> bool:
    return bool(o.strays) or any(w.pods for w in o.workloads if w.revision not in (stable, candidate))


def _share(traffic: Traffic, candidate: str, serving: Workload | None, coming: Workload | None) -> int:
    """Return the candidate's share of the ready pods behind the Service."""
    ready = coming.ready if coming else 0
    if traffic.revision == candidate:
        return 100 if ready else 0
    if traffic.revision is not None:
        return 0
    return round(100 * ready / (ready + (serving.ready if serving else 0)))
