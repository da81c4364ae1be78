"""What a user writes: the spec of both resources, parsed once at the edge.

The models mirror the CRDs. Defaults live in the CRD schema too; they are repeated here so that an object made before
a field existed still parses. Unknown fields are ignored: an older operator must be able to read a newer object. Pure.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.alias_generators import to_camel

from modelvane.names import canonical_json, short_hash
from modelvane.units import Duration, Percent, Size

LONGEST_REQUESTS = 96 * 1024
"""Bytes of `verification.requests` as JSON: they reach the pod in one environment variable, which Linux limits."""


class Shape(BaseModel):
    """A part of a resource: camelCase outside, snake_case inside, never changed once read."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")


class ObjectRef(Shape):
    """The name of an object in the same namespace."""

    name: str


class CaBundleRef(Shape):
    """Where the CA bundle of a registry is kept."""

    kind: Literal["ConfigMap", "Secret"] = "ConfigMap"
    name: str
    key: str = "ca.crt"


class Webhook(Shape):
    """Whether MLflow tells the operator of changes, besides being asked."""

    enabled: bool = False
    url: str | None = None
    secret_ref: ObjectRef | None = None


class ModelRegistrySpec(Shape):
    """One MLflow registry and how to reach it."""

    uri: str
    credentials_secret_ref: ObjectRef | None = None
    artifact_secret_ref: ObjectRef | None = None
    ca_bundle_ref: CaBundleRef | None = None
    workspace: str | None = None
    poll_interval: Duration = timedelta(seconds=5)
    webhook: Webhook = Webhook()


class ModelPointer(Shape):
    """A registered model and exactly one way to choose its version."""

    name: str
    stage: str | None = None
    alias: str | None = None
    version: str | None = None

    def __str__(self) -> str:
        """Write the pointer as the MLflow URI that means the same."""
        if self.alias is not None:
            return f"models:/{self.name}@{self.alias}"
        return f"models:/{self.name}/{self.stage or self.version}"


class ClaimRef(Shape):
    """A PersistentVolumeClaim in the same namespace."""

    claim_name: str


class NodePath(Shape):
    """A directory of the node."""

    path: str


class ModelCache(Shape):
    """Where fetched models are kept for the next pod: exactly one of the two."""

    persistent_volume_claim: ClaimRef | None = None
    host_path: NodePath | None = None
    max_size: Size | None = None


class ServingTls(Shape):
    """The Secret with the certificate that the pods show."""

    secret_name: str


class Runtime(Shape):
    """The serving program: which one, which image, how many processes, with what environment."""

    type: Literal["Modelvane", "MLflow", "Custom"] = "Modelvane"
    image: str | None = None
    engine: Literal["Auto", "Native", "Pyfunc"] = "Auto"
    environment: Literal["Image", "FromModel"] = "Image"
    workers: int | None = None
    """None is as many as the pod may use CPUs."""
    max_model_size: Size | None = None
    cache: ModelCache | None = None
    tls: ServingTls | None = None
    env: tuple[Mapping[str, Any], ...] = ()
    env_from: tuple[Mapping[str, Any], ...] = ()


class Template(Shape):
    """A partial pod template that is merged over the one the operator makes."""

    metadata: Mapping[str, Any] = Field(default_factory=dict)
    spec: Mapping[str, Any] = Field(default_factory=dict)


