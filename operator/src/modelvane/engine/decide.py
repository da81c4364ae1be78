"""decide(observed, now) -> Plan: which revision should be stable, which candidate, and what that asks of the cluster.

The order of the questions is the design: what does the registry say, what did people ask, which revision is the
target, may a rollout to it start or go on, and what is left over. Pure: no await, no client, no clock.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal

from modelvane.engine import ledger, rollout
from modelvane.engine.annotations import answer_requests
from modelvane.engine.checks import note_checks
from modelvane.engine.memory import Candidate, Memory, Rejection, Stable, Warm
from modelvane.engine.stage import Situation, Step
from modelvane.engine.state import (
    Event,
    Failure,
    Hold,
    Observed,
    Plan,
    Revision,
    Traffic,
    Unreachable,
    Unread,
)
from modelvane.engine.target import Target, choose_target, find_stable, resolve, tell_registry_news
from modelvane.engine.traffic import Shift, all_to, delete_unrouted, keep_answering, routed, shift, unroute

REASON_ABORTED = "Aborted"
REASON_NAME_TAKEN = "NameTaken"
GARBAGE_COLLECTION = timedelta(seconds=1)
GATEWAY_LOOK = timedelta(seconds=30)
"""How often a route is looked at: it is not watched, because a cluster may lack the Gateway API."""
REFUSAL_RETRY = timedelta(seconds=30)


def decide(o: Observed, now: datetime) -> Plan:
    """Compute the next memory and the wanted children from one snapshot."""
    if o.service_taken is not None:
        return Plan(o.memory, hold=Hold(REASON_NAME_TAKEN, o.service_taken))
    told = tell_registry_news(o)
    memory, found = resolve(o, now)
    answered = answer_requests(o, ledger.void(memory, o.spec))
    memory = find_stable(o, answered.memory, now)
    ended: tuple[Event, ...] = ()
    if answered.abort:
        why = Failure(REASON_ABORTED, "a person called its rollout off", permanent=True)
        memory, ended = ledger.reject(memory, o.spec, why, now, "Aborted")
    plan = _act(o, memory, choose_target(o, memory), answered.skip, now)
    if not answered.abort:  # A person may take away the last that answers.
        plan = keep_answering(o, plan)
    plan = delete_unrouted(o, replace(plan, split=plan.split or unroute(o, plan.delete)))
    lacking = _tell_differences(o, plan.memory)
    return replace(plan, events=(*told, *found, *answered.events, *lacking, *ended, *plan.events))


def _act(o: Observed, memory: Memory, target: Target, skip: bool, now: datetime) -> Plan:
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
        return replace(plan, hold=_hold(memory, rejection))
    if o.spec.replicas == 0:
        return _serve(o, *ledger.drop(memory, o.spec, "Aborted", "scaled to zero", now), now)
    return _advance(o, memory, revision, skip, now)


def _advance(o: Observed, memory: Memory, revision: Revision, skip: bool, now: datetime) -> Plan:
    """Start or continue the rollout of a candidate."""
    events: tuple[Event, ...] = ()
    if memory.candidate is None or memory.candidate.revision != revision.name:
        same = memory.candidate is not None and memory.candidate.version == revision.version
        why = f"version {revision.version} is wanted {'with another pod template' if same else 'now'}"
        memory, dropped = ledger.drop(memory, o.spec, "Superseded", why, now)
        memory, started = ledger.start(memory, revision, now)
        events = (*dropped, *started)
        skip = False
    else:
        memory, events = note_checks(o, memory)
    begun = _begin_again(o, memory)
    if begun is not memory:
        memory, skip = begun, False  # Who asked to go on did not ask for a stage of another strategy to be left out.
    situation = _situation(o, memory, revision, skip, now)
    step = rollout.advance(situation)
    verdict = rollout.judge(situation, step)
    if step.promote and (verdict is None or situation.first):
        memory, promoted = ledger.promote(memory, o.spec, now)
        # What was stable is deleted in a later run, when the status that names the new one has been written.
        return _serve(o, memory, (*events, *promoted), now, "keep")
    if verdict and not situation.alone:
        memory, rejected = ledger.reject(memory, o.spec, verdict, now)
        plan = _serve(o, memory, (*events, *rejected), now)
        return replace(plan, hold=_hold(memory, memory.rejected[0]))
    if verdict:
        step = replace(step, message=f"{verdict.message}; it is kept, because nothing else has a ready pod")
    shifted = shift(o, _name(memory.stable), revision.name, step.weight, step.mirror_percent)
    events = (*events, *_milestones(o, memory, situation, step, shifted))
    memory = _note_step(memory, situation, step, shifted.weight)
    plan = _serve(o, memory, events, now, "clear" if step.clear_others else "expire")
    workload = situation.candidate
    create = () if workload else ((revision, step.replicas),)
    scale = ((workload, step.replicas),) if workload and workload.replicas != step.replicas else ()
    waiting = memory.candidate.waiting_since if memory.candidate else None
    left = max(situation.deadline - (now - waiting), GARBAGE_COLLECTION) if waiting and not verdict else None
    progress = f"{ledger.serving(memory)}, rolling out version {revision.version}: {step.message}"
    return replace(
        plan,
        create=(*plan.create, *create),
        scale=(*plan.scale, *scale),
        traffic=shifted.traffic,
        split=shifted.split,
        hold=Hold(verdict.reason, progress) if verdict else None,
        progress=progress,
        wake_after=_soonest(plan.wake_after, step.wake_after, left if workload else REFUSAL_RETRY),
    )


def _begin_again(o: Observed, memory: Memory) -> Memory:
    """Let a candidate begin the stages of another strategy from the first, when the spec names another now."""
    candidate, strategy = memory.candidate, o.spec.strategy.type
    if candidate is None or candidate.strategy == strategy:
        return memory
    update = {"strategy": strategy, "step": 1 if candidate.step else None, "step_started_at": None}
    return memory.model_copy(update={"candidate": candidate.model_copy(update=update)})


def _situation(o: Observed, memory: Memory, revision: Revision, skip: bool, now: datetime) -> Situation:
    if memory.candidate is None:
        raise ValueError("there is no rollout without a candidate")
    others = [w for w in o.workloads if w.revision not in (revision.name, _name(memory.stable))]
    first, warm = memory.stable is None, _name(memory.warm) == revision.name
    return Situation(
        wanted=o.spec.replicas,
        strategy=o.spec.strategy,
        analysis=None if first or warm else o.spec.analysis,
        memory=memory.candidate,
        candidate=o.workload(revision.name),
        stable=o.workload(_name(memory.stable)),
        others_serve=bool(o.strays) or any(other.pods for other in others),
        first=first,
        warm=warm,
        exact=o.spec.gateway is not None,
        routable=o.spec.gateway is None or revision.name in o.live.backends,
        mirror_problem=o.mirror_problem,
        skip=skip,
        deadline=o.spec.progress_deadline,
        registry_reachable=not isinstance(o.resolution, Unreachable | Unread),
        now=now,
    )


def _note_step(memory: Memory, situation: Situation, step: Step, weight: int) -> Memory:
    candidate = situation.memory
    # Without the registry no pod can fetch its model: the deadline begins anew when it answers.
    # Pods that come and go count as missing, or the moments in which all are there would put off the deadline for ever.
    waits = situation.settled < step.replicas and not situation.held and situation.registry_reachable
    update = {
        "waiting_since": (candidate.waiting_since or situation.now) if waits else None,
        "weight": weight,
        "message": step.message,
        "step": step.step,
        "steps": step.steps,
        "step_started_at": step.step_started_at,
        "paused": step.paused,
        "mirror_percent": step.mirror_percent,
    }
    return memory.model_copy(update={"candidate": candidate.model_copy(update=update)})


def _milestones(o: Observed, memory: Memory, situation: Situation, step: Step, shifted: Shift) -> list[Event]:
    """Tell the turning points of a rollout, each once: the status before shows which are new."""
    before, workload = situation.memory, situation.candidate
    name = f"version {before.version}"
    events = []
    if workload and workload.ready and not before.ready_replicas:
        events.append(Event("CandidateReady", f"{name} is verified: its first pod is ready"))
    if o.mirror_problem and before.step is None and step.step:
        text = f"{name} gets no copies of requests before its traffic: {o.mirror_problem}"
        events.append(Event("MirrorSkipped", text, "Warning"))
    if step.mirror_percent and not before.mirror_percent:
        events.append(Event("Mirroring", f"{ledger.serving(memory)}, {name} gets copies of requests"))
    begins_or_ends = bool(shifted.weight) != bool(before.weight)
    # Without a gateway the weight is a share of pods, which changes with each of them: only a step's is worth telling.
    step_begins = step.step_started_at not in (None, before.step_started_at) and bool(shifted.weight)
    changed = shifted.weight != (before.weight or 0) if situation.exact else step_begins
    if begins_or_ends or changed:
        moved = "gets" if shifted.weight else "no longer gets"
        share = f"{shifted.weight}% of the traffic" if shifted.weight else "traffic: its pods are not ready"
        events.append(Event("TrafficShifted", f"{ledger.serving(memory)}, {name} {moved} {share}: {step.message}"))
    if step.paused not in (None, "Request") and (step.paused, step.step) != (before.paused, before.step):
        events.append(Event("Paused", f"{name} waits for a person: {step.message}"))
    return events


def _tell_differences(o: Observed, memory: Memory) -> list[Event]:
    """Tell in which packages an image differs from what a model asks for, once: the status before shows for which."""
    before = (o.memory.stable, o.memory.candidate)
    told = {part.revision for part in before if part and part.environment}
    # A candidate that is rejected in this very run may be so because of that.
    shown = {part.revision: part for part in (memory.stable, memory.candidate, o.memory.candidate) if part}
    events = []
    for part in shown.values():
        workload = o.workload(part.revision)
        if workload and workload.environment and part.revision not in told:
            text = f"version {part.version}: {workload.environment}"
            events.append(Event("EnvironmentDiffers", text, "Warning"))
    return events


def _freeze(o: Observed, memory: Memory, now: datetime) -> Plan:
    """Let everything run as it does: stable is kept and scaled, a candidate's clocks stand still."""
    candidate = memory.candidate
    if candidate is not None:
        stopped = candidate.model_copy(update={"waiting_since": None, "step_started_at": None})
        memory = memory.model_copy(update={"candidate": stopped})
    plan = replace(_serve(o, memory, (), now), hold=_rejected(o, memory))
    if memory.stable is None:
        return replace(plan, delete=())  # Without a stable one, what there is may be all that is left of it.
    if candidate is None:
        return plan
    stable, coming = o.workload(memory.stable.revision), o.workload(candidate.revision)
    ready, needed = coming.ready if coming else 0, min(o.spec.replicas, stable.ready if stable else 0)
    if o.selected == Traffic(None) or (o.selected == Traffic(candidate.revision) and ready >= needed):
        plan = replace(plan, traffic=None)
    share = routed(o).get(candidate.revision, 0)
    if ready and 100 * ready >= share * needed:
        plan = replace(plan, split=None)
    return _note_return(plan) if (plan.split if o.spec.gateway else plan.traffic) else plan


