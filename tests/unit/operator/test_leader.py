"""A leader that can no longer renew its Lease stops before another one may take it. The clock is the test's."""

import asyncio
import selectors
from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes.aio import client
from kubernetes.aio.client import ApiClient, ApiException, V1Lease, V1LeaseSpec
from modelvane.cluster.leader import CALL_TIMEOUT, LEASE_SECONDS, LostLeadershipError, lead

LATE = CALL_TIMEOUT - 0.01
NEVER = 1000.0


class Clock(selectors.DefaultSelector):
    """Time that passes at once as soon as there is nothing to do but wait."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += timeout or 0
        return super().select(0)


class Server:
    """An API server that takes a number of writes of the Lease and then is away."""

    def __init__(self, clock: Clock, writes: int, reading: float, writing: float) -> None:
        self.clock = clock
        self.left = writes
        self.reading, self.writing = reading, writing
        self.renewed_at = 0.0

    async def read_namespaced_lease(self, *_: object) -> V1Lease:
        await asyncio.sleep(0 if self.left else self.reading)
        return V1Lease(spec=V1LeaseSpec())

    async def replace_namespaced_lease(self, *_: object) -> None:
        if not self.left:
            await asyncio.sleep(self.writing)
            raise ApiException(status=503)
        self.left -= 1
        self.renewed_at = self.clock.now
        await asyncio.sleep(0 if self.left else LATE)  # The last answer comes late.


@pytest.mark.parametrize("reading", [0, 0.7, LATE, NEVER])
@pytest.mark.parametrize("writing", [0, 0.7, LATE, NEVER])
@pytest.mark.parametrize("writes", [1, 2, 5])
def test_a_leader_stops_before_its_lease_ends(
    writes: int, reading: float, writing: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    server = Server(clock, writes, reading, writing)
    stopped: list[float] = []

    async def act() -> None:
        try:
            await asyncio.sleep(NEVER)
        finally:
            stopped.append(clock.now)

    def api(**_: Any) -> Server:
        return server

    async def run() -> None:
        async with ApiClient() as nobody:
            await lead(nobody, "lease", "ns", "me", act)

    monkeypatch.setattr(client, "CoordinationV1Api", api)
    wall = SimpleNamespace(time=lambda: 1_790_000_000 + clock.now)
    monkeypatch.setattr("kubernetes.aio.leaderelection.leaderelection.time", wall)
    loop = asyncio.SelectorEventLoop(clock)
    monkeypatch.setattr(loop, "time", lambda: clock.now)
    with pytest.raises(LostLeadershipError):
        loop.run_until_complete(run())
    loop.close()
    assert server.renewed_at < stopped[0] < server.renewed_at + LEASE_SECONDS
