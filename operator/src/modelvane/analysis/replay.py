"""Sends a model's own input example to its pods, so that a service nobody uses can be judged too.

It fills up what is missing to `minRequests` and no more. Each revision has a task of its own, which ends by itself when
it is not renewed: an operator that has lost interest, or its leadership, sends nothing.
"""

import asyncio
import logging
from dataclasses import dataclass
from datetime import timedelta

from modelvane.analysis.pods import NoAnswerError, Pods
from modelvane.engine.state import Key, Pod, Workload

PATH = "/input-example"
FASTEST = 10.0
"""Requests a second to one revision."""
AHEAD = 1.25
"""How much faster than needed, so that the last request of an interval does not come just after it."""
AT_ONCE = 4
"""Requests in flight: a slow model is not made slower by a queue."""
ANSWER_TIMEOUT = 10.0
RETRY = 1.0
GRACE = timedelta(seconds=5)

logger = logging.getLogger(__name__)


@dataclass
class _Line:
    """What is sent to one revision."""

    workload: Workload
    pods: tuple[Pod, ...]
    rate: float
    until: float
    task: asyncio.Task[None] | None = None
    answered: int = 0
    trouble: str | None = None


class Replay:
    """The revisions that get their input example."""

    def __init__(self, pods: Pods) -> None:
        self._pods = pods
        self._lines: dict[tuple[Key, str], _Line] = {}

    def renew(self, key: Key, workload: Workload, missing: int, interval: timedelta) -> None:
        """Send so many requests within an interval, and go on at that pace for a while unless asked again."""
        pods = tuple(pod for pod in workload.pods if pod.ready_since is not None and pod.ip)
        rate = min(missing / interval.total_seconds() * AHEAD, FASTEST)
        until = asyncio.get_running_loop().time() + (2 * interval + GRACE).total_seconds()
        line = self._lines.get((key, workload.revision))
        if line is None or line.task is None or line.task.done():
            line = self._lines[key, workload.revision] = _Line(workload, pods, rate, until)
            line.task = asyncio.create_task(self._send(line), name=f"replay {key} {workload.revision}")
            logger.info("%s: version %s gets its input example as requests", key, workload.version)
        line.pods, line.rate, line.until = pods, rate, until

    def take_answered(self, key: Key, revision: str) -> int:
        """Return how many requests were answered since this was last asked."""
        line = self._lines.get((key, revision))
        if line is None:
            return 0
        answered, line.answered = line.answered, 0
        return answered

    def trouble(self, key: Key, revision: str) -> str | None:
        """Say why nothing can be sent."""
        line = self._lines.get((key, revision))
        return line.trouble if line else None

    def forget(self, key: Key) -> None:
        """Send nothing more for a ModelDeployment."""
        for known in [known for known in self._lines if known[0] == key]:
            line = self._lines.pop(known)
            if line.task is not None:
                line.task.cancel()

    async def _send(self, line: _Line) -> None:
        loop = asyncio.get_running_loop()
        example: bytes | None = None
        turn = 0
        in_flight: set[asyncio.Task[None]] = set()
        try:
            while loop.time() < line.until:
                if not line.pods or line.rate == 0:
                    await asyncio.sleep(RETRY)
                    continue
                if example is None:
                    example = await self._example(line)
                    if example is None:
                        await asyncio.sleep(RETRY)
                    continue  # Meanwhile its pods may have gone, or enough requests come by themselves.
                if len(in_flight) < AT_ONCE:
                    turn += 1
                    task = asyncio.create_task(self._send_one(line, line.pods[turn % len(line.pods)], example))
                    in_flight.add(task)
                    task.add_done_callback(in_flight.discard)
                await asyncio.sleep(1 / line.rate)
        finally:
            for task in in_flight:
                task.cancel()

    async def _example(self, line: _Line) -> bytes | None:
        try:
            answer = await self._pods.get(line.pods[0], PATH, ANSWER_TIMEOUT)
        except NoAnswerError as error:
            line.trouble = f"replay: GET {PATH} of version {line.workload.version} gives {error}"
            return None
        if answer.status == 200:
            line.trouble = None
            return answer.body
        said = "has no input example" if answer.status == 404 else f"answers GET {PATH} with status {answer.status}"
        line.trouble = f"replay: version {line.workload.version} {said}"
        return None

    async def _send_one(self, line: _Line, pod: Pod, body: bytes) -> None:
        try:
            await self._pods.predict(pod, body, ANSWER_TIMEOUT)
        except NoAnswerError:
            return  # What a pod does not answer, it does not count either.
        line.answered += 1
