"""The values that travel between reading, deciding and writing: frozen, needing neither clock nor client.

`observe` makes an `Observed`, `decide` turns it into a `Plan`, `reconcile` carries the plan out. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from modelvane.analysis.figures import Comparison, Measurement
from modelvane.engine.memory import Memory
from modelvane.names import revision_name
from modelvane.spec import ModelDeploymentSpec, ModelRegistrySpec


@dataclass(frozen=True)
class Key:
    """Which object: what the queue holds and every log line starts with."""

    kind: Literal["ModelDeployment", "ModelRegistry"]
    namespace: str
    name: str

    def __str__(self) -> str:
        """Write the key the way kubectl does."""
        return f"{self.kind.lower()}/{self.namespace}/{self.name}"


# What the registry says about a pointer. "I could not read it" is never "there is no version".


@dataclass(frozen=True)
class Found:
    """The pointer leads to this version."""

    version: str
    run_id: str | None = None


@dataclass(frozen=True)
class Absent:
    """The registry answered, and the pointer leads nowhere."""

    message: str


@dataclass(frozen=True)
class NotReady:
    """The pointer leads to a version that is still being registered, or whose registration failed."""

    version: str
    message: str


@dataclass(frozen=True)
class Unreachable:
    """The registry did not answer, so nothing is known. The message never changes while the cause is the same."""

    reason: str
    message: str


@dataclass(frozen=True)
class Unread:
    """The registry was not asked yet, as just after a start of the operator."""


Resolution = Found | Absent | NotReady | Unreachable | Unread


@dataclass(frozen=True)
class Revision:
    """A model version together with the pod template that serves it."""

    version: str
    template_hash: str

    @property
    def name(self) -> str:
        """Name it as its labels and its Deployment do."""
        return revision_name(self.version, self.template_hash)


@dataclass(frozen=True)
class Failure:
    """Why a pod does not serve. A permanent one will not heal by waiting."""

    reason: str
    message: str
    permanent: bool


@dataclass(frozen=True)
class Pod:
    """One pod of a revision that is not being deleted."""

    name: str
    ready_since: datetime | None = None
    failure: Failure | None = None
    waiting_for: str | None = None
    digest: str | None = None
    ip: str | None = None
    tls: bool = False
    """Whether it is asked by HTTPS."""
    environment: str | None = None
    """In which packages the image differs from what the model asks for, in a sentence; None where it does not."""
    container: str | None = None
    """The ID of the container that serves: it gets another one when it restarts."""


@dataclass(frozen=True)
class Workload:
    """One revision's Deployment as it is in the cluster, with its pods."""

    name: str
    version: str
    revision: str
    uid: str
    resource_version: str
    replicas: int
    created: datetime
    pods: tuple[Pod, ...] = ()
    model_uri: str | None = None
    """The model version in MLflow's words."""
    refused: str | None = None
    """Why the cluster does not let its pods be made."""

    @property
    def ready(self) -> int:
        """Count the verified pods: a pod is Ready only after it answered its own input example."""
        return sum(pod.ready_since is not None for pod in self.pods)

    def settled(self, now: datetime, after: timedelta) -> int:
        """Count the pods that have been ready for a while, so that every node routes to them by now."""
        return sum(pod.ready_since is not None and now - pod.ready_since >= after for pod in self.pods)

    @property
    def digest(self) -> str | None:
        """Return the digest of the model's files, as the pods report it."""
        return next((pod.digest for pod in self.pods if pod.digest), None)

    @property
    def environment(self) -> str | None:
        """Return in which packages the image differs from what the model asks for, as the pods report it."""
        return next((pod.environment for pod in self.pods if pod.environment), None)

    @property
    def failure(self) -> Failure | None:
        """Return the worst failure among the pods: a permanent one first."""
        failures = [pod.failure for pod in self.pods if pod.failure is not None]
        return next((failure for failure in failures if failure.permanent), failures[0] if failures else None)

    @property
    def waiting_for(self) -> str | None:
        """Return what the first unready pod waits for."""
        return next((pod.waiting_for for pod in self.pods if pod.ready_since is None and pod.waiting_for), None)


@dataclass(frozen=True)
class Live:
    """The objects as the API server returned them: needed to write only what differs."""

    service: Mapping[str, Any] | None = None
    budget: Mapping[str, Any] | None = None
    route: Mapping[str, Any] | None = None
    backends: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The Service of each revision, which a gateway sends requests to."""


@dataclass(frozen=True)
class Traffic:
    """What the Service selects: the pods of one revision, or of every revision when it is None."""

    revision: str | None


@dataclass(frozen=True)
class Split:
    """What the HTTPRoute does: the percentage that each revision gets, and who gets copies of how many.

    Without any weight there is nobody to send to, and so no route.
    """

    weights: tuple[tuple[str, int], ...]
    mirror: tuple[str, int] | None = None

    @property
    def named(self) -> Mapping[str, int]:
        """Return the weights of all revisions that it names; one that only gets copies has 0."""
        return {**({self.mirror[0]: 0} if self.mirror else {}), **dict(self.weights)}


@dataclass(frozen=True)
class Observed:
    """Everything one decision is made from."""

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str
    annotations: Mapping[str, str]
    spec: ModelDeploymentSpec
    memory: Memory
    resolution: Resolution
    polled_at: datetime | None
    registry: ModelRegistrySpec | None
    template_hash: str | None
    """None while the ModelRegistry is missing: without it no pod can be described."""
    workloads: tuple[Workload, ...] = ()
    strays: int = 0
    """Pods that serve although their Deployment is gone: the cluster has not cleaned up yet."""
    taken: frozenset[str] = frozenset()
    """Names of Deployments that belong to someone else, such as a resource of the same name deleted a moment ago."""
    selected: Traffic | None = None
    """What our Service selects now; None while it does not exist."""
    service_taken: str | None = None
    """Who owns the name of the Service, or of the HTTPRoute, when that is not us."""
    route_accepted: bool = False
    """Every gateway that the HTTPRoute names takes it as it is."""
    route_problem: str | None = None
    """Why a gateway does not take it, in its own words."""
    mirror_problem: str | None = None
    """Why copies of requests cannot be had."""
    measurement: Measurement | None = None
    """What both revisions did since the last check; None when there is nothing new to judge."""
    comparison: Comparison | None = None
    """How the answers of both revisions to the same inputs compare; None when that was not looked at."""
    live: Live = field(default_factory=Live)

    def workload(self, revision: str | None) -> Workload | None:
        """Find the Deployment of a revision."""
        return next((workload for workload in self.workloads if workload.revision == revision), None)


@dataclass(frozen=True)
class Event:
    """One sentence of a rollout's story."""

    reason: str
    message: str
    type: Literal["Normal", "Warning"] = "Normal"


@dataclass(frozen=True)
class Hold:
    """Why the operator will not go on without help."""

    reason: str
    message: str


@dataclass(frozen=True)
class Plan:
    """What should be: the next memory, the children, the story, and when to look again."""

    memory: Memory
    create: tuple[tuple[Revision, int], ...] = ()
    scale: tuple[tuple[Workload, int], ...] = ()
    delete: tuple[Workload, ...] = ()
    traffic: Traffic | None = None
    """None leaves the Service as it is."""
    split: Split | None = None
    """None leaves the HTTPRoute as it is."""
    hold: Hold | None = None
    progress: str | None = None
    """What is going on, while something is."""
    events: tuple[Event, ...] = ()
    wake_after: timedelta | None = None
