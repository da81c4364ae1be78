"""Lets one pod of each revision answer the same inputs and compares what they say."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from modelvane.analysis.figures import Comparison
from modelvane.analysis.pods import NoAnswerError, Pods
from modelvane.analysis.predictions import add_up, compare_answers, count_predictions
from modelvane.analysis.replay import PATH
from modelvane.engine.state import Pod, Workload

AT_ONCE = 4
ANSWER_TIMEOUT = 10.0
LONGEST = 60.0
"""Seconds for all inputs together."""
READER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="compare")
"""Where answers are read as JSON, off the loop because they may have a million numbers, and whatever the number of
rollouts one at a time, because they take many times their length of memory."""


async def compare_revisions(
    pods: Pods, candidate: Workload, stable: Workload, inputs: Sequence[bytes] | None, tolerance: float
) -> Comparison:
    """Compare all inputs, or the candidate's input example where none are given. It never raises."""
    ours, theirs = _ready(candidate), _ready(stable)
    if ours is None or theirs is None:
        return _nothing(f"version {candidate.version if ours is None else stable.version} has no ready pod")
    if inputs is None:
        try:
            example = await pods.get(ours, PATH, ANSWER_TIMEOUT)
        except NoAnswerError as error:
            return _nothing(f"GET {PATH} of version {candidate.version} gives {error}")
        if example.status != 200:
            return _nothing(f"version {candidate.version} has no input example to compare predictions with")
        inputs = [example.body]
    if not inputs:
        return _nothing("the ConfigMap that analysis.predictions names is empty, expected an input on each line")
    parts: dict[int, Comparison] = {}
    waiting = iter(enumerate(inputs, 1))

    async def work() -> None:
        for number, body in waiting:
            parts[number] = await _compare(pods, (ours, theirs), number, body, tolerance)

    late = None
    try:
        async with asyncio.timeout(LONGEST):
            await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    except TimeoutError:
        late = f"only {len(parts)} of {len(inputs)} inputs were compared within {LONGEST:g} s"
    total = add_up([part for _, part in sorted(parts.items())], late)
    if total.compared or total.trouble:
        return total
    return _nothing(f"stable answers none of {len(inputs)} inputs with status 200")


async def _compare(pods: Pods, pair: tuple[Pod, Pod], number: int, body: bytes, tolerance: float) -> Comparison:
    """Compare the answers to one input. What stable refuses says nothing about the candidate and is passed over."""
    try:
        ours, theirs = await asyncio.gather(*(pods.predict(pod, body, ANSWER_TIMEOUT) for pod in pair))
    except NoAnswerError as error:
        return _nothing(f"input {number}: {error}")
    if theirs.status != 200:
        return Comparison(0, 0)
    loop = asyncio.get_running_loop()
    if ours.status != 200:
        count = await loop.run_in_executor(READER, count_predictions, theirs.body)
        return Comparison(count, count, f"input {number}: status {ours.status} instead of 200")
    found = await loop.run_in_executor(READER, compare_answers, ours.body, theirs.body, tolerance)
    return replace(found, example=f"input {number}: {found.example}") if found.example else found


def _ready(workload: Workload) -> Pod | None:
    return next((pod for pod in workload.pods if pod.ready_since is not None and pod.ip), None)


def _nothing(trouble: str) -> Comparison:
    return Comparison(0, 0, trouble=trouble)
