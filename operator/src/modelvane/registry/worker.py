"""A thread for calls of MLflow's client, which is synchronous, and an end to the waiting for it.

The time-out of a request is one of each read from its socket, so a connection that drips holds a thread for as long as
it likes. Such a thread is left behind, and the next call gets another one.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from modelvane.registry.trouble import UnreachableError

CALL_TIMEOUT = 30
MOST_LEFT_BEHIND = 10
"""A registry that drips for days must not fill the memory: with so many left behind, one of them has to end first."""

T = TypeVar("T")


class Worker:
    """Calls one registry, one call after the other. Nothing here waits for a thread that does not end."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._executor = self._start()
        self._left_behind: list[Future[Any]] = []

    async def call(self, uri: str, function: Callable[..., T], *arguments: object) -> T:
        """Call MLflow. After a call that somebody has given up, the next comes when that has ended, or in vain."""
        executor = self._executor
        running = executor.submit(function, *arguments)
        try:
            async with asyncio.timeout(CALL_TIMEOUT):
                return await asyncio.wrap_future(running)
        except TimeoutError:
            self._left_behind = [call for call in (*self._left_behind, running) if not call.done()]
            if executor is self._executor and len(self._left_behind) < MOST_LEFT_BEHIND:
                self.close()
                self._executor = self._start()
            raise UnreachableError("Timeout", f"{uri} gives no whole answer within {CALL_TIMEOUT} s") from None

    def close(self) -> None:
        """Take no more calls. The thread ends with the last one that it was given."""
        self._executor.shutdown(wait=False)

    def _start(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"registry {self._name}")
