"""One run a key at a time, equal keys merged, failures backed off."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from modelvane.queue import Queue, TryAgainError, backoff


async def work(queue: Queue[str], run: Callable[[str], Awaitable[timedelta | None]], runs: int) -> None:
    """Let the queue work until there were so many runs, and a moment longer to see whether there is one more."""
    done, count = asyncio.Event(), 0

    async def counted(key: str) -> timedelta | None:
        nonlocal count
        try:
            return await run(key)
        finally:
            count += 1
            if count >= runs:
                done.set()

    task = asyncio.create_task(queue.work(counted, workers=3))
    async with asyncio.timeout(10):
        await done.wait()
    await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.wait({task})


async def _equal_keys_run_once() -> list[str]:
    queue, ran = Queue[str](), list[str]()

    async def run(key: str) -> None:
        ran.append(key)

    for key in ("a", "b", "a", "a"):
        queue.add(key)
    await work(queue, run, 2)
    return ran


def test_equal_keys_run_once() -> None:
    assert asyncio.run(_equal_keys_run_once()) == ["a", "b"]


async def _added_while_running() -> tuple[int, int]:
    queue, running, most, runs = Queue[str](), 0, 0, 0

    async def run(key: str) -> None:
        nonlocal running, most, runs
        running, runs = running + 1, runs + 1
        most = max(most, running)
        if runs == 1:
            queue.add(key)
            queue.add(key)
        await asyncio.sleep(0.01)
        running -= 1

    queue.add("a")
    await work(queue, run, 2)
    return runs, most


def test_a_key_added_while_it_runs_runs_once_more_and_never_beside_itself() -> None:
    assert asyncio.run(_added_while_running()) == (2, 1)


async def _runs_until_it_succeeds(error: Exception) -> int:
    queue, runs = Queue[str](), 0

    async def run(_: str) -> None:
        nonlocal runs
        runs += 1
        if runs < 3:
            raise error

    queue.add("a")
    await work(queue, run, 3)
    return runs


@pytest.mark.parametrize("error", [TryAgainError("conflict"), KeyError("a bug")])
def test_a_failed_key_is_run_again_and_a_bug_ends_no_worker(error: Exception) -> None:
    assert asyncio.run(_runs_until_it_succeeds(error)) == 3


async def _asks_to_be_woken() -> int:
    queue, runs = Queue[str](), 0

    async def run(_: str) -> timedelta | None:
        nonlocal runs
        runs += 1
        return timedelta(milliseconds=5) if runs < 3 else None

    queue.add("a")
    await work(queue, run, 3)
    return runs


def test_a_run_says_when_it_wants_to_be_run_again() -> None:
    assert asyncio.run(_asks_to_be_woken()) == 3


async def _soonest_of_two_alarms() -> float:
    queue, ran = Queue[str](), list[float]()
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def run(_: str) -> None:
        ran.append(loop.time() - start)

    queue.add_after("a", timedelta(milliseconds=20))
    queue.add_after("a", timedelta(seconds=60))
    await work(queue, run, 1)
    return ran[0]


def test_the_soonest_of_several_alarms_rings() -> None:
    assert asyncio.run(_soonest_of_two_alarms()) < 5


def test_the_wait_doubles_up_to_a_limit_and_jitter_only_shortens_it() -> None:
    first, longest = timedelta(seconds=1), timedelta(seconds=30)
    waits = [backoff(n, first, longest, 0).total_seconds() for n in range(1, 8)]
    assert waits == [1, 2, 4, 8, 16, 30, 30]
    assert backoff(3, first, longest, 1).total_seconds() == 2
    assert backoff(1000, first, longest, 0) == longest
