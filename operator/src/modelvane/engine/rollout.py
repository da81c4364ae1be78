"""One step of a rollout: what a candidate may have now, or why it is rejected.

Every rollout is the same walk: verify, compare predictions, mirror, then the stages of the strategy. Pure.
"""

from dataclasses import replace
from datetime import timedelta

from modelvane.engine.memory import PredictionsSeen
from modelvane.engine.stage import Situation, Stage, Step, describe_pause, hold, stay
from modelvane.engine.state import Failure
from modelvane.engine.strategies import STRATEGIES, pods_for, rolling_update, verifying
from modelvane.spec import Pause, Predictions
from modelvane.units import format_duration

REASON_DEADLINE = "ProgressDeadlineExceeded"
REASON_REFUSED = "PodRefused"
REASON_FETCH_FAILED = "FetchFailed"
REASON_ANALYSIS_FAILED = "AnalysisFailed"
REASON_ANALYSIS_INCONCLUSIVE = "AnalysisInconclusive"
REASON_PREDICTIONS_DIFFER = "PredictionsDiffer"


def advance(s: Situation) -> Step:
    """Return what a candidate that has not failed may have now."""
    if s.first:
        if s.ready and not s.held:
            return Step(s.wanted, 100, "the first pod is verified", promote=True)
        return hold(s, Step(s.wanted, 100, f"no pod of {s.wanted} is verified yet"))
    if s.warm:
        return rolling_update(replace(s, analysis=None))
    if s.memory.step is None:
        before = _before_traffic(s)
        if before is not None:
            return before
        first = s.memory.model_copy(update={"step": 1, "step_started_at": None})
        s = replace(s, memory=first, skip=False)
    return STRATEGIES[s.strategy.type](s)


def judge(s: Situation, step: Step) -> Failure | None:
    """Return why the candidate is rejected, or None while it may go on.

    The deadline runs from the time in our own status: the kubelet and the Deployment controller restart theirs when a
    pod is replaced.
    """
    failure = s.candidate.failure if s.candidate else None
    if failure and failure.permanent:
        return failure
    under_traffic = _judge_traffic(s, step)
    if under_traffic:
        return under_traffic
    if s.ready >= step.replicas:
        return None  # It got there, perhaps while the operator was away: there is no progress left to make.
    if not s.registry_reachable:
        return None  # Its pods may be trying to fetch it: the version cannot be blamed, and stable serves meanwhile.
    if s.held or s.memory.waiting_since is None or s.now - s.memory.waiting_since < s.deadline:
        return None
    after = f"after {format_duration(s.deadline)}"
    if s.candidate is None:
        return Failure(REASON_REFUSED, f"its Deployment could not be made {after}: {s.memory.message}", permanent=True)
    if failure:
        return Failure(failure.reason, f"{failure.message} (still so {after})", permanent=True)
    if s.candidate.refused:
        return Failure(REASON_REFUSED, f"its pods are refused {after}: {s.candidate.refused}", permanent=True)
    detail = f": {s.candidate.waiting_for}" if s.candidate.waiting_for else ""
    return Failure(REASON_DEADLINE, f"{s.ready} of {step.replicas} pods are ready {after}{detail}", permanent=True)


def _judge_traffic(s: Situation, step: Step) -> Failure | None:
    if s.analysis is None:
        return None
    seen, failed, compared = s.memory.analysis, s.memory.failed_checks or 0, s.memory.predictions
    if s.analysis.predictions and compared and compared.verdict == "Failed":
        return Failure(REASON_PREDICTIONS_DIFFER, compared.message, permanent=True)
    if seen and failed >= s.analysis.failure_limit:
        return Failure(REASON_ANALYSIS_FAILED, f"{failed} checks failed, the last one: {seen.message}", permanent=True)
    if step.inconclusive:
        return Failure(REASON_ANALYSIS_INCONCLUSIVE, f"it cannot be judged: {step.message}", permanent=True)
    return None


def _before_traffic(s: Situation) -> Step | None:
    """Return the step of a candidate that may have no real traffic yet, or None when it may."""
    mirroring = s.memory.mirror_percent is not None
    if s.skip and mirroring:
        return None  # Also while its pods are away: who asks to go on is heard.
    if not s.ready:
        return verifying(s)
    wanted, seen = s.analysis.predictions if s.analysis else None, s.memory.predictions
    if s.analysis and wanted and not mirroring and not s.skip and not _is_compared(wanted, seen):
        message = seen.message if seen else "its predictions are being compared with stable's"
        here = Step(1, 0, message, wake_after=timedelta(seconds=1))
        if s.held or seen is None or seen.verdict is None:
            return hold(s, here)
        if s.analysis.on_inconclusive == "RollBack":
            return replace(here, inconclusive=True)
        if s.analysis.on_inconclusive == "Pause":
            return replace(here, paused="Inconclusive", wake_after=s.analysis.interval)
    mirror = s.strategy.mirror
    if mirror is None or not s.exact or s.mirror_problem is not None:
        return hold(s, Step(1, 0, "a pod is verified")) if s.held else None
    need = pods_for(mirror.percent, s.wanted, exact=True)
    text = f"it gets copies of {mirror.percent}% of the requests{describe_pause(Pause(duration=mirror.duration))}"
    stage = Stage(None, None, 0, need, s.settled >= need, text, mirror.percent)
    return stay(replace(s, skip=False), stage, Pause(duration=mirror.duration))


def _is_compared(wanted: Predictions, seen: PredictionsSeen | None) -> bool:
    """Say whether the comparison is over. Without a limit it is only told, so whatever came of it is enough."""
    return seen is not None and (seen.verdict in ("Passed", "Failed") or wanted.max_different is None)
