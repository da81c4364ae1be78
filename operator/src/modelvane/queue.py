"""A keyed work queue: one run a key at a time, equal keys merged, a bounded number of workers, back-off with jitter.

It knows nothing of Kubernetes. A key that is added while it runs, runs once more afterwards: what it was added for may
have happened after the run had read the world.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Hashable
from datetime import timedelta
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
Run = Callable[[K], Awaitable[timedelta | None]]

FIRST_DELAY = timedelta(milliseconds=200)
LONGEST_DELAY = timedelta(seconds=60)

logger = logging.getLogger(__name__)


class TryAgainError(Exception):
    """The run could not be finished for a reason that passes: try the whole of it again soon."""


def backoff(failures: int, first: timedelta, longest: timedelta, jitter: float) -> timedelta:
    """Return how long to wait after so many failures in a row; jitter (0 to 1) takes away up to half."""
    delay: timedelta = min(first * 2 ** min(failures - 1, 20), longest)
    return delay * (1 - jitter / 2)


class Queue(Generic[K]):
    """Keys that wait to be run."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[K] = asyncio.Queue()
        self._queued: set[K] = set()
        self._running: set[K] = set()
        self._again: set[K] = set()
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}

    def add(self, key: K) -> None:
        """Run a key as soon as a worker is free."""
        if key in self._running:
            self._again.add(key)
        elif key not in self._queued:
            self._queued.add(key)
            self._waiting.put_nowait(key)

    def add_after(self, key: K, delay: timedelta) -> None:
        """Run a key later. Only the soonest of several such wishes is kept."""
        loop = asyncio.get_running_loop()
        due = loop.time() + delay.total_seconds()
        known = self._timers.get(key)
        if known is not None and not known.cancelled() and loop.time() < known.when() <= due:
            return
        self._cancel_timer(key)
        self._timers[key] = loop.call_at(due, self._ring, key)

    def _ring(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _cancel_timer(self, key: K) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    async def work(self, run: Run[K], workers: int) -> None:
        """Run keys until cancelled. A run returns when it wants to be run again, if nothing happens before."""
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(self._worker(run))

    async def _worker(self, run: Run[K]) -> None:
        while True:
            key = await self._waiting.get()
            self._queued.discard(key)
            self._running.add(key)
            try:
                await self._run_once(run, key)
            finally:
                self._running.discard(key)
                if key in self._again:
                    self._again.discard(key)
                    self.add(key)

    async def _run_once(self, run: Run[K], key: K) -> None:
        """Run a key. A run decides anew when it wants to be woken, so an older alarm is void."""
        self._cancel_timer(key)
        try:
            wake_after = await run(key)
        except TryAgainError as again:
            self._retry(key, logging.DEBUG, str(again))
        except Exception:
            logger.exception("%s: unexpected error", key)
            self._retry(key, logging.WARNING, "unexpected error")
        else:
            self._failures.pop(key, None)
            if wake_after is not None:
                self.add_after(key, wake_after)

    def _retry(self, key: K, level: int, why: str) -> None:
        self._failures[key] = self._failures.get(key, 0) + 1
        delay = backoff(self._failures[key], FIRST_DELAY, LONGEST_DELAY, random.random())  # noqa: S311 - not a secret
        # A conflict or two is how optimistic writes work; a key that keeps failing is worth a line.
        level = max(level, logging.WARNING if self._failures[key] >= 5 else level)
        logger.log(level, "%s: again in %.1f s: %s", key, delay.total_seconds(), why)
        self.add_after(key, delay)
