"""The status people and tools read: conditions and counts first, the phase derived from them last. Pure.

Nothing here is input of the next decision, and no text here changes while nothing happens: the status is written only
when it differs, so a counter or a clock in a sentence would be a write for ever.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from modelvane.engine.memory import Condition, Memory, RegistrySeen
from modelvane.engine.state import Absent, Found, Hold, NotReady, Observed, Plan, Unreachable, Unread, Workload
from modelvane.names import (
    API_VERSION,
    CONDITION_READY,
    CONDITION_RECONCILING,
    CONDITION_REGISTRY,
    CONDITION_RESOLVED,
    CONDITION_ROUTE,
    CONDITION_STALLED,
    label_selector,
    service_selector,
)

Verdict = tuple[Literal["True", "False", "Unknown"], str, str]


def build_status(o: Observed, plan: Plan, refusal: Hold | None, now: datetime) -> dict[str, Any]:
    """Compute the whole status after a plan was carried out, or refused."""
    memory = _count(o, plan.memory, refusal)
    hold = refusal or plan.hold
    verdicts: dict[str, Verdict | None] = {
        CONDITION_READY: _ready(o, memory, hold),
        CONDITION_REGISTRY: _registry(o),
        CONDITION_RESOLVED: _resolved(o),
        CONDITION_ROUTE: _route(o, plan),
        CONDITION_RECONCILING: _reconciling(o, memory, plan),
        CONDITION_STALLED: ("True", hold.reason, hold.message) if hold else None,
    }
    conditions = tuple(
        build_condition(o.memory.condition(kind), kind, verdict, o.generation, now)
        for kind, verdict in verdicts.items()
        if verdict
    )
    scheme, usual = ("https", 443) if o.spec.runtime.tls else ("http", 80)
    port = "" if o.spec.service.port == usual else f":{o.spec.service.port}"
    final = memory.model_copy(
        update={
            "observed_generation": o.generation,
            "url": f"{scheme}://{o.name}.{o.namespace}.svc{port}",
            "registry": _seen(o),
            "conditions": conditions,
            "phase": _phase(o, memory, plan, hold),
        }
    )
    dumped = final.dump()
    before = o.memory.dump()
    return before if _same(before, dumped) else dumped


def build_invalid_status(memory: Memory, generation: int, message: str, now: datetime) -> dict[str, Any]:
    """Say that the spec cannot be read. What serves is left alone, and so is the memory of it."""
    kept = [c for c in memory.conditions if c.type not in (CONDITION_STALLED, CONDITION_RECONCILING)]
    stalled: Verdict = ("True", "InvalidSpec", message)
    conditions = (
        *kept,
        build_condition(memory.condition(CONDITION_STALLED), CONDITION_STALLED, stalled, generation, now),
    )
    update = {"conditions": conditions, "observed_generation": generation, "phase": "Degraded"}
    return memory.model_copy(update=update).dump()


def with_status(resource: Mapping[str, Any], kind: str, status: Mapping[str, Any]) -> dict[str, Any]:
    """Wrap a status for writing. The version makes it a write about what was seen, or none at all."""
    metadata = {name: resource["metadata"][name] for name in ("name", "namespace", "uid", "resourceVersion")}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "status": status}


def build_condition(before: Condition | None, kind: str, verdict: Verdict, generation: int, now: datetime) -> Condition:
    """Write a condition; its time changes only with its status."""
    status, reason, message = verdict
    since = before.last_transition_time if before and before.status == status else now
    return Condition(
        type=kind,
        status=status,
        reason=reason,
        message=message,
        last_transition_time=since,
        observed_generation=generation,
    )


def _count(o: Observed, memory: Memory, refusal: Hold | None) -> Memory:
    """Fill in what is there now."""
    stable, candidate = memory.stable, memory.candidate
    shown: Workload | None = None
    if stable:
        shown = o.workload(stable.revision)
        share = 100 - (candidate.weight or 0 if candidate else 0)
        told = {"digest": _digest(shown, stable.digest), "environment": _environment(shown, stable.environment)}
        stable = stable.model_copy(update={**_counts(shown), "weight": share, **told})
    if candidate:
        workload = o.workload(candidate.revision)
        shown = shown or workload
        message = refusal.message if refusal and not workload else candidate.message
        differs = _environment(workload, candidate.environment)
        candidate = candidate.model_copy(update={**_counts(workload), "message": message, "environment": differs})
    return memory.model_copy(
        update={
            "stable": stable,
            "candidate": candidate,
            "replicas": len(shown.pods) if shown else 0,
            "selector": label_selector(service_selector(o.name, shown.revision if shown else None)),
        }
    )


def _counts(workload: Workload | None) -> dict[str, int]:
    return {"replicas": workload.replicas if workload else 0, "ready_replicas": workload.ready if workload else 0}


def _digest(workload: Workload | None, known: str | None) -> str | None:
    return (workload.digest if workload else None) or known


def _environment(workload: Workload | None, known: str | None) -> str | None:
    return (workload.environment if workload else None) or known


def _ready(o: Observed, memory: Memory, hold: Hold | None) -> Verdict:
    wanted, stable = o.spec.replicas, memory.stable
    if stable is None:
        return ("False", *_why_nothing_serves(o, memory, hold))
    workload = o.workload(stable.revision)
    ready = workload.ready if workload else 0
    sentence = f"serving version {stable.version} with {min(ready, wanted)} of {wanted} pods"
    if wanted == 0:
        return "True", "ScaledToZero", f"version {stable.version} is scaled to zero"
    if ready >= wanted:
        return "True", "Serving", sentence
    failure = workload.failure if workload else None
    if failure:
        return "False", failure.reason, f"{sentence}: {failure.message}"
    detail = workload.refused or workload.waiting_for if workload else None
    return "False", "PodsNotReady", f"{sentence}: {detail}" if detail else sentence


def _why_nothing_serves(o: Observed, memory: Memory, hold: Hold | None) -> tuple[str, str]:
    if hold:
        return hold.reason, hold.message
    if o.spec.suspend:
        return "Suspended", "nothing was served before rollouts were suspended"
    if memory.candidate:
        return "RollingOut", f"version {memory.candidate.version} is the first: {memory.candidate.message}"
    resolution = o.resolution
    if isinstance(resolution, Absent):
        return ("PointerRemoved" if memory.desired else "PointerNotFound"), resolution.message
    if isinstance(resolution, NotReady):
        return "VersionNotReady", resolution.message
    if isinstance(resolution, Unreachable):
        return resolution.reason, resolution.message
    if o.spec.replicas == 0:
        return "ScaledToZero", "replicas is 0"
    return "Pending", "the registry has not been read yet"


def _reconciling(o: Observed, memory: Memory, plan: Plan) -> Verdict | None:
    if o.spec.suspend:
        return None
    if plan.progress:
        paused = memory.candidate is not None and memory.candidate.paused is not None
        return "True", "Paused" if paused else "RollingOut", plan.progress
    workload = o.workload(memory.stable.revision) if memory.stable else None
    if memory.stable and workload and workload.ready < o.spec.replicas and not workload.failure:
        return "True", "Scaling", f"{workload.ready} of {o.spec.replicas} pods are ready"
    route = _route(o, plan)
    if memory.stable and route and route[0] != "True":
        # Not Stalled: who owns the gateway can mend it, and then nothing has to be asked for here.
        return "True", f"Route{route[1]}", route[2]
    return None


def _registry(o: Observed) -> Verdict | None:
    if isinstance(o.resolution, Unreachable):
        return "False", o.resolution.reason, o.resolution.message
    if isinstance(o.resolution, Unread):
        return _as_before(o, CONDITION_REGISTRY)
    return "True", "Reachable", f"ModelRegistry {o.spec.registry_ref.name} answers"


def _resolved(o: Observed) -> Verdict | None:
    resolution = o.resolution
    if isinstance(resolution, Found):
        return "True", "Resolved", f"{o.spec.model} is version {resolution.version}"
    if isinstance(resolution, Absent):
        removed = o.memory.desired is not None and o.memory.desired.pointer == o.spec.pointer
        return "False", "PointerRemoved" if removed else "PointerNotFound", resolution.message
    if isinstance(resolution, NotReady):
        return "False", "VersionNotReady", resolution.message
    if o.memory.desired and o.memory.desired.pointer != o.spec.pointer:
        return "Unknown", "NotReadYet", f"{o.spec.model} has not been read yet"
    return _as_before(o, CONDITION_RESOLVED)


def _route(o: Observed, plan: Plan) -> Verdict | None:
    if o.spec.gateway is None:
        return None
    if o.route_problem is not None:
        return "False", "NotAccepted", o.route_problem
    if o.route_accepted:
        return "True", "Accepted", "the gateway routes to the model"
    if o.live.route is None and plan.split is None:
        return "Unknown", "Pending", "the HTTPRoute is made once a version serves"
    return "Unknown", "Pending", "no gateway has said yet whether it takes the HTTPRoute"


def _as_before(o: Observed, kind: str) -> Verdict:
    """Keep what was known: not having asked, or not having been answered, is no news about the pointer."""
    before = o.memory.condition(kind)
    if before:
        return before.status, before.reason, before.message
    return "Unknown", "NotReadYet", f"ModelRegistry {o.spec.registry_ref.name} has not been read yet"


def _seen(o: Observed) -> RegistrySeen | None:
    if isinstance(o.resolution, Unread):
        return o.memory.registry
    return RegistrySeen(reachable=not isinstance(o.resolution, Unreachable), last_poll_time=o.polled_at)


def _phase(o: Observed, memory: Memory, plan: Plan, hold: Hold | None) -> str:
    workload = o.workload(memory.stable.revision) if memory.stable else None
    if o.spec.suspend:
        return "Suspended"
    if hold:
        return "Degraded"
    if memory.candidate:
        return "Paused" if memory.candidate.paused else "Progressing"
    if memory.stable is None:
        return "Pending"
    if workload and workload.ready >= o.spec.replicas:
        routed = _route(o, plan) or ("True", "", "")
        return {"True": "Ready", "False": "Degraded", "Unknown": "Progressing"}[routed[0]]
    return "Degraded" if workload and workload.failure else "Progressing"


def _same(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Compare without the poll time, which alone is no reason to write."""
    return _without_poll_time(before) == _without_poll_time(after)


def _without_poll_time(status: dict[str, Any]) -> dict[str, Any]:
    seen = {key: value for key, value in status.get("registry", {}).items() if key != "lastPollTime"}
    return {**status, "registry": seen}