def _note_return(plan: Plan) -> Plan:
    """Note that stable has taken everything back."""
    candidate = plan.memory.candidate and plan.memory.candidate.model_copy(update={"weight": 0})
    return replace(plan, memory=plan.memory.model_copy(update={"candidate": candidate}))


def _rejected(o: Observed, memory: Memory) -> Hold | None:
    """Say that the wanted revision is rejected, also while nobody can tell whether it is wanted still."""
    desired = memory.desired
    if o.spec.suspend or o.template_hash is None or desired is None or desired.pointer != o.spec.pointer:
        return None
    rejection = ledger.find_rejection(memory, Revision(desired.version or "", o.template_hash))
    return _hold(memory, rejection) if rejection else None


def _hold(memory: Memory, rejection: Rejection) -> Hold:
    return Hold(rejection.reason, f"{ledger.serving(memory)}, {ledger.blame(rejection)}")


def _stop_serving(o: Observed, memory: Memory, now: datetime) -> Plan:
    """Take everything down, as `onPointerRemoved: ScaleToZero` asks. The next pointer starts like a first version."""
    memory, events = ledger.drop(memory, o.spec, "Aborted", "the pointer was removed", now)
    if memory.stable:
        message = f"version {memory.stable.version} is taken down, as onPointerRemoved asks"
        events = (*events, Event("ScaledDown", message))
    return Plan(memory.model_copy(update={"stable": None, "warm": None}), delete=o.workloads, events=events)


