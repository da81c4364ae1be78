"""What a doctor looks at, as values. `None` is "it is not there"; `UNSEEN` is "this user may not see it". Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from modelvane_cli.seen import Manifest, Seen


class Unseen(Enum):
    """The place of a fact that the user may not read."""

    UNSEEN = "unseen"


UNSEEN = Unseen.UNSEEN


@dataclass(frozen=True)
class Operator:
    """One installed operator: its Deployment, its Lease and its pods."""

    deployment: Manifest
    lease: Manifest | Unseen | None = None
    trouble: str | None = None
    """Why one of its pods does not run."""


@dataclass(frozen=True)
class Registry:
    """One ModelRegistry with what it names."""

    resource: Manifest
    secrets: Mapping[str, frozenset[str] | Unseen | None] = field(default_factory=dict)
    """The keys of each Secret that it names; never the values."""
    bundle: frozenset[str] | Unseen | None = UNSEEN
    """The keys of the ConfigMap or Secret with the certificates."""
    from_here: str | None = None
    """Why it cannot be reached from here, if that was tried."""
    tried: bool = False


@dataclass(frozen=True)
class Model:
    """One ModelDeployment with its children."""

    seen: Seen
    deployments: tuple[Manifest, ...] | Unseen = UNSEEN
    service: Manifest | Unseen | None = UNSEEN
    endpoints: int | Unseen = UNSEEN
    """How many addresses of the Service are ready."""
    route: Manifest | Unseen | None = UNSEEN
    budget: Manifest | Unseen | None = UNSEEN


@dataclass(frozen=True)
class Facts:
    """Everything that is judged."""

    namespace: str
    now: datetime
    fields: frozenset[str] | Unseen | None
    """The fields of the ModelDeployment's schema in the cluster, such as `spec.gateway`; None if there is no CRD."""
    operators: tuple[Operator, ...] | Unseen = ()
    everywhere: bool = True
    """Whether the operators of all namespaces were looked at."""
    registries: tuple[Registry, ...] = ()
    models: tuple[Model, ...] = ()
