"""Replaying an input example, while its revision changes."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from modelvane.analysis import replay
from modelvane.analysis.pods import Answer, Pods
from modelvane.analysis.replay import Replay
from modelvane.engine.state import Key, Pod, Workload

from tests.unit.operator.builder import NOW, workload

KEY, SECOND = Key("ModelDeployment", "ns", "iris"), timedelta(seconds=1)
READY = replace(workload("2"), pods=(Pod("p", ready_since=NOW, ip="127.0.0.1"),))
GONE = replace(READY, pods=())


class Fetching(Pods):
    """Pods whose input example comes when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.comes, self.sent = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.examples = 0

    async def get(self, pod: Pod, path: str, within: float) -> Answer:
        self.asked.set()
        self.examples += 1
        await self.comes.wait()
        return Answer(200, b"{}")

    async def predict(self, pod: Pod, body: bytes, within: float) -> Answer:
        self.sent.set()
        return Answer(200, b"1")


@pytest.mark.parametrize(("then", "missing"), [(GONE, 10), (READY, 0)], ids=["its pods", "the need"])
def test_what_goes_while_the_example_is_fetched_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, then: Workload, missing: int
) -> None:
    monkeypatch.setattr(replay, "RETRY", 0.01)

    async def story() -> None:
        pods = Fetching()
        sender = Replay(pods)
        sender.renew(KEY, READY, 10, SECOND)
        await pods.asked.wait()
        sender.renew(KEY, then, missing, SECOND)
        pods.comes.set()
        await asyncio.sleep(0.05)
        assert not pods.sent.is_set()
        sender.renew(KEY, READY, 10, SECOND)
        await pods.sent.wait()
        sender.forget(KEY)
        assert pods.examples == 1  # It waited, and did not have to begin anew.

    asyncio.run(asyncio.wait_for(story(), 10))
