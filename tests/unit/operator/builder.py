"""A fluent way to write down a cluster: `a_deployment().serving("1").wants("2").rolling("2", ready=1)`."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from modelvane.engine.memory import Candidate, Desired, Memory, Rejection, Stable, Warm
from modelvane.engine.stage import Situation
from modelvane.engine.state import Absent, Failure, Found, Observed, Pod, Resolution, Revision, Traffic, Workload
from modelvane.names import deployment_name
from modelvane.spec import Analysis, ModelDeploymentSpec, ModelRegistrySpec, Strategy

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
HASH = "aaaaaaaa"
LONG_AGO = NOW - timedelta(hours=1)
POINTER = "default: models:/iris/Production"


def revision(version: str, template_hash: str = HASH) -> str:
    return Revision(version, template_hash).name


def workload(
    version: str,
    *,
    replicas: int = 2,
    ready: int = 0,
    ready_for: float = 60,
    failure: Failure | None = None,
    template_hash: str = HASH,
    waiting_for: str | None = None,
    refused: str | None = None,
) -> Workload:
    """Make a revision whose first pods are ready and whose other pods fail or wait."""
    name = revision(version, template_hash)
    ready_since = NOW - timedelta(seconds=ready_for)
    pods = [Pod(f"{name}-{i}", ready_since=ready_since) for i in range(ready)]
    if not refused:
        pods += [Pod(f"{name}-{i}", failure=failure, waiting_for=waiting_for) for i in range(ready, replicas)]
    return Workload(
        name=deployment_name("iris", name),
        version=version,
        revision=name,
        uid=f"uid-{name}",
        resource_version="1",
        replicas=replicas,
        created=LONG_AGO,
        pods=tuple(pods),
        refused=refused,
    )


def situation(
    candidate: Workload | None = None,
    *,
    waiting_since: datetime = NOW,
    strategy: Mapping[str, object] | None = None,
    analysis: Mapping[str, object] | None = None,
    remembered: Mapping[str, object] | None = None,
    **changes: object,
) -> Situation:
    """Make what a strategy looks at: version 2 rolls out where version 1 is stable with its two pods."""
    memory = Candidate(
        version="2", revision=revision("2"), since=NOW, waiting_since=waiting_since, message="403: denied by policy"
    )
    base = Situation(
        wanted=2,
        strategy=Strategy.model_validate(strategy or {}),
        analysis=None if analysis is None else Analysis.model_validate(analysis),
        memory=memory.model_copy(update=dict(remembered or {})),
        candidate=candidate,
        stable=workload("1", ready=2),
        others_serve=False,
        first=False,
        warm=False,
        exact=False,
        routable=True,
        mirror_problem=None,
        skip=False,
        deadline=timedelta(minutes=10),
        registry_reachable=True,
        now=NOW,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


class Builder:
    """Builds an `Observed` step by step."""

    def __init__(self) -> None:
        self.spec: dict[str, object] = {"model": {"name": "iris", "stage": "Production"}, "replicas": 2}
        self.memory = Memory()
        self.resolution: Resolution = Absent("model iris has no version in stage Production")
        self.workloads: list[Workload] = []
        self.selected: Traffic | None = None
        self.annotations: dict[str, str] = {}
        self.template_hash: str | None = HASH
        self.changes: dict[str, object] = {}

    def with_spec(self, **fields: object) -> "Builder":
        self.spec.update(fields)
        return self

    def wants(self, version: str) -> "Builder":
        """Let the registry name a version, and the status know it already."""
        self.resolution = Found(version)
        return self.knows(version)

    def finds(self, resolution: Resolution) -> "Builder":
        """Let the registry say something that the status does not know yet."""
        self.resolution = resolution
        return self

    def knows(self, version: str | None) -> "Builder":
        return self.remembers(desired=Desired(pointer=POINTER, version=version, resolved_at=LONG_AGO))

    def remembers(self, **fields: object) -> "Builder":
        self.memory = self.memory.model_copy(update=fields)
        return self

    def serving(self, version: str, *, ready: int = 2, replicas: int = 2, since: datetime = LONG_AGO) -> "Builder":
        self.remembers(stable=Stable(version=version, revision=revision(version), since=since))
        self.workloads.append(workload(version, ready=ready, replicas=replicas))
        self.selected = Traffic(revision(version))
        return self

    def rolling(
        self,
        version: str,
        *,
        replicas: int = 1,
        ready: int = 0,
        ready_for: float = 60,
        since: datetime = NOW,
        waiting_since: datetime | None = NOW,
        failure: Failure | None = None,
        shifting: bool = False,
        refused: str | None = None,
        waiting_for: str | None = None,
    ) -> "Builder":
        self.remembers(
            candidate=Candidate(
                version=version,
                revision=revision(version),
                since=since,
                waiting_since=waiting_since,
                ready_replicas=ready,
                strategy=str(ModelDeploymentSpec.model_validate(self.spec).strategy.type),
                step=1 if shifting else None,
                weight=50 if shifting else 0,
            )
        )
        self.workloads.append(
            workload(
                version,
                replicas=replicas,
                ready=ready,
                ready_for=ready_for,
                failure=failure,
                refused=refused,
                waiting_for=waiting_for,
            )
        )
        if shifting:
            self.selected = Traffic(None)
        return self

    def keeping_warm(self, version: str, *, ready: int = 2, until: datetime = NOW + timedelta(seconds=20)) -> "Builder":
        """Keep the revision that served before, for an immediate way back."""
        self.workloads.append(workload(version, ready=ready))
        return self.remembers(warm=Warm(version=version, revision=revision(version), until=until))

    def rejecting(self, version: str, reason: str = "ModelLoadFailed") -> "Builder":
        rejection = Rejection(
            version=version, revision=revision(version), reason=reason, message="it raised", at=LONG_AGO
        )
        return self.remembers(rejected=(*self.memory.rejected, rejection))

    def besides(self, *others: Workload) -> "Builder":
        self.workloads.extend(others)
        return self

    def selecting(self, traffic: Traffic | None) -> "Builder":
        self.selected = traffic
        return self

    def annotated(self, **annotations: str) -> "Builder":
        self.annotations.update({f"serving.modelvane.dev/{name}": value for name, value in annotations.items()})
        return self

    def templated(self, template_hash: str | None) -> "Builder":
        self.template_hash = template_hash
        return self

    def but(self, **changes: object) -> "Builder":
        """Set any other field of the `Observed`."""
        self.changes.update(changes)
        return self

    def observed(self) -> Observed:
        observed = Observed(
            namespace="ns",
            name="iris",
            uid="uid",
            generation=1,
            resource_version="1",
            annotations=self.annotations,
            spec=ModelDeploymentSpec.model_validate(self.spec),
            memory=self.memory,
            resolution=self.resolution,
            polled_at=NOW,
            registry=ModelRegistrySpec(uri="http://mlflow:5000"),
            template_hash=self.template_hash,
            workloads=tuple(self.workloads),
            selected=self.selected,
        )
        return replace(observed, **self.changes)  # type: ignore[arg-type]


def a_deployment() -> Builder:
    return Builder()
