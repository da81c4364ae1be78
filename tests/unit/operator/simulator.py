"""A little Kubernetes and a little registry, enough to run the engine for hours of simulated time in milliseconds.

Deployments make pods, pods become ready or fail as their version's nature says, deleted Deployments leave their pods
behind for a moment, the Service selects by label, and a gateway takes a route over late. `World.reconcile`
carries a plan out write by write in the operator's own order, and may be cut off after any of them, as by a kill.
After each write the promises are checked.
"""

import ast
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import Any, Literal

from modelvane.cluster.manifests import build_route
from modelvane.engine.decide import decide
from modelvane.engine.memory import Memory
from modelvane.engine.state import (
    Absent,
    Event,
    Failure,
    Found,
    Hold,
    Live,
    NotReady,
    Observed,
    Plan,
    Pod,
    Resolution,
    Revision,
    Split,
    Traffic,
    Unreachable,
    Unread,
    Workload,
)
from modelvane.engine.status import build_status
from modelvane.names import deployment_name
from modelvane.spec import GatewaySpec, ModelDeploymentSpec, ModelRegistrySpec

from tests.unit.operator.laboratory import Laboratory
from tests.unit.operator.promises import BrokenPromiseError, check_route, check_run, check_write

Nature = Literal["good", "broken", "hangs", "dies", "erring", "slow", "quiet", "different", "mute"]
START = datetime(2026, 1, 1, tzinfo=UTC)
BOOT = timedelta(seconds=3)
GATEWAY_LAG = timedelta(seconds=3)
LIFE = timedelta(seconds=1)
"""How long a pod of a version that dies is ready."""
GATEWAY = {"parentRefs": [{"name": "edge"}]}
EDGE = GatewaySpec.model_validate(GATEWAY)
REGISTRY = ModelRegistrySpec(uri="http://mlflow:5000")


@cache
def read_spec(written: str) -> ModelDeploymentSpec:
    return ModelDeploymentSpec.model_validate(ast.literal_eval(written))


@dataclass
class SimPod:
    name: str
    created: datetime
    ready_since: datetime | None = None
    failed: bool = False


@dataclass
class SimDeployment:
    revision: Revision
    replicas: int
    uid: str
    created: datetime
    pods: list[SimPod] = field(default_factory=list)
    gone: bool = False


