"""decide(observed, now) -> Plan: which revision should be stable, which candidate, and what that asks of the cluster.

The order of the questions is the design: what does the registry say, what did people ask, which revision is the
target, may a rollout to it start or go on, and what is left over. Pure: no await, no client, no clock.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from modelvane import ledger, rollout
from modelvane.memory import Candidate, Desired, Handled, Memory, Stable
from modelvane.names import ANNOTATION_RESTART, ANNOTATION_RETRY, CONDITION_REGISTRY
from modelvane.rollout import Share
from modelvane.state import (
    Absent,
    Event,
    Found,
    Hold,
    NotReady,
    Observed,
    Plan,
    Revision,
    Traffic,
    Unreachable,
)

REASON_NAME_TAKEN = "NameTaken"
GARBAGE_COLLECTION = timedelta(seconds=1)
REFUSAL_RETRY = timedelta(seconds=30)


@dataclass(frozen=True)
class _Target:
    """Where the rollout should go: to a revision, to nowhere because the pointer is gone, or not at all for now."""

    revision: Revision | None = None
    removed: bool = False
    frozen: bool = False


def decide(o: Observed, now: datetime) -> Plan:
    """Compute the next memory and the wanted children from one snapshot."""
    if o.service_taken is not None:
        return Plan(o.memory, hold=Hold(REASON_NAME_TAKEN, o.service_taken))
    told = _registry_news(o)
    memory, found = _resolve(o, now)
    memory, answered = _answer_requests(o, memory)
    memory = _find_stable(o, memory, now)
    plan = _act(o, memory, _choose_target(o, memory), now)
    return replace(plan, events=(*told, *found, *answered, *plan.events))


def _registry_news(o: Observed) -> tuple[Event, ...]:
    """Tell when the registry went away and when it came back."""
    before = o.memory.condition(CONDITION_REGISTRY)
    was_down = before is not None and before.status == "False"
    if isinstance(o.resolution, Unreachable) and not was_down:
        return (Event("RegistryUnreachable", f"{ledger.serving(o.memory)}; {o.resolution.message}", "Warning"),)
    if was_down and isinstance(o.resolution, Found | Absent | NotReady):
        return (Event("RegistryRecovered", f"{ledger.serving(o.memory)}; the registry answers again"),)
    return ()


def _resolve(o: Observed, now: datetime) -> ledger.Entry:
    """Remember where the pointer leads. What is not known changes nothing."""
    known = o.memory.desired if o.memory.desired and o.memory.desired.pointer == o.spec.pointer else None
    resolution = o.resolution
    if isinstance(resolution, Found) and (known is None or known.version != resolution.version):
        desired = Desired(pointer=o.spec.pointer, version=resolution.version, run_id=resolution.run_id, resolved_at=now)
        event = Event("VersionResolved", f"{ledger.serving(o.memory)}, {o.spec.model} is version {resolution.version}")
        # A pointer that moved onto a rejected version is a new wish for it.
        memory = ledger.forgive(o.memory, resolution.version)
        return memory.model_copy(update={"desired": desired}), (event,)
    if isinstance(resolution, Absent) and known is not None and known.version is not None:
        removed = Desired(pointer=o.spec.pointer, resolved_at=now)
        event = Event("PointerRemoved", f"{ledger.serving(o.memory)}; {resolution.message}", "Warning")
        return o.memory.model_copy(update={"desired": removed}), (event,)
    return o.memory, ()


def _answer_requests(o: Observed, memory: Memory) -> ledger.Entry:
    """Answer the annotations that people set. A restart is part of the revision's hash; here it is only noted."""
    handled = memory.handled or Handled()
    asked = Handled(retry=o.annotations.get(ANNOTATION_RETRY), restart=o.annotations.get(ANNOTATION_RESTART))
    if asked == handled:
        return memory, ()
    memory = memory.model_copy(update={"handled": None if asked == Handled() else asked})
    version = memory.desired.version if memory.desired else None
    if asked.retry in (None, handled.retry) or not any(r.version == version for r in memory.rejected):
        return memory, ()
    event = Event("Retrying", f"version {version} was rejected and is tried again, as the retry annotation asks")
    return ledger.forgive(memory, version), (event,)


def _find_stable(o: Observed, memory: Memory, now: datetime) -> Memory:
    """Take up the revision that serves if the status was lost, and drop one whose Deployment cannot be made again."""
    if memory.stable is None:
        selected = o.workload(o.selected.revision) if o.selected else None
        if o.memory.desired is not None or selected is None or not selected.ready:
            return memory
        stable = Stable(version=selected.version, revision=selected.revision, since=now)
        return memory.model_copy(update={"stable": stable})
    if o.workload(memory.stable.revision) or o.template_hash is None:
        return memory
    if Revision(memory.stable.version, o.template_hash).name == memory.stable.revision:
        return memory
    return memory.model_copy(update={"stable": None})


