"""Leadership by a Lease: of several replicas one acts. Who loses it stops the process, so it never acts twice.

The Lease is made by the chart: the client's own creation of one is refused by its own validation.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from kubernetes.aio.client import ApiClient, ApiException, V1Lease
from kubernetes.aio.leaderelection.electionconfig import Config
from kubernetes.aio.leaderelection.leaderelection import LeaderElection
from kubernetes.aio.leaderelection.leaderelectionrecord import LeaderElectionRecord
from kubernetes.aio.leaderelection.resourcelock.leaselock import LeaseLock

LEASE_SECONDS = 15
RENEW_SECONDS = 6
RETRY_SECONDS = 2
CALL_TIMEOUT = 1.5
"""No call may hang for long: this replica has to stop before the Lease ends, for then another one leads.

At worst it stops 14.5 s after the last renewal: that one's answer comes late (1 call), it waits (1 retry), renews in
vain until it begins a last try (6 s and 2 calls), and waits again (1 retry).
"""

logger = logging.getLogger(__name__)


class LostLeadershipError(Exception):
    """Another replica leads now, or nobody can tell."""


class _Lock(LeaseLock):
    """A LeaseLock that takes a broken connection for what it is: one failed try."""

    async def get(self, name: str, namespace: str) -> Any:
        try:
            async with asyncio.timeout(CALL_TIMEOUT):
                return await super().get(name, namespace)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return False, ApiException(status=0, reason=f"{type(error).__name__} {error}")

    async def update(self, name: str, namespace: str, updated_record: LeaderElectionRecord) -> bool:
        lease = self.lease_reference
        if lease is None:
            return False
        lease.spec = self.update_lease(updated_record, lease.spec)
        return await self._replace(lease)

    async def release(self) -> None:
        """Let go of the Lease, so that another replica need not wait until it runs out."""
        held, record = await self.get(self.name, self.namespace)
        lease = self.lease_reference
        if held and lease and lease.spec and record and record.holder_identity == self.identity:
            lease.spec.holder_identity = ""
            await self._replace(lease)

    async def _replace(self, lease: V1Lease) -> bool:
        try:
            async with asyncio.timeout(CALL_TIMEOUT):
                await self.api_instance.replace_namespaced_lease(self.name, self.namespace, lease)
        except (ApiException, aiohttp.ClientError, TimeoutError, OSError) as error:
            logger.debug("the Lease was not renewed: %s", error)
            return False
        return True


async def lead(client: ApiClient, name: str, namespace: str, identity: str, act: Callable[[], Awaitable[None]]) -> None:
    """Wait until this replica leads, then act; raise when leadership is lost, return when the act ends."""
    lock = _Lock(name, namespace, identity, client)
    leading = asyncio.Event()

    async def started() -> None:
        leading.set()

    async def stopped() -> None:
        leading.clear()

    config = Config(lock, LEASE_SECONDS, RENEW_SECONDS, RETRY_SECONDS, started, stopped)
    election = asyncio.create_task(LeaderElection(config).run(), name="leader election")
    acting: asyncio.Future[None] | None = None
    try:
        waiting = asyncio.create_task(leading.wait())
        await asyncio.wait({election, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not election.done():
            logger.info("%s leads", identity)
            acting = asyncio.ensure_future(act())
            await asyncio.wait({election, acting}, return_when=asyncio.FIRST_COMPLETED)
            if acting.done():
                return acting.result()
        raise LostLeadershipError(f"{identity} no longer leads")
    finally:
        for task in (acting, election):
            if task is not None and not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=CALL_TIMEOUT)
        if leading.is_set():
            await lock.release()