class World:
    """Everything outside the engine, and the promises it is held to."""

    def __init__(self, seed: int = 0) -> None:
        self.random = random.Random(seed)  # noqa: S311 - a test must be repeatable
        self.now = START
        self.natures: dict[str, Nature] = {}
        self.pointer: str | None = None
        self.reachable = True
        self.registering = False
        self.refusing = False
        self.unread = False
        self.template = 0
        self.annotations: dict[str, str] = {}
        self.spec: dict[str, Any] = {
            "model": {"name": "iris", "stage": "Production"},
            "replicas": 2,
            "progressDeadline": "60s",
            "strategy": {"scaleDownDelay": "10s"},
        }
        self.deployments: list[SimDeployment] = []
        self.selected: Traffic | None = None
        self.route: Split | None = None
        self.programmed: Split | None = None
        """The route as the gateway knows it, which is where requests go."""
        self.routed_at = START
        self.backends: set[str] = set()
        self.laboratory = Laboratory()
        self.status: dict[str, Any] = {}
        self.lost: dict[str, Any] | None = None
        """What was stable in a status that somebody has taken away."""
        self.blamed: set[str] = set()
        self.serial = 0
        self.events: list[Event] = []
        self.story: list[str] = []
        self.parsed: tuple[dict[str, Any], Memory] | None = None
        self.seen: Observed | None = None
        self.wake_at: datetime | None = None

    # --- what people and nature do

    def promote(self, version: str, nature: Nature = "good") -> None:
        self.natures.setdefault(version, nature)
        self.pointer = version

    def ask(self, request: str) -> None:
        """Ask by annotation, with a value that was not used before."""
        self.serial += 1
        self.annotations[f"serving.modelvane.dev/{request}"] = str(self.serial)

    def ask_retry(self) -> None:
        self.ask("retry")

    def wait(self, seconds: float) -> None:
        """Let the operator run as its watches and its own alarm wake it, and never otherwise."""
        end = self.now + timedelta(seconds=seconds)
        while self.now < end:
            self.run_while_awake()
            self.pass_time((min(self._next_change(), end) - self.now).total_seconds())
        self.run_while_awake()

    def run_while_awake(self) -> None:
        for _ in range(30):
            if not self.is_awake():
                return
            self.reconcile()
        raise BrokenPromiseError("it never comes to rest: " + "\n".join(self.story[-20:]))

    def is_awake(self) -> bool:
        """Say whether a watch event or the operator's own alarm makes it run."""
        if self.seen is None or (self.wake_at is not None and self.wake_at <= self.now):
            return True
        return self._watched() != self.seen

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.unread = self.unread and not seconds
        left = {d.revision.name for d in self.deployments if not d.gone}
        self.backends &= left  # The garbage collector takes a Service with the Deployment that owns it.
        if self.now >= self.routed_at + GATEWAY_LAG:
            self.programmed = self.route
        self.deployments = [d for d in self.deployments if not d.gone]
        check_route(self)
        for deployment in self.deployments:
            del deployment.pods[deployment.replicas :]
            while len(deployment.pods) < deployment.replicas:
                self.serial += 1
                deployment.pods.append(SimPod(f"{deployment.revision.name}-{self.serial}", self.now))
            for pod in deployment.pods:
                self._age(deployment, pod)

    def _age(self, deployment: SimDeployment, pod: SimPod) -> None:
        nature = self.natures[deployment.revision.version]
        if self.now - pod.created < BOOT or pod.failed or nature == "hangs":
            return
        if nature == "broken":
            pod.failed = True
        elif pod.ready_since is None:
            pod.ready_since = self.now
        elif nature == "dies" and self.now - pod.ready_since > LIFE:
            pod.ready_since, pod.failed = None, True

    def _next_change(self) -> datetime:
        """Return when the next pod changes, or the operator wakes."""
        soon = self.now + timedelta(seconds=0.5)
        if self.unread or any(d.gone or len(d.pods) != d.replicas for d in self.deployments):
            return soon
        changes = [self.wake_at] if self.wake_at else []
        if self.programmed != self.route:
            changes.append(self.routed_at + GATEWAY_LAG)
        for pod in (pod for d in self.deployments for pod in d.pods):
            if pod.ready_since is None and not pod.failed:
                changes.append(pod.created + BOOT)
            elif pod.ready_since is not None:
                changes.append(pod.ready_since + LIFE + timedelta(milliseconds=1))
        later = [change for change in changes if change > self.now]
        return min(later, default=self.now + timedelta(days=1))

    def restart_a_pod(self) -> None:
        """Let a node restart one pod of whatever runs."""
        pods = [pod for deployment in self.deployments for pod in deployment.pods]
        if pods:
            pod = self.random.choice(pods)
            pod.ready_since, pod.created = None, self.now

    def lose_status(self) -> None:
        """Take the status away, as a restore from a backup does."""
        stable = self.status.get("stable")
        # What is selected alone is taken for stable then, whatever was.
        selected = self.selected.revision if self.selected else None
        self.lost = stable if stable and selected in (None, stable["revision"]) else None
        self.status = {}
        self.blamed.clear()

    # --- what the operator sees and does

    def observe(self) -> Observed:
        """Read what is there; the laboratory is asked as well, which is done once a run."""
        o = self._watched()
        coming = o.workload(o.memory.candidate.revision) if o.memory.candidate else None
        return replace(o, measurement=self.laboratory.measure(o.spec, o.memory, coming, self.natures, self.now))

    def _watched(self) -> Observed:
        resolution: Resolution = Found(self.pointer) if self.pointer else Absent("model iris has no such version")
        if self.unread:
            resolution = Unread()
        elif not self.reachable:
            resolution = Unreachable("ConnectionRefused", "the registry refuses connections")
        elif self.registering:
            resolution = NotReady(self.pointer or "1", "version 1 is PENDING_REGISTRATION, not READY")
        living = [d for d in self.deployments if not d.gone]
        o = Observed(
            namespace="ns",
            name="iris",
            uid="uid",
            generation=1,
            resource_version="1",
            annotations=dict(self.annotations),
            spec=read_spec(repr(self.spec)),
            memory=self._memory(),
            resolution=resolution,
            polled_at=START,
            registry=REGISTRY,
            template_hash=f"{self.template:08d}",
            workloads=tuple(self._workload(d) for d in living),
            strays=sum(len(d.pods) for d in self.deployments if d.gone),
            selected=self.selected,
            route_accepted=self.route is not None and self.route == self.programmed,
        )
        coming = o.workload(o.memory.candidate.revision) if o.memory.candidate else None
        route = build_route(o, EDGE, self.route) if self.route else None
        kept = {d.revision.name for d in living}
        return replace(
            o,
            live=Live(route=route, backends={name: {} for name in sorted(self.backends & kept)}),
            comparison=self.laboratory.compare(o.spec, o.memory, coming, self.natures, self.now),
        )

    def _memory(self) -> Memory:
        """Read the status as it was written, so with whole seconds."""
        if self.parsed is None or self.parsed[0] is not self.status:
            self.parsed = self.status, Memory.model_validate(self.status)
        return self.parsed[1]

    def _workload(self, d: SimDeployment) -> Workload:
        failure = Failure("ModelLoadFailed", "it raised", permanent=True)
        pods = tuple(
            # The API server keeps whole seconds.
            Pod(p.name, p.ready_since and p.ready_since.replace(microsecond=0), failure if p.failed else None)
            for p in d.pods
        )
        return Workload(
            name=deployment_name("iris", d.revision.name),
            version=d.revision.version,
            revision=d.revision.name,
            uid=d.uid,
            resource_version="1",
            replicas=d.replicas,
            created=d.created,
            pods=pods,
        )

    def reconcile(self, *, cut_after: int | None = None) -> bool:
        """Run once, up to a number of writes; return whether there was anything to write."""
        observed = self.observe()
        plan = decide(observed, self.now)
        self.seen = replace(observed, measurement=None)
        self.wake_at = self.now + plan.wake_after if plan.wake_after is not None else None
        writes = self._writes(observed, plan)
        self._forgive(observed, plan)
        called_off = any(event.reason == "Aborting" for event in plan.events)
        for write in writes[:cut_after]:
            before, answering = self.ready_of("stable"), self.answering()
            write()
            check_write(self, before, 0 if called_off else answering)
        if cut_after is None or cut_after >= len(writes):
            self._check_again(observed)
            check_run(self)
        else:
            self.kill()
        return bool(writes)

    def _forgive(self, o: Observed, plan: Plan) -> None:
        """Let a version be tried again that the pointer has moved to, or that a person asks for."""
        desired = plan.memory.desired
        asked = any(event.reason == "Retrying" for event in plan.events)
        if desired and desired.version and (asked or desired != o.memory.desired):
            self.blamed = {name for name in self.blamed if not name.startswith(f"v{desired.version}-")}

    def kill(self) -> None:
        """Let the operator start anew, so that it knows only what the cluster knows."""
        self.laboratory.forget()
        self.seen = self.wake_at = None
        self.unread = True

    def _writes(self, o: Observed, plan: Plan) -> list[Callable[[], None]]:
        writes: list[Callable[[], None]] = []
        if plan.traffic is not None and plan.traffic != self.selected:
            writes.append(lambda: self._select(plan))
        writes += self._routing(o, plan)
        refusal = Hold("DeploymentRefused", "denied by policy") if plan.create and self.refusing else None
        for revision, replicas in () if refusal else plan.create:
            writes.append(partial(self._create, revision, replicas))
        for workload, replicas in plan.scale:
            writes.append(partial(self._scale, workload, replicas))
        status = build_status(o, plan, refusal, self.now)
        if status != o.memory.dump():
            writes.append(lambda: self._remember(plan, status))
        for workload in plan.delete:
            writes.append(partial(self._delete, workload))
        return writes

    def _routing(self, o: Observed, plan: Plan) -> list[Callable[[], None]]:
        writes: list[Callable[[], None]] = []
        if o.spec.gateway is None:
            if self.route is not None:
                writes.append(partial(self._send, None))
            if o.live.backends:
                writes.append(self.backends.clear)
            return writes
        for workload in o.workloads:
            if workload.revision not in o.live.backends:
                writes.append(partial(self.backends.add, workload.revision))
        if plan.split is not None and plan.split != self.route:
            writes.append(partial(self._send, plan.split))
        return writes

    def _send(self, split: Split | None) -> None:
        self.route, self.routed_at = split if split and split.weights else None, self.now
        if self.route is None:
            self.programmed = None  # Who takes the route away asks for nobody to be served.
        self.story.append(f"{self.now:%H:%M:%S} send {split.weights if split else 'nothing'}")

    def _create(self, revision: Revision, replicas: int) -> None:
        if revision.name in self.blamed:
            raise BrokenPromiseError(f"{revision.name} was rejected and is tried again")
        self.serial += 1
        self.story.append(f"{self.now:%H:%M:%S} create {revision.name} x{replicas}")
        self.deployments.append(SimDeployment(revision, replicas, f"uid-{self.serial}", self.now))

    def _scale(self, workload: Workload, replicas: int) -> None:
        self.story.append(f"{self.now:%H:%M:%S} scale {workload.revision} to {replicas}")
        if replicas < self.spec["replicas"] and self._is_stable(workload):
            raise BrokenPromiseError(f"{workload.revision} is stable and scaled to {replicas}")
        next(d for d in self.deployments if d.uid == workload.uid).replicas = replicas

    def _select(self, plan: Plan) -> None:
        self.story.append(f"{self.now:%H:%M:%S} select {plan.traffic and (plan.traffic.revision or 'both')}")
        self.selected = plan.traffic

    def _remember(self, plan: Plan, status: dict[str, Any]) -> None:
        self.events += plan.events
        self.story += [f"{self.now:%H:%M:%S} {event.reason}: {event.message}" for event in plan.events]
        known = {entry["revision"] for entry in self.status.get("rejected", [])}
        self.blamed |= {rejection.revision for rejection in plan.memory.rejected} - known
        if plan.memory.stable and plan.memory.stable.revision in self.blamed:
            before = self.status.get("stable")
            if not before or before["revision"] != plan.memory.stable.revision:
                raise BrokenPromiseError(f"{plan.memory.stable.revision} was rejected and is promoted")
        if status.get("candidate") != self.status.get("candidate") and status.get("candidate"):
            c = status["candidate"]
            where = f"{c.get('weight')}% step {c.get('step')} {c.get('paused') or ''}"
            self.story.append(f"{self.now:%H:%M:%S}   {where}: {c.get('message')}")
        self.status, self.lost = status, None

    def _delete(self, workload: Workload) -> None:
        self.story.append(f"{self.now:%H:%M:%S} delete {workload.revision}")
        if self._is_stable(workload):
            raise BrokenPromiseError(f"{workload.revision} is stable and deleted")
        if self.programmed and workload.revision in self.programmed.named:
            raise BrokenPromiseError(f"{workload.revision} is deleted and the gateway still sends to it")
        next(d for d in self.deployments if d.uid == workload.uid).gone = True

    def _check_again(self, o: Observed) -> None:
        """Decide again on the same sight with the status just written: it must say the same, and no event twice."""
        if self._memory() is o.memory or o.memory.stable is None or self.refusing:
            return  # Without a stable version the last good one is looked for once the wanted one is rejected.
        again = replace(o, memory=self._memory(), measurement=None, comparison=None)
        plan = decide(again, self.now)
        status = build_status(again, plan, None, self.now)
        if status != again.memory.dump() or plan.events:
            raise BrokenPromiseError(f"without any news it says something else: {plan.events}\n{self.status}\n{status}")

    def _is_stable(self, workload: Workload) -> bool:
        return bool(self.status.get("stable", {}).get("revision") == workload.revision)

    # --- what the promises look at

    def frozen(self) -> bool:
        """Say whether nothing may move, because someone said so or because nothing is known."""
        return bool(self.spec.get("suspend")) or not self.reachable or self.registering or self.unread

    def is_removed(self) -> bool:
        """Say whether nothing is to be served, as the spec asks where the pointer is gone."""
        return self.pointer is None and self.spec.get("onPointerRemoved") == "ScaleToZero"

    def ready(self, revision: str | None) -> int:
        """Count the ready pods of a revision, of all when None; pods left behind by a Deployment count as pods do."""
        chosen = [d for d in self.deployments if revision in (None, d.revision.name)]
        return sum(pod.ready_since is not None for d in chosen for pod in d.pods)

    def answering(self) -> int:
        """Count the pods that get requests."""
        return self.ready(self.selected.revision) if self.selected else 0

    def ready_of(self, part: Literal["stable", "candidate"]) -> int:
        known = self.status.get(part) or (self.lost if part == "stable" else None)
        return self.ready(known["revision"]) if known else 0
