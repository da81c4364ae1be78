"""Where the pointer leads, and which revision should serve therefore.

What is not known changes nothing: the registry alone takes nothing away. Pure.
"""

from dataclasses import dataclass
from datetime import datetime

from modelvane.engine import ledger
from modelvane.engine.memory import Desired, Memory, Stable
from modelvane.engine.state import Absent, Event, Found, NotReady, Observed, Revision, Unreachable, Workload
from modelvane.names import CONDITION_REGISTRY
from modelvane.spec import ModelDeploymentSpec


@dataclass(frozen=True)
class Target:
    """Where the rollout should go: to a revision, to nowhere because the pointer is gone, or not at all for now."""

    revision: Revision | None = None
    frozen: bool = False


def tell_registry_news(o: Observed) -> tuple[Event, ...]:
    """Tell when the registry went away and when it came back."""
    before = o.memory.condition(CONDITION_REGISTRY)
    was_down = before is not None and before.status == "False"
    if isinstance(o.resolution, Unreachable) and not was_down:
        return (Event("RegistryUnreachable", f"{ledger.serving(o.memory)}; {o.resolution.message}", "Warning"),)
    if was_down and isinstance(o.resolution, Found | Absent | NotReady):
        return (Event("RegistryRecovered", f"{ledger.serving(o.memory)}; the registry answers again"),)
    return ()


def resolve(o: Observed, now: datetime) -> ledger.Entry:
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


def find_stable(o: Observed, memory: Memory, now: datetime) -> Memory:
    """Take up the revision that serves if the status was lost, and drop one whose Deployment cannot be made again."""
    if memory.stable is None:
        selected = _find_selected(o) if o.memory.desired is None else None
        if selected is None:
            return memory
        stable = Stable(version=selected.version, revision=selected.revision, since=now)
        return memory.model_copy(update={"stable": stable})
    if o.workload(memory.stable.revision) or o.template_hash is None:
        return memory
    if Revision(memory.stable.version, o.template_hash).name == memory.stable.revision:
        return memory
    return memory.model_copy(update={"stable": None})


def _find_selected(o: Observed) -> Workload | None:
    """Find what serves: of two that share the traffic, the one with more ready pods, or that is older."""
    if o.selected is None:
        return None
    serving = [w for w in o.workloads if w.ready and o.selected.revision in (None, w.revision)]
    return min(serving, key=lambda w: (-w.ready, w.created), default=None)


def choose_target(o: Observed, memory: Memory) -> Target:
    """Say which revision should serve. Whatever is not known freezes: the registry alone takes nothing away."""
    if o.spec.suspend or o.template_hash is None:
        return Target(frozen=True)
    if isinstance(o.resolution, Absent):
        return Target()
    desired = memory.desired
    if desired is None or desired.pointer != o.spec.pointer or desired.version is None:
        return Target(frozen=True)
    revision = Revision(desired.version, o.template_hash)
    running = memory.candidate is not None and memory.candidate.revision == revision.name
    if not isinstance(o.resolution, Found) and not running:
        return Target(frozen=True)  # No rollout starts on what the registry said some time ago.
    if memory.stable is None and ledger.find_rejection(memory, revision):
        return Target(_last_good(o.spec, memory, o.template_hash) or revision)
    return Target(revision)


def _last_good(spec: ModelDeploymentSpec, memory: Memory, template_hash: str) -> Revision | None:
    """Find a version that served before, for when stable's Deployment was deleted and the wanted one is rejected.

    The history may tell of another model too, whose versions nobody asks for any more.
    """
    mine = (e for e in memory.history if e.outcome == "Promoted" and e.about(spec) == spec.model.name)
    promoted = (Revision(e.version, template_hash) for e in mine)
    return next((revision for revision in promoted if not ledger.find_rejection(memory, revision)), None)
