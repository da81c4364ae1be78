"""The rollout's memory: the shape of `status`, which the operator alone writes and reads back.

Only the fields here are input of the next decision. Conditions, phase and counts are derived and never read back,
except to tell whether something changed. Pure.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import PlainSerializer

from modelvane.spec import ModelDeploymentSpec, Shape


def format_time(value: datetime) -> str:
    """Write a time as Kubernetes does: UTC, whole seconds."""
    return value.strftime("%Y-%m-%dT%H:%M:%SZ")


Time = Annotated[datetime, PlainSerializer(format_time)]
Outcome = Literal["Promoted", "RolledBack", "Superseded", "Aborted"]
Judgement = Literal["Passed", "Failed", "Inconclusive"]


class Desired(Shape):
    """Where the pointer led when it was last read. Without a version: it was there and has been removed."""

    pointer: str
    version: str | None = None
    run_id: str | None = None
    resolved_at: Time | None = None


class Stable(Shape):
    """The revision that serves."""

    version: str
    revision: str
    digest: str | None = None
    environment: str | None = None
    replicas: int | None = None
    ready_replicas: int | None = None
    weight: int | None = None
    since: Time


class FiguresSeen(Shape):
    """What one revision did in the last window, as people read it."""

    requests: int = 0
    error_rate: str | None = None
    p50: str | None = None
    p95: str | None = None
    p99: str | None = None


class QuerySeen(Shape):
    """What a PromQL query answered."""

    name: str
    value: str


class AnalysisSeen(Shape):
    """The last check of a candidate under traffic, over the requests between two moments."""

    since: Time
    checked_at: Time
    verdict: Judgement
    message: str
    candidate: FiguresSeen = FiguresSeen()
    stable: FiguresSeen = FiguresSeen()
    queries: tuple[QuerySeen, ...] = ()


class PredictionsSeen(Shape):
    """How many answers of a candidate differ from stable's.

    An operator that knew no verdict of it wrote none: then they are compared anew.
    """

    compared: int
    different: int
    verdict: Judgement | None = None
    message: str


class Candidate(Shape):
    """The revision that is being rolled out.

    `waiting_since` is when it last began to wait for its pods, and empty while it has those it needs. `step` is empty
    until it may get real traffic, `step_started_at` until the step's weight is in effect.
    """

    version: str
    revision: str
    pointer: str | None = None
    environment: str | None = None
    weight: int | None = None
    replicas: int | None = None
    ready_replicas: int | None = None
    since: Time
    waiting_since: Time | None = None
    message: str | None = None
    strategy: str | None = None
    step: int | None = None
    steps: int | None = None
    step_started_at: Time | None = None
    paused: Literal["Step", "Request", "Inconclusive"] | None = None
    failed_checks: int | None = None
    mirror_percent: int | None = None
    analysis: AnalysisSeen | None = None
    predictions: PredictionsSeen | None = None


class Warm(Shape):
    """The revision that served before, kept for an immediate way back."""

    version: str
    revision: str
    until: Time


class Rejection(Shape):
    """A revision that proved bad, why, and a hash of what it was judged by."""

    version: str
    revision: str
    reason: str
    message: str
    at: Time
    terms: str | None = None


class HistoryEntry(Shape):
    """One finished rollout. The pointer tells which model it was about: the spec may name another by now."""

    version: str
    pointer: str | None = None
    started_at: Time
    finished_at: Time
    outcome: Outcome
    message: str

    def about(self, spec: ModelDeploymentSpec) -> str | None:
        """Return the name of the model, or None if it is one of another registry than the one followed now."""
        if self.pointer is None:
            return spec.model.name
        registry, _, uri = self.pointer.partition(": models:/")
        # MLflow takes no slash in a model's name and no @ in an alias.
        name = uri.rpartition("/" if "/" in uri else "@")[0]
        return name if registry == spec.registry_ref.name else None


class Handled(Shape):
    """The requests of people that were answered."""

    resume: str | None = None
    abort: str | None = None
    retry: str | None = None
    restart: str | None = None
    pause: str | None = None
    answer: str | None = None


class RegistrySeen(Shape):
    """Whether the registry answers. The time is as of the last change of the status; metrics carry the fresh one."""

    reachable: bool | None = None
    last_poll_time: Time | None = None


class Condition(Shape):
    """A condition as all of Kubernetes has it."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str
    last_transition_time: Time
    observed_generation: int | None = None


class Memory(Shape):
    """The whole status of a ModelDeployment."""

    observed_generation: int | None = None
    phase: str | None = None
    replicas: int | None = None
    selector: str | None = None
    url: str | None = None
    desired: Desired | None = None
    stable: Stable | None = None
    candidate: Candidate | None = None
    warm: Warm | None = None
    rejected: tuple[Rejection, ...] = ()
    history: tuple[HistoryEntry, ...] = ()
    registry: RegistrySeen | None = None
    handled: Handled | None = None
    written_back: Time | None = None
    conditions: tuple[Condition, ...] = ()

    def condition(self, kind: str) -> Condition | None:
        """Find a condition by its type."""
        return next((condition for condition in self.conditions if condition.type == kind), None)

    def dump(self) -> dict[str, Any]:
        """Write the status as the API server holds it: nothing empty, so that equal means equal."""
        dumped = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return {key: value for key, value in dumped.items() if value not in ([], {})}