class ServiceSpec(Shape):
    """How the model is reached."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    port: int = 80
    node_port: int | None = None
    annotations: Mapping[str, str] = Field(default_factory=dict)


class ParentRef(Shape):
    """A Gateway that the route asks to be attached to."""

    group: str | None = None
    kind: str | None = None
    namespace: str | None = None
    name: str
    section_name: str | None = None
    port: int | None = None


class GatewaySpec(Shape):
    """How the model is reached through a Gateway, which splits the traffic exactly."""

    parent_refs: tuple[ParentRef, ...]
    hostnames: tuple[str, ...] = ()
    path: str = "/"


class Pause(Shape):
    """How long a step lasts. Without a duration it waits for a person."""

    duration: Duration | None = None


class CanaryStep(Shape):
    """One step of a canary: a percentage of the traffic, and how long it stays there."""

    weight: int
    pause: Pause | None = None


class Mirror(Shape):
    """Copies of requests that the candidate gets before any real one."""

    percent: int
    duration: Duration = timedelta(minutes=1)


class Strategy(Shape):
    """How traffic moves from one revision to the next."""

    type: Literal["RollingUpdate", "Canary", "BlueGreen"] = "RollingUpdate"
    steps: tuple[CanaryStep, ...] = ()
    mirror: Mirror | None = None
    scale_down_delay: Duration = timedelta(seconds=30)


class Verification(Shape):
    """What a pod must pass before it is Ready."""

    input_example: bool = True
    signature: Literal["Compatible", "Ignore"] = "Compatible"
    requests: tuple[Mapping[str, Any], ...] = ()

    @field_validator("requests")
    @classmethod
    def _fits_an_environment_variable(cls, requests: tuple[Mapping[str, Any], ...]) -> tuple[Mapping[str, Any], ...]:
        size = len(canonical_json(requests).encode())
        if size > LONGEST_REQUESTS:
            raise ValueError(f"they are {size} bytes of JSON, use at most {LONGEST_REQUESTS}")
        return requests


class Query(Shape):
    """A PromQL query whose value must lie within limits."""

    name: str
    query: str
    min: float | None = None
    max: float | None = None


class Prometheus(Shape):
    """A Prometheus server and what to ask it."""

    address: str
    queries: tuple[Query, ...]


class KeyRef(Shape):
    """A key of a ConfigMap in the same namespace."""

    name: str
    key: str = "inputs.jsonl"


class InputsFrom(Shape):
    """Where recorded inputs are kept."""

    config_map_ref: KeyRef


class Predictions(Shape):
    """Compare what both revisions answer to the same inputs, before the candidate gets traffic."""

    max_different: Percent | None = None
    tolerance: float = 1e-6
    inputs_from: InputsFrom | None = None


class Analysis(Shape):
    """What is measured while a rollout shares the traffic, and what is good enough."""

    interval: Duration = timedelta(seconds=10)
    min_requests: int = 50
    failure_limit: int = 2
    max_error_rate: Percent | None = None
    max_latency_p50: Duration | None = None
    max_latency_p95: Duration | None = None
    max_latency_p99: Duration | None = None
    max_error_rate_increase: Percent | None = None
    max_latency_increase: Percent | None = None
    prometheus: Prometheus | None = None
    on_inconclusive: Literal["Pause", "Promote", "RollBack"] = "Pause"
    replay: bool = False
    predictions: Predictions | None = None


class ModelDeploymentSpec(Shape):
    """A registered model, a pointer to one of its versions and how to serve it."""

    model: ModelPointer
    registry_ref: ObjectRef = ObjectRef(name="default")
    on_pointer_removed: Literal["Keep", "ScaleToZero"] = "Keep"
    suspend: bool = False
    replicas: int = 1
    runtime: Runtime = Runtime()
    template: Template = Template()
    service: ServiceSpec = ServiceSpec()
    gateway: GatewaySpec | None = None
    strategy: Strategy = Strategy()
    verification: Verification = Verification()
    analysis: Analysis | None = None
    progress_deadline: Duration = timedelta(minutes=10)
    history_limit: int = 10
    write_back: Literal["None", "Tags"] = "None"

    @property
    def pointer(self) -> str:
        """Name what is followed. The registry is part of it: version 3 of another registry is another model."""
        return f"{self.registry_ref.name}: {self.model}"


def template_hash(spec: ModelDeploymentSpec, registry: ModelRegistrySpec, restart: str | None) -> str:
    """Hash the parts of the user's specs that make the pod.

    Values equal to a default are left out, so that a field which a later release adds changes no hash and upgrading
    the operator rolls nothing. How often a registry is asked makes no pod, nor whether it tells of changes itself; how
    it is reached does, because a pod that starts again fetches its model again.
    """
    parts = {
        "model": spec.model.name,
        "runtime": _hashed(spec.runtime),
        "template": spec.template.model_dump(mode="json", by_alias=True, exclude_defaults=True),
        "verification": spec.verification.model_dump(mode="json", by_alias=True, exclude_defaults=True),
        "registry": registry.model_dump(
            mode="json", by_alias=True, exclude_defaults=True, exclude={"poll_interval", "webhook"}, exclude_none=True
        ),
        "restart": restart,
    }
    return short_hash(parts)


def _hashed(runtime: Runtime) -> dict[str, Any]:
    """Write a runtime so that one with a single worker is the plain one.

    That was the default which the API server wrote into every resource before workers could be left to the runtime.
    """
    parts = runtime.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    workers = "Auto" if runtime.workers is None else runtime.workers
    return {key: part for key, part in {**parts, "workers": workers}.items() if (key, part) != ("workers", 1)}


def terms_hash(spec: ModelDeploymentSpec) -> str:
    """Hash the parts of a spec that a revision is judged by, besides those that make its pod."""
    parts = {
        "strategy": spec.strategy.model_dump(
            mode="json", by_alias=True, exclude_defaults=True, exclude={"scale_down_delay"}
        ),
        "analysis": spec.analysis
        and spec.analysis.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude_none=True),
        "progressDeadline": spec.progress_deadline.total_seconds(),
    }
    return short_hash(parts)
