"""One stage of a rollout: what a candidate has while it lasts, and when it is over. Pure.

A stage begins when the pods that carry its weight are there, lasts for its pause, and is over when the last check of
the traffic in it has passed. Everything that a stage may look at is in its `Situation`.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from modelvane.engine.memory import Candidate
from modelvane.engine.state import Workload
from modelvane.spec import Analysis, Pause, Strategy
from modelvane.units import format_duration

SETTLE = timedelta(seconds=2)
"""How long a pod is ready before it may carry all the traffic: the time endpoints need to reach every node."""
PATIENCE = 3
"""How many intervals of the analysis a stage waits for enough requests before it counts as inconclusive."""

Paused = Literal["Step", "Request", "Inconclusive"]


@dataclass(frozen=True)
class Situation:
    """All that a verdict and a strategy may look at."""

    wanted: int
    strategy: Strategy
    analysis: Analysis | None
    memory: Candidate
    """What is remembered of the rollout so far."""
    candidate: Workload | None
    stable: Workload | None
    others_serve: bool
    """Pods of a third revision exist, so the Service cannot select both without selecting them too."""
    first: bool
    """Nothing is stable, so the candidate gets whatever traffic comes."""
    warm: bool
    """The candidate served before and was kept for this moment."""
    exact: bool
    """A gateway splits the traffic, so a weight is what it says and not a share of pods."""
    routable: bool
    """The gateway, if there is one, has a Service to send the candidate's requests to."""
    mirror_problem: str | None
    """Why the gateway cannot copy requests, if it cannot."""
    skip: bool
    """A person asks to go on without waiting for the end of the stage."""
    deadline: timedelta
    registry_reachable: bool
    now: datetime

    @property
    def ready(self) -> int:
        """Count the verified pods of the candidate."""
        return self.candidate.ready if self.candidate else 0

    @property
    def settled(self) -> int:
        """Count those that every node routes to by now."""
        return self.candidate.settled(self.now, SETTLE) if self.candidate else 0

    @property
    def alone(self) -> bool:
        """Say whether the candidate has the only ready pods, so that without it nobody could answer."""
        return self.ready > 0 and not (self.stable and self.stable.ready)

    @property
    def held(self) -> bool:
        """Say whether a person has paused the rollout."""
        return self.memory.paused == "Request"


@dataclass(frozen=True)
class Step:
    """What the candidate may have now. The fields of `Candidate` that change are in it under their own names."""

    replicas: int
    weight: int
    message: str
    step: int | None = None
    steps: int | None = None
    step_started_at: datetime | None = None
    paused: Paused | None = None
    mirror_percent: int | None = None
    promote: bool = False
    clear_others: bool = False
    inconclusive: bool = False
    """There is nothing to judge by, and the spec asks to roll back then."""
    wake_after: timedelta | None = None


@dataclass(frozen=True)
class Stage:
    """Where in its strategy a rollout is, and what that takes."""

    step: int | None
    steps: int | None
    weight: int
    replicas: int
    complete: bool
    """Its pods are there, so its time runs."""
    message: str
    mirror_percent: int | None = None


def stay(s: Situation, stage: Stage, pause: Pause) -> Step | None:
    """Return the step of a stage that is not over yet, or None when the rollout may go on to the next.

    A stage is over when its time is, and the last check of it passed. What was measured before it began does not count.
    """
    here = stand(s, stage)
    started = here.step_started_at
    if started is None or not _is_in_effect(s, stage):
        return here
    if s.held:
        return here
    if s.skip:
        return None
    if pause.duration is None:
        return replace(here, paused="Step")
    left = pause.duration - (s.now - started)
    if left > timedelta(0):
        return replace(here, wake_after=_soonest(here.wake_after, left))
    if s.analysis is None or _passed_here(s, started):
        return None
    if not _is_inconclusive(s, s.analysis, started, pause.duration):
        return replace(here, message=f"{stage.message}, waiting for a check that passes")
    if s.analysis.on_inconclusive == "Promote":
        return None
    if s.analysis.on_inconclusive == "RollBack":
        seen = s.memory.analysis
        return replace(here, message=seen.message if seen else "nothing was measured", inconclusive=True)
    message = f"{stage.message}: too little to judge it by, waiting for requests or for a person"
    return replace(here, message=message, paused="Inconclusive")


def stand(s: Situation, stage: Stage) -> Step:
    """Return the step of a stage as it is now."""
    in_effect = _is_in_effect(s, stage)
    unsettled = s.ready > s.settled or s.ready >= stage.replicas
    step = Step(
        stage.replicas,
        # Paused, it loses what its pods no longer carry, and gets nothing more.
        min(stage.weight, s.memory.weight or 0) if s.held else stage.weight,
        stage.message,
        step=stage.step,
        steps=stage.steps,
        step_started_at=s.memory.step_started_at or (s.now if in_effect else None),
        mirror_percent=stage.mirror_percent,
        clear_others=0 < stage.weight < 100 and not s.exact,
        wake_after=_soonest(SETTLE if unsettled and not in_effect else None, _next_check(s, stage)),
    )
    return hold(s, step)


def hold(s: Situation, step: Step) -> Step:
    """Say on a step that a person has paused the rollout, if so."""
    return replace(step, paused="Request", message=f"{step.message} (paused on request)") if s.held else step


def describe_pause(pause: Pause | None) -> str:
    """Say how long a stage lasts, as the end of a sentence."""
    if pause is None:
        return ""
    return f" for {format_duration(pause.duration)}" if pause.duration is not None else " until someone resumes it"


def _is_in_effect(s: Situation, stage: Stage) -> bool:
    return stage.complete and s.routable


def _passed_here(s: Situation, started: datetime) -> bool:
    seen = s.memory.analysis
    return seen is not None and seen.verdict == "Passed" and seen.checked_at > started


def _is_inconclusive(s: Situation, analysis: Analysis, started: datetime, pause: timedelta) -> bool:
    """Say whether a stage has waited long enough for a verdict, since its start or since the last one it had."""
    seen = s.memory.analysis
    conclusive = seen is not None and seen.verdict != "Inconclusive" and seen.checked_at > started
    since = seen.checked_at if seen and conclusive else started
    return s.now - since >= max(pause, PATIENCE * analysis.interval)


def _next_check(s: Situation, stage: Stage) -> timedelta | None:
    """Return when the traffic is worth a look. A stage begins up to a second after the time that the status has."""
    if s.analysis is None or not (stage.weight or stage.mirror_percent or stage.complete):
        return None
    first = (s.memory.step_started_at or s.memory.since).replace(microsecond=0) + timedelta(seconds=1)
    return s.analysis.interval - (s.now - first) % s.analysis.interval + timedelta(milliseconds=50)


def _soonest(*delays: timedelta | None) -> timedelta | None:
    return min((delay for delay in delays if delay is not None), default=None)
