"""A little Kubernetes and a little registry, enough to run the engine for hours of simulated time in milliseconds.

Deployments make pods, pods become ready or fail as their version's nature says, deleted Deployments leave their pods
behind for a moment, and the Service selects by label. `World.reconcile` carries a plan out write by write in the
operator's own order, and may be cut off after any of them, as by a kill. After each write the promises are checked.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Literal

from modelvane.decide import decide
from modelvane.memory import Memory
from modelvane.names import deployment_name
from modelvane.spec import ModelDeploymentSpec, ModelRegistrySpec
from modelvane.state import (
    Absent,
    Failure,
    Found,
    Observed,
    Plan,
    Pod,
    Resolution,
    Revision,
    Traffic,
    Unreachable,
    Workload,
)
from modelvane.status import build_status

Nature = Literal["good", "broken", "hangs", "dies"]
START = datetime(2026, 1, 1, tzinfo=UTC)
BOOT = timedelta(seconds=3)


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


class BrokenPromiseError(AssertionError):
    """The engine did what it must never do."""


class World:
    """Everything outside the engine, and the promises it is held to."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - a test must be repeatable
        self.now = START
        self.natures: dict[str, Nature] = {}
        self.pointer: str | None = None
        self.reachable = True
        self.template = 0
        self.retry: str | None = None
        self.spec: dict[str, Any] = {
            "model": {"name": "iris", "stage": "Production"},
            "replicas": 2,
            "progressDeadline": "60s",
            "strategy": {"scaleDownDelay": "10s"},
        }
        self.deployments: list[SimDeployment] = []
        self.selected: Traffic | None = None
        self.status: dict[str, Any] = {}
        self.blamed: set[str] = set()
        self.serial = 0
        self.story: list[str] = []

    # --- what people and nature do

    def promote(self, version: str, nature: Nature = "good") -> None:
        self.natures.setdefault(version, nature)
        if version != self.pointer:
            self.blamed = {name for name in self.blamed if not name.startswith(f"v{version}-")}
        self.pointer = version

    def ask_retry(self) -> None:
        self.serial += 1
        self.retry = str(self.serial)
        self.blamed.clear()

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.deployments = [d for d in self.deployments if not d.gone]
        for deployment in self.deployments:
            del deployment.pods[deployment.replicas :]
            while len(deployment.pods) < deployment.replicas:
                self.serial += 1
                deployment.pods.append(SimPod(f"{deployment.revision.name}-{self.serial}", self.now))
            for pod in deployment.pods:
                self._age(deployment, pod)

    def _age(self, deployment: SimDeployment, pod: SimPod) -> None:
        nature = self.natures[deployment.revision.version]
        if self.now - pod.created < BOOT or pod.failed:
            return
        if nature == "broken":
            pod.failed = True
        elif nature in ("good", "dies") and pod.ready_since is None:
            pod.ready_since = self.now
        elif nature == "dies" and pod.ready_since and self.now - pod.ready_since > timedelta(seconds=1):
            pod.ready_since, pod.failed = None, True

    def restart_a_pod(self) -> None:
        """Let a node restart one pod of whatever runs."""
        pods = [pod for deployment in self.deployments for pod in deployment.pods]
        if pods:
            pod = self.random.choice(pods)
            pod.ready_since, pod.created = None, self.now

    # --- what the operator sees and does

    def observe(self) -> Observed:
        resolution: Resolution = Found(self.pointer) if self.pointer else Absent("model iris has no such version")
        if not self.reachable:
            resolution = Unreachable("ConnectionRefused", "the registry refuses connections")
        living = [d for d in self.deployments if not d.gone]
        return Observed(
            namespace="ns",
            name="iris",
            uid="uid",
            generation=1,
            resource_version="1",
            annotations={"serving.modelvane.dev/retry": self.retry} if self.retry else {},
            spec=ModelDeploymentSpec.model_validate(self.spec),
            memory=Memory.model_validate(self.status),
            resolution=resolution,
            polled_at=self.now,
            registry=ModelRegistrySpec(uri="http://mlflow:5000"),
            template_hash=f"{self.template:08d}",
            workloads=tuple(self._workload(d) for d in living),
            strays=sum(len(d.pods) for d in self.deployments if d.gone),
            selected=self.selected,
        )

    def _workload(self, d: SimDeployment) -> Workload:
        failure = Failure("ModelLoadFailed", "it raised", permanent=True)
        pods = tuple(Pod(p.name, p.ready_since, failure if p.failed else None) for p in d.pods)
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
        writes = self._writes(observed, plan)
        for write in writes[:cut_after]:
            before = self.ready_of_stable()
            write()
            self.check(before)
        return bool(writes)

    def _writes(self, o: Observed, plan: Plan) -> list[Callable[[], None]]:
        writes: list[Callable[[], None]] = []
        if plan.traffic is not None and plan.traffic != self.selected:
            writes.append(lambda: self._select(plan))
        for revision, replicas in plan.create:
            writes.append(partial(self._create, revision, replicas))
        for workload, replicas in plan.scale:
            writes.append(partial(self._scale, workload, replicas))
        status = build_status(o, plan, None, self.now)
        if status != o.memory.dump():
            writes.append(lambda: self._remember(plan, status))
        for workload in plan.delete:
            writes.append(partial(self._delete, workload))
        return writes

    def _create(self, revision: Revision, replicas: int) -> None:
        if revision.name in self.blamed:
            raise BrokenPromiseError(f"{revision.name} was rejected and is tried again")
        self.serial += 1
        self.story.append(f"{self.now:%H:%M:%S} create {revision.name} x{replicas}")
        self.deployments.append(SimDeployment(revision, replicas, f"uid-{self.serial}", self.now))

    def _scale(self, workload: Workload, replicas: int) -> None:
        self.story.append(f"{self.now:%H:%M:%S} scale {workload.revision} to {replicas}")
        next(d for d in self.deployments if d.uid == workload.uid).replicas = replicas

    def _select(self, plan: Plan) -> None:
        self.story.append(f"{self.now:%H:%M:%S} select {plan.traffic and (plan.traffic.revision or 'both')}")
        self.selected = plan.traffic

    def _remember(self, plan: Plan, status: dict[str, Any]) -> None:
        self.story += [f"{self.now:%H:%M:%S} {event.reason}: {event.message}" for event in plan.events]
        known = {entry["revision"] for entry in self.status.get("rejected", [])}
        self.blamed |= {rejection.revision for rejection in plan.memory.rejected} - known
        self.status = status

    def _delete(self, workload: Workload) -> None:
        self.story.append(f"{self.now:%H:%M:%S} delete {workload.revision}")
        next(d for d in self.deployments if d.uid == workload.uid).gone = True

    # --- the promises

    def ready(self, revision: str | None) -> int:
        """Count the ready pods of a revision, of all when None; pods left behind by a Deployment count as pods do."""
        chosen = [d for d in self.deployments if revision in (None, d.revision.name)]
        return sum(pod.ready_since is not None for d in chosen for pod in d.pods)

    def answering(self) -> int:
        """Count the pods that get requests."""
        return self.ready(self.selected.revision) if self.selected else 0

    def ready_of_stable(self) -> int:
        stable = self.status.get("stable")
        return self.ready(stable["revision"]) if stable else 0

    def check(self, ready_of_stable_before: int) -> None:
        removed = self.pointer is None and self.spec.get("onPointerRemoved") == "ScaleToZero"
        wanted = self.spec["replicas"]
        if not removed and self.answering() < min(wanted, ready_of_stable_before):
            raise BrokenPromiseError(f"{self.answering()} pods answer, {ready_of_stable_before} of stable were ready")
        if self.selected == Traffic(None):
            serving = {d.revision.name for d in self.deployments if d.pods}
            if len(serving) > 2:
                raise BrokenPromiseError(f"{len(serving)} revisions get traffic: {serving}")