def _serve(
    o: Observed,
    memory: Memory,
    events: tuple[Event, ...],
    now: datetime,
    leftovers: Literal["keep", "expire", "clear"] = "expire",
) -> Plan:
    """Serve stable at the wanted size, and delete what is neither stable, nor candidate, nor still warm."""
    stable, wanted = memory.stable, o.spec.replicas
    memory = memory.model_copy(update={"warm": _still_warm(o, memory, now, leftovers)})
    current = o.workload(_name(stable)) if stable else None
    kept = (_name(stable), _name(memory.candidate), _name(memory.warm))
    split = all_to(o, stable.revision) if stable else None
    # A route that cannot be moved yet keeps what it sends to.
    named = routed(o) if stable and o.spec.gateway and split is None else {}
    others = [w for w in o.workloads if w.revision not in kept and w.revision not in named]
    create: tuple[tuple[Revision, int], ...] = ()
    if stable and not current and o.template_hash is not None:
        create = ((Revision(stable.version, o.template_hash), wanted),)
    return Plan(
        memory,
        create=create,
        scale=((current, wanted),) if current and current.replicas != wanted else (),
        delete=() if leftovers == "keep" else tuple(others),
        traffic=Traffic(stable.revision) if stable else None,
        split=split,
        events=events,
        wake_after=_soonest(
            memory.warm.until - now if memory.warm and memory.warm.until > now else None,
            GARBAGE_COLLECTION if o.taken or o.strays or named or (others and leftovers == "keep") else None,
            GATEWAY_LOOK if o.spec.gateway else None,
        ),
    )


def _still_warm(
    o: Observed, memory: Memory, now: datetime, leftovers: Literal["keep", "expire", "clear"]
) -> Warm | None:
    """Return the revision that is kept for an immediate way back. It is out of the way when others need the Service."""
    warm = memory.warm
    if warm is None or o.workload(warm.revision) is None or warm.revision == _name(memory.stable):
        return None
    if not o.spec.replicas:
        return None  # No pod is wanted, and so none in reserve.
    if warm.revision == _name(memory.candidate) or leftovers == "keep":
        return warm
    if leftovers == "clear":
        return None
    stable = o.workload(_name(memory.stable))
    # While what took over has no ready pod, the way back stays open.
    return warm if now < warm.until or not (stable and stable.ready) else None


def _name(part: Stable | Candidate | Warm | None) -> str | None:
    return part.revision if part else None


def _soonest(*delays: timedelta | None) -> timedelta | None:
    return min((delay for delay in delays if delay is not None), default=None)
