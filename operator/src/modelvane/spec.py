"""What a user writes: the spec of both resources, parsed once at the edge.

The models mirror the CRDs. Defaults live in the CRD schema too; they are repeated here so that an object made before
a field existed still parses. Unknown fields are ignored: an older operator must be able to read a newer object. Pure.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel

from modelvane.names import short_hash

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_DURATION = re.compile(rf"(?:{_DURATION_PART.pattern})+")


def parse_duration(value: object) -> object:
    """Read a duration the way Kubernetes writes it, such as `1h30m` or `500ms`."""
    if not isinstance(value, str):
        return value
    if not _DURATION.fullmatch(value):
        raise ValueError(f"{value!r} is not a duration such as 30s, 10m or 1h30m")
    return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(value)))


def format_duration(value: timedelta) -> str:
    """Write a duration the way it is read: `90s` becomes `1m30s`."""
    whole, rest = divmod(round(value.total_seconds() * 1000), 1000)
    minutes, seconds = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "m"), (seconds, "s"), (rest, "ms"))
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"


Duration = Annotated[timedelta, BeforeValidator(parse_duration), PlainSerializer(format_duration)]


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


class ModelRegistrySpec(Shape):
    """One MLflow registry and how to reach it."""

    uri: str
    credentials_secret_ref: ObjectRef | None = None
    artifact_secret_ref: ObjectRef | None = None
    ca_bundle_ref: CaBundleRef | None = None
    workspace: str | None = None
    poll_interval: Duration = timedelta(seconds=5)


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


class Runtime(Shape):
    """The serving program: which image, how many processes, with what environment."""

    image: str | None = None
    workers: int = 1
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


class Strategy(Shape):
    """How traffic moves from one revision to the next."""

    type: Literal["RollingUpdate"] = "RollingUpdate"
    scale_down_delay: Duration = timedelta(seconds=30)


class Verification(Shape):
    """What a pod must pass before it is Ready."""

    input_example: bool = True


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
    strategy: Strategy = Strategy()
    verification: Verification = Verification()
    progress_deadline: Duration = timedelta(minutes=10)
    history_limit: int = 10

    @property
    def pointer(self) -> str:
        """Name what is followed. The registry is part of it: version 3 of another registry is another model."""
        return f"{self.registry_ref.name}: {self.model}"


def template_hash(spec: ModelDeploymentSpec, registry: ModelRegistrySpec, restart: str | None) -> str:
    """Hash the parts of the user's specs that make the pod.

    Values equal to a default are left out, so that a field which a later release adds changes no hash and upgrading
    the operator rolls nothing. How often a registry is polled makes no pod; how it is reached does, because a pod
    that starts again fetches its model again.
    """
    parts = {
        "model": spec.model.name,
        "runtime": spec.runtime.model_dump(mode="json", by_alias=True, exclude_defaults=True),
        "template": spec.template.model_dump(mode="json", by_alias=True, exclude_defaults=True),
        "verification": spec.verification.model_dump(mode="json", by_alias=True, exclude_defaults=True),
        "registry": registry.model_dump(
            mode="json", by_alias=True, exclude_defaults=True, exclude={"poll_interval"}, exclude_none=True
        ),
        "restart": restart,
    }
    return short_hash(parts)