def _choose_target(o: Observed, memory: Memory) -> _Target:
    """Say which revision should serve. Whatever is not known freezes: the registry alone takes nothing away."""
    if o.spec.suspend or o.template_hash is None:
        return _Target(frozen=True)
    if isinstance(o.resolution, Absent):
        return _Target(removed=True)
    desired = memory.desired
    if desired is None or desired.pointer != o.spec.pointer or desired.version is None:
        return _Target(frozen=True)
    revision = Revision(desired.version, o.template_hash)
    running = memory.candidate is not None and memory.candidate.revision == revision.name
    if not isinstance(o.resolution, Found) and not running:
        return _Target(frozen=True)  # No rollout starts on what the registry said some time ago.
    if memory.stable is None and ledger.find_rejection(memory, revision):
        return _Target(_last_good(memory, o.template_hash) or revision)
    return _Target(revision)


def _last_good(memory: Memory, template_hash: str) -> Revision | None:
    """Find a version that served before, for when stable's Deployment was deleted and the wanted one is rejected."""
    promoted = (Revision(e.version, template_hash) for e in memory.history if e.outcome == "Promoted")
    return next((revision for revision in promoted if not ledger.find_rejection(memory, revision)), None)


def _act(o: Observed, memory: Memory, target: _Target, now: datetime) -> Plan:
    """Take the one step that the target and the state of the cluster allow."""
    if target.frozen:
        return _freeze(o, memory, now)
    if target.revision is None:
        if o.spec.on_pointer_removed == "ScaleToZero" and memory.desired and memory.desired.pointer == o.spec.pointer:
            return _stop_serving(o, memory, now)
        return _serve(o, *ledger.drop(memory, o.spec, "Aborted", "the pointer was removed", now), now)
    revision = target.revision
    if memory.stable and memory.stable.revision == revision.name:
        why = f"version {revision.version} is wanted again"
        return _serve(o, *ledger.drop(memory, o.spec, "Superseded", why, now), now)
    if rejection := ledger.find_rejection(memory, revision):
        why = f"version {revision.version} is wanted, which is rejected"
        plan = _serve(o, *ledger.drop(memory, o.spec, "Superseded", why, now), now)
        return replace(plan, hold=Hold(rejection.reason, f"{ledger.serving(memory)}, {ledger.blame(rejection)}"))
    if o.spec.replicas == 0:
        return _serve(o, *ledger.drop(memory, o.spec, "Aborted", "scaled to zero", now), now)
    return _advance(o, memory, revision, now)


def _advance(o: Observed, memory: Memory, revision: Revision, now: datetime) -> Plan:
    """Start or continue the rollout of a candidate."""
    events: tuple[Event, ...] = ()
    if memory.candidate is None or memory.candidate.revision != revision.name:
        memory, dropped = ledger.drop(memory, o.spec, "Superseded", f"version {revision.version} is wanted now", now)
        memory, started = ledger.start(memory, revision, now)
        events = (*dropped, *started)
    situation = _situation(o, memory, revision, now)
    verdict = rollout.judge(situation)
    step = rollout.STRATEGIES[o.spec.strategy.type](situation)
    if step.promote and (verdict is None or situation.first):
        memory, promoted = ledger.promote(memory, o.spec, now)
        # What was stable is deleted in a later run, when the status that names the new one has been written.
        return _serve(o, memory, (*events, *promoted), now, "keep")
    if verdict:
        memory, rejected = ledger.reject(memory, o.spec, verdict, now)
        plan = _serve(o, memory, (*events, *rejected), now)
        return replace(plan, hold=Hold(verdict.reason, f"{ledger.serving(memory)}, {ledger.blame(memory.rejected[0])}"))
    story = (*events, *_milestones(o, memory, situation, step.share))
    memory = _note_step(memory, situation, step)
    plan = _serve(o, memory, story, now, "clear" if step.clear_others else "expire")
    selected = {Share.STABLE: _name(memory.stable), Share.BOTH: None, Share.CANDIDATE: revision.name}[step.share]
    workload = situation.candidate
    create = () if workload else ((revision, step.replicas),)
    scale = ((workload, step.replicas),) if workload and workload.replicas != step.replicas else ()
    left = max(situation.deadline - (now - situation.since), GARBAGE_COLLECTION)
    return replace(
        plan,
        create=(*plan.create, *create),
        scale=(*plan.scale, *scale),
        traffic=Traffic(selected),
        progress=f"{ledger.serving(memory)}, rolling out version {revision.version}: {step.message}",
        wake_after=_soonest(plan.wake_after, step.wake_after, left if workload else min(left, REFUSAL_RETRY)),
    )


