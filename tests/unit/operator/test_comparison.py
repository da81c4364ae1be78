"""Letting two revisions answer the same inputs: what is too much for the operator, and what is nothing."""

import asyncio
import threading
import time
from dataclasses import replace

import pytest
from aiohttp import web
from modelvane.analysis import comparison
from modelvane.analysis.comparison import compare_revisions
from modelvane.analysis.figures import Comparison
from modelvane.analysis.pods import LONGEST_PREDICTION, Answer, Pods
from modelvane.engine.state import Pod, Workload

from tests.unit.operator.builder import NOW, workload


class Echo(Pods):
    """Pods that answer what they are asked."""

    async def predict(self, pod: Pod, body: bytes, within: float) -> Answer:
        return Answer(200, body)


def reachable(version: str) -> Workload:
    return replace(workload(version), pods=(Pod("p", ready_since=NOW, ip="127.0.0.1"),))


async def compare(pods: Pods, *inputs: bytes) -> Comparison:
    return await compare_revisions(pods, reachable("2"), reachable("1"), inputs, tolerance=0)


def test_recorded_inputs_without_a_line_are_said_to_be_empty() -> None:
    expected = "the ConfigMap that analysis.predictions names is empty, expected an input on each line"
    assert asyncio.run(compare(Echo())) == Comparison(0, 0, trouble=expected)


def test_answers_are_read_one_at_a_time_whatever_the_number_of_rollouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read as JSON they are many times as large."""
    reading = threading.Lock()

    def read(candidate: bytes, stable: bytes, tolerance: float) -> Comparison:
        assert reading.acquire(blocking=False), "two are read at once"
        time.sleep(0.005)
        reading.release()
        return Comparison(1, 0)

    monkeypatch.setattr(comparison, "compare_answers", read)

    async def rollouts() -> list[Comparison]:
        return await asyncio.gather(*(compare(Echo(), *[b"1"] * 5) for _ in range(3)))

    assert asyncio.run(rollouts()) == [Comparison(5, 0)] * 3


def test_an_answer_that_is_too_long_is_trouble_and_no_difference() -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(text="1".ljust(int(await request.read())))

    async def story() -> Comparison:
        app = web.Application()
        app.router.add_post("/invocations", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        pods = Pods(runner.addresses[0][1])
        try:
            return await compare(pods, b"%d" % LONGEST_PREDICTION, b"%d" % (LONGEST_PREDICTION + 1))
        finally:
            await pods.close()
            await runner.cleanup()

    assert asyncio.run(story()) == Comparison(1, 0, trouble="input 2: an answer of more than 2 MiB")
