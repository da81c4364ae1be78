"""One step of a rollout: replicas, traffic and the verdict on a candidate.

`judge` says whether a candidate has failed; a strategy says what a healthy one may do next. A strategy is a function of
a `Situation` alone, so every step can be taken again after a restart with the same result. Pure.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from modelvane.spec import format_duration
from modelvane.state import Failure, Workload

SETTLE = timedelta(seconds=2)
"""How long a pod is ready before it may carry all the traffic: the time endpoints need to reach every node."""

REASON_DEADLINE = "ProgressDeadlineExceeded"
REASON_REFUSED = "PodRefused"
REASON_FETCH_FAILED = "FetchFailed"


class Share(Enum):
    """Which pods the Service selects during a rollout."""

    STABLE = "stable"
    BOTH = "both"
    CANDIDATE = "candidate"


@dataclass(frozen=True)
class Situation:
    """All that a verdict and a strategy may look at."""

    wanted: int
    candidate: Workload | None
    stable: Workload | None
    others_serve: bool
    """Pods of a third revision exist, so the Service cannot select both without selecting them too."""
    first: bool
    """Nothing is stable, so the candidate gets whatever traffic comes."""
    since: datetime
    deadline: timedelta
    registry_reachable: bool
    refusal: str | None
    """Why its Deployment could not be made, if it could not."""
    now: datetime


@dataclass(frozen=True)
class Step:
    """What the candidate may have now."""

    replicas: int
    share: Share
    message: str
    promote: bool = False
    clear_others: bool = False
    wake_after: timedelta | None = None


def judge(s: Situation) -> Failure | None:
    """Return why the candidate is rejected, or None while it may go on.

    The deadline runs from the time in our own status: the kubelet and the Deployment controller restart theirs when a
    pod is replaced.
    """
    failure = s.candidate.failure if s.candidate else None
    if failure and failure.permanent:
        return failure
    if s.now - s.since < s.deadline:
        return None
    if s.candidate and s.candidate.ready >= s.wanted:
        return None  # It got there, perhaps while the operator was away: there is no progress left to make.
    if failure and failure.reason == REASON_FETCH_FAILED and not s.registry_reachable:
        return None  # The registry is down: the version cannot be blamed, and stable serves meanwhile.
    after = f"after {format_duration(s.deadline)}"
    if s.candidate is None:
        return Failure(REASON_REFUSED, f"its Deployment could not be made {after}: {s.refusal}", permanent=True)
    if failure:
        return Failure(failure.reason, f"{failure.message} (still so {after})", permanent=True)
    if s.candidate.refused:
        return Failure(REASON_REFUSED, f"its pods are refused {after}: {s.candidate.refused}", permanent=True)
    detail = f": {s.candidate.waiting_for}" if s.candidate.waiting_for else ""
    return Failure(REASON_DEADLINE, f"{s.candidate.ready} of {s.wanted} pods are ready {after}{detail}", permanent=True)


def rolling_update(s: Situation) -> Step:
    """Verify one pod, then bring up all of them while both revisions serve, then let the candidate serve alone.

    Stable keeps all its pods until after the promotion, so capacity never falls. A candidate that is warm already, as
    after a pointer that moves back, is ready and settled: it is promoted in its first step.
    """
    ready = s.candidate.ready if s.candidate else 0
    if s.first:
        if ready:
            return Step(s.wanted, Share.CANDIDATE, "the first pod is verified", promote=True)
        return Step(s.wanted, Share.CANDIDATE, f"no pod of {s.wanted} is verified yet")
    if not ready:
        grown = s.candidate is not None and s.candidate.replicas > 1
        return Step(s.wanted if grown else 1, Share.STABLE, "no pod is verified yet")
    settled = s.candidate.settled(s.now, SETTLE) if s.candidate else 0
    if settled >= s.wanted:
        return Step(s.wanted, Share.CANDIDATE, f"all {s.wanted} pods are ready", promote=True)
    return Step(
        s.wanted,
        Share.STABLE if s.others_serve else Share.BOTH,
        f"{min(ready, s.wanted)} of {s.wanted} pods are ready",
        clear_others=True,
        wake_after=SETTLE if ready >= s.wanted else None,
    )


STRATEGIES: Mapping[str, Callable[[Situation], Step]] = {"RollingUpdate": rolling_update}


def weight(share: Share, candidate: Workload | None, stable: Workload | None) -> int:
    """Return the percentage of requests the candidate gets, which without a gateway is its share of ready pods."""
    candidate_ready = candidate.ready if candidate else 0
    if share is Share.STABLE or not candidate_ready:
        return 0
    if share is Share.CANDIDATE:
        return 100
    ready = candidate_ready + (stable.ready if stable else 0)
    return round(100 * candidate_ready / ready)