def _situation(o: Observed, memory: Memory, revision: Revision, now: datetime) -> rollout.Situation:
    others = [w for w in o.workloads if w.revision not in (revision.name, _name(memory.stable))]
    candidate = memory.candidate
    return rollout.Situation(
        wanted=o.spec.replicas,
        candidate=o.workload(revision.name),
        stable=o.workload(_name(memory.stable)),
        others_serve=bool(o.strays) or any(other.pods for other in others),
        first=memory.stable is None,
        since=(candidate and candidate.since) or now,
        deadline=o.spec.progress_deadline,
        registry_reachable=not isinstance(o.resolution, Unreachable),
        refusal=candidate.message if candidate else None,
        now=now,
    )


def _note_step(memory: Memory, situation: rollout.Situation, step: rollout.Step) -> Memory:
    if memory.candidate is None:
        return memory
    update = {
        "since": situation.since,
        "weight": rollout.weight(step.share, situation.candidate, situation.stable),
        "message": step.message,
    }
    return memory.model_copy(update={"candidate": memory.candidate.model_copy(update=update)})


def _milestones(o: Observed, memory: Memory, situation: rollout.Situation, share: Share) -> list[Event]:
    """Tell the turning points of a rollout, each once: the status before and the Service show which are new."""
    candidate, workload = memory.candidate, situation.candidate
    events = []
    if candidate and workload and workload.ready and not candidate.ready_replicas:
        events.append(Event("CandidateReady", f"version {workload.version} is verified: its first pod is ready"))
    if candidate and share is Share.BOTH and o.selected != Traffic(None):
        events.append(Event("TrafficShifting", f"{ledger.serving(memory)}, version {candidate.version} joins it"))
    return events


def _freeze(o: Observed, memory: Memory, now: datetime) -> Plan:
    """Let everything run as it does: stable is kept and scaled, a candidate's clock stands still."""
    if memory.candidate is None:
        return _serve(o, memory, (), now)
    memory = memory.model_copy(update={"candidate": memory.candidate.model_copy(update={"since": None})})
    plan = _serve(o, memory, (), now)
    shifting = o.selected == Traffic(None) and memory.stable is not None
    return replace(plan, traffic=None) if shifting else plan


def _stop_serving(o: Observed, memory: Memory, now: datetime) -> Plan:
    """Take everything down, as `onPointerRemoved: ScaleToZero` asks. The next pointer starts like a first version."""
    memory, events = ledger.drop(memory, o.spec, "Aborted", "the pointer was removed", now)
    if memory.stable:
        message = f"version {memory.stable.version} is taken down, as onPointerRemoved asks"
        events = (*events, Event("ScaledDown", message))
    return Plan(memory.model_copy(update={"stable": None}), delete=o.workloads, events=events)


def _serve(
    o: Observed,
    memory: Memory,
    events: tuple[Event, ...],
    now: datetime,
    leftovers: Literal["keep", "expire", "clear"] = "expire",
) -> Plan:
    """Serve stable at the wanted size, and delete what is neither stable, nor candidate, nor still warm."""
    stable, wanted = memory.stable, o.spec.replicas
    current = o.workload(_name(stable)) if stable else None
    warm_for = stable.since + o.spec.strategy.scale_down_delay - now if stable else timedelta(0)
    clear = leftovers == "clear" or warm_for <= timedelta(0)
    dropped = _name(o.memory.candidate)
    others = [w for w in o.workloads if w.revision not in (_name(stable), _name(memory.candidate))]
    delete = () if leftovers == "keep" else tuple(w for w in others if clear or w.revision == dropped)
    create: tuple[tuple[Revision, int], ...] = ()
    if stable and not current and o.template_hash is not None:
        create = ((Revision(stable.version, o.template_hash), wanted),)
    return Plan(
        memory,
        create=create,
        scale=((current, wanted),) if current and current.replicas != wanted else (),
        delete=delete,
        traffic=Traffic(stable.revision) if stable else None,
        events=events,
        wake_after=_soonest(
            max(warm_for, GARBAGE_COLLECTION) if len(others) > len(delete) else None,
            GARBAGE_COLLECTION if o.taken or o.strays else None,
        ),
    )


def _name(part: Stable | Candidate | None) -> str | None:
    return part.revision if part else None


def _soonest(*delays: timedelta | None) -> timedelta | None:
    return min((delay for delay in delays if delay is not None), default=None)
