"""Who gets which requests: what the Service selects, how the gateway splits, and the weight that comes of it. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from modelvane.engine.state import Observed, Plan, Split, Traffic, Workload

GATEWAY_LAG = timedelta(seconds=1)
"""How soon to look whether a gateway has taken a route: it is not watched."""


@dataclass(frozen=True)
class Shift:
    """The traffic as it should be now."""

    traffic: Traffic
    split: Split | None
    """None without a gateway, and until the Services that it would send to are there."""
    weight: int
    """The percentage of the requests that the candidate really gets."""


def shift(o: Observed, stable: str | None, candidate: str, asked: int, mirror: int | None) -> Shift:
    """Give the candidate the weight that was asked for, as far as it has pods to carry it.

    While stable has no ready pod, a verified candidate answers in its place: nobody else could.
    """
    serving, coming = o.workload(stable), o.workload(candidate)
    ready = coming is not None and coming.ready > 0
    alone = ready and not (serving and serving.ready)
    others = stable is not None and _others_serve(o, stable, candidate)
    weight = asked if ready else 0
    if stable is None or weight >= 100 or (alone and others):
        traffic = Traffic(candidate)
    elif not alone and (weight == 0 or others):
        traffic = Traffic(stable)
    else:
        traffic = Traffic(None)
    if o.spec.gateway is None:
        return Shift(traffic, None, _share(traffic, candidate, serving, coming))
    if candidate not in o.live.backends:
        # Until there is a route, the Service is how the model is reached.
        weight, mirror = 0 if o.live.route else _share(traffic, candidate, serving, coming), None
    elif stable is None or alone:
        weight = 100
    split = split_between(o, stable, candidate, weight, mirror if ready and not alone else None)
    return Shift(traffic, split, weight if ready else 0)


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


def routed(o: Observed) -> Mapping[str, int]:
    """Return the weights of the HTTPRoute as it is now, by revision; a revision that only gets copies has 0."""
    spec = (o.live.route or {}).get("spec") or {}
    named: dict[str, int] = {}
    for rule in spec.get("rules") or ():
        for reference in rule.get("backendRefs") or ():
            named[reference["name"]] = reference.get("weight", 1)
        for mirror in filter(None, (filter_.get("requestMirror") for filter_ in rule.get("filters") or ())):
            named.setdefault(mirror["backendRef"]["name"], 0)
    return {workload.revision: named[workload.name] for workload in o.workloads if workload.name in named}


def unroute(o: Observed, deleted: Iterable[Workload]) -> Split | None:
    """Return the split that takes the route away, if it would be left with a revision that is deleted."""
    still = routed(o)
    return Split(()) if any(workload.revision in still for workload in deleted) else None


def keep_answering(o: Observed, plan: Plan) -> Plan:
    """Leave the traffic with whoever answers now, while none of those who are to have it has a ready pod.

    So a rollout that is dropped while its candidate is all that answers, as when the pointer moves on and stable's pods
    are down, takes nothing away before stable or the next candidate can answer.
    """
    if not o.spec.replicas or not (plan.memory.stable or plan.memory.candidate):
        return plan  # Nobody is to answer.
    wanted = plan.traffic or o.selected
    going = [w for w in plan.delete if w.ready and o.selected in (Traffic(None), Traffic(w.revision))]
    staying = [w for w in o.workloads if w not in plan.delete and wanted in (Traffic(None), Traffic(w.revision))]
    if not going or any(w.ready for w in staying):
        return plan
    last = max(going, key=lambda workload: workload.ready)
    kept = tuple(w for w in plan.delete if w is not last)
    return replace(plan, traffic=Traffic(last.revision), split=all_to(o, last.revision), delete=kept)


def delete_unrouted(o: Observed, plan: Plan) -> Plan:
    """Delete nothing that a gateway may still send to: not before it has taken the route that no longer names it.

    A gateway that refuses the route has answered, and is not waited for.
    """
    if not plan.delete or o.spec.gateway is None or o.live.route is None or plan.split == Split(()):
        return plan
    is_written = plan.split is None or plan.split.named == routed(o)
    if is_written and (o.route_accepted or o.route_problem):
        return plan
    return replace(plan, delete=(), wake_after=min(plan.wake_after or GATEWAY_LAG, GATEWAY_LAG))


def only_for_stable(o: Observed, plan: Plan) -> Plan:
    """Keep of a plan what keeps stable whole: for when the traffic cannot be moved, and a rollout cannot go on."""
    stable = o.memory.stable.revision if o.memory.stable else None
    return Plan(
        o.memory,
        create=tuple((revision, replicas) for revision, replicas in plan.create if revision.name == stable),
        scale=tuple((workload, replicas) for workload, replicas in plan.scale if workload.revision == stable),
    )


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
