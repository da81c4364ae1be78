"""The strategies: which stages a candidate goes through until it serves alone.

A strategy is a function of a `Situation` alone, so every step can be taken again after a restart with the same result.
Stable keeps all its pods until after the promotion, so that it can take everything back at once. Pure.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta

from modelvane.engine.stage import Situation, Stage, Step, describe_pause, hold, stand, stay
from modelvane.spec import CanaryStep, Pause

AT_ONCE = Pause(duration=timedelta(0))
"""The pause of a stage that is over as soon as its weight is in effect and a check has passed."""


def rolling_update(s: Situation) -> Step:
    """Verify one pod, then bring up all of them while both revisions serve, then let the candidate serve alone.

    Stable keeps all its pods until after the promotion, so capacity never falls. A candidate that is warm already, as
    after a pointer that moves back, is ready and settled: it is promoted in its first step.
    """
    s, step = _go_on(s)
    if not s.ready:
        return verifying(s)
    share = min(100 * s.settled // s.wanted, 50 if s.analysis else 99) if s.exact else 50
    complete = s.settled >= s.wanted and not (s.analysis and s.others_serve and not s.exact)
    stage = Stage(step, 1, share, s.wanted, complete, f"{min(s.ready, s.wanted)} of {s.wanted} pods are ready")
    return stay(s, stage, AT_ONCE) or _promote(s, f"all {s.wanted} pods are ready", 1, 1)


def blue_green(s: Situation) -> Step:
    """Bring up all pods without traffic, then give them all of it at once. Stable stays whole until the promotion."""
    s, step = _go_on(s)
    if not s.ready:
        return verifying(s)
    all_there = s.settled >= s.wanted and s.routable
    if not _holds_all(s) and (s.held or not all_there):
        waiting = f"{min(s.ready, s.wanted)} of {s.wanted} pods are ready, none gets traffic yet"
        return stand(s, Stage(step, 1, 0, s.wanted, False, waiting))
    if s.analysis is None and not s.held and all_there:
        return _promote(s, f"all {s.wanted} pods are ready", 1, 1)
    stage = Stage(step, 1, 100, s.wanted, all_there, "all traffic goes to it")
    return stay(s, stage, AT_ONCE) or _promote(s, "it did well with all the traffic", 1, 1)


def _holds_all(s: Situation) -> bool:
    """Say whether a candidate that has all the traffic is no worse off than stable would be, as when both scale up.

    One that only answers in the place of a stable without ready pods was not given it.
    """
    given = s.memory.weight == 100 and s.memory.step_started_at is not None
    return given and s.ready >= min(s.wanted, s.stable.ready if s.stable else 0)


def canary(s: Situation) -> Step:
    """Follow the steps: each has a weight, a number of pods that carry it, and an end."""
    if s.skip and s.memory.step and s.memory.step_started_at:
        # A person who asks to go on is heard even while pods are missing: the weight only follows when they are back.
        s = _next_step(s, s.memory.step)
    if not s.ready:
        return verifying(s)
    steps = s.strategy.steps
    count = len(steps)
    index = min(s.memory.step or 1, count + 1)
    if index > count:
        if s.settled >= s.wanted and s.routable and not s.held:
            return _promote(s, f"all {count} steps are done", count, count)
        last = f"all {count} steps are done, {min(s.ready, s.wanted)} of {s.wanted} pods are ready"
        stage = Stage(count + 1, count, _carried(s, steps), s.wanted, False, last)
        return stand(s, stage)
    step = steps[index - 1]
    need = pods_for(step.weight, s.wanted, exact=s.exact)
    complete = s.settled >= need and not (s.others_serve and not s.exact and 0 < step.weight < 100)
    if complete:
        message = f"step {index} of {count}: weight {step.weight}{describe_pause(step.pause)}"
    else:
        message = f"step {index} of {count}: {min(s.ready, need)} of {need} pods are ready for weight {step.weight}"
    stage = Stage(index, count, _carried(s, steps[:index]), need, complete, message)
    return stay(s, stage, step.pause or AT_ONCE) or canary(_next_step(s, index))


STRATEGIES: Mapping[str, Callable[[Situation], Step]] = {
    "RollingUpdate": rolling_update,
    "BlueGreen": blue_green,
    "Canary": canary,
}


def pods_for(weight: int, wanted: int, *, exact: bool) -> int:
    """Return how many pods a candidate needs for a weight.

    Without a gateway the share of pods is the weight. Stable keeps all of its own, to be able to take everything back
    at once, so the candidate has at most as many and at most half of the traffic until it takes over.
    """
    if weight >= 100:
        return wanted
    if exact or weight == 0:
        return max(1, math.ceil(wanted * weight / 100))
    return min(range(1, wanted + 1), key=lambda pods: abs(pods / (wanted + pods) - weight / 100))


def verifying(s: Situation) -> Step:
    """Return the step of a candidate none of whose pods is ready: it is verified by one pod alone."""
    pods = min(s.candidate.replicas, s.wanted) if s.candidate else 1
    here = Step(max(pods, 1), 0, "no pod is verified yet", step=s.memory.step, steps=s.memory.steps)
    return hold(s, replace(here, step_started_at=s.memory.step_started_at, mirror_percent=s.memory.mirror_percent))


def _go_on(s: Situation) -> tuple[Situation, int]:
    """Return the step of a strategy that has one. Past it, nothing is judged: a person asked to go on."""
    if not s.skip and (s.memory.step or 1) == 1:
        return s, 1
    over = s.memory.model_copy(update={"step": 2})
    return replace(s, memory=over, analysis=None, skip=False), 2


def _next_step(s: Situation, index: int) -> Situation:
    later = s.memory.model_copy(update={"step": index + 1, "step_started_at": None})
    return replace(s, memory=later, skip=False)


def _promote(s: Situation, message: str, step: int, steps: int) -> Step:
    return Step(s.wanted, 100, message, step=step, steps=steps, promote=True)


def _carried(s: Situation, steps: tuple[CanaryStep, ...]) -> int:
    """Return the highest weight of the steps so far that the settled pods can carry.

    So the weight goes up when the pods for it are there, and down when they go: not to the step before, but to what is
    left of it.
    """
    carried = (t.weight for t in steps if pods_for(t.weight, s.wanted, exact=s.exact) <= s.settled)
    left = min(s.memory.weight or 0, 100 * s.settled // s.wanted, steps[-1].weight)
    return max(left, max(carried, default=0))
