"""No thread that hangs holds up the next call, and no more than so many hang."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
from modelvane.registry import worker
from modelvane.registry.trouble import UnreachableError
from modelvane.registry.worker import Worker

URI = "http://mlflow:5000"


@pytest.fixture
def drips(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Return what a call waits for that does not end by itself."""
    monkeypatch.setattr(worker, "CALL_TIMEOUT", 0.05)
    end = threading.Event()
    yield end
    end.set()


def test_the_call_after_one_that_hangs_is_made_by_another_thread(drips: threading.Event) -> None:
    async def run() -> None:
        one = Worker("ns/default")
        with pytest.raises(UnreachableError, match="gives no whole answer"):
            await one.call(URI, drips.wait, 10)
        assert await one.call(URI, str, 5) == "5"
        one.close()

    asyncio.run(run())


def test_so_many_are_left_behind_and_no_more(drips: threading.Event) -> None:
    async def run() -> None:
        one, begun = Worker("ns/default"), threading.Semaphore(0)

        def hang() -> None:
            begun.release()
            drips.wait(10)

        for _ in range(worker.MOST_LEFT_BEHIND + 3):
            with pytest.raises(UnreachableError):
                await one.call(URI, hang)
        assert begun._value == worker.MOST_LEFT_BEHIND
        drips.set()
        assert await one.call(URI, str, 5) == "5"
        one.close()

    asyncio.run(run())


def test_a_call_waits_for_one_that_was_given_up(drips: threading.Event) -> None:
    async def run() -> None:
        one = Worker("ns/default")
        given_up = asyncio.create_task(one.call(URI, drips.wait, 10))
        await asyncio.sleep(0.01)
        given_up.cancel()
        next_one = asyncio.create_task(one.call(URI, drips.is_set))
        await asyncio.sleep(0.01)
        drips.set()
        assert await next_one
        one.close()

    asyncio.run(run())
