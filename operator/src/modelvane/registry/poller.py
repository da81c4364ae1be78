"""One task for each ModelRegistry: one search a tick answers all its ModelDeployments and wakes those that moved.

What happened to versions is written back by the same task, after a reading that went well. Each registry has a thread
of its own, because MLflow's client is synchronous: a registry that hangs holds up nothing but itself. The cache here is
all that `observe` ever asks.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from modelvane import metrics
from modelvane.cluster.kube import Kube
from modelvane.engine.state import Key, Resolution, Unreachable, Unread
from modelvane.queue import backoff
from modelvane.registry.access import read_access
from modelvane.registry.outbox import Outbox, Receipt
from modelvane.registry.reader import Access, Reader
from modelvane.registry.trouble import UnreachableError
from modelvane.registry.worker import Worker
from modelvane.registry.writeback import Note
from modelvane.spec import ModelPointer, ModelRegistrySpec

LONGEST_BACKOFF = timedelta(seconds=30)
CREDENTIALS_FOR = timedelta(minutes=1)
"""How long credentials are used before the Secret is read again; after a failure it is read at once."""
LOOK_FOR_CREDENTIALS = timedelta(seconds=2)
"""How often to look, while a registry fails, whether someone has mended the Secret: that ends the wait."""
FAILURES_BEFORE_NEWS = 2
"""One lost answer is no news: it would be written into the status of every ModelDeployment, and out again."""

logger = logging.getLogger(__name__)


@dataclass
class Health:
    """What is known about one registry."""

    failure: Unreachable | None = None
    polled_at: datetime | None = None
    server_version: str | None = None


@dataclass
class _Registry:
    """One registry that is being polled."""

    key: Key
    spec: ModelRegistrySpec
    health: Health = field(default_factory=Health)
    followers: dict[Key, ModelPointer] = field(default_factory=dict)
    known: dict[ModelPointer, Resolution] = field(default_factory=dict)
    kicked: asyncio.Event = field(default_factory=asyncio.Event)
    outbox: Outbox = field(default_factory=Outbox)
    task: asyncio.Task[None] | None = None

    def resolution(self, pointer: ModelPointer) -> Resolution:
        return self.health.failure or self.known.get(pointer, Unread())


class Poller:
    """Polls every registry and answers from what it has read."""

    def __init__(self, kube: Kube, wake: Callable[[Key], None], reader: Callable[[Access], Reader] = Reader) -> None:
        self._kube = kube
        self._wake = wake
        self._reader = reader
        self._registries: dict[Key, _Registry] = {}
        self._followed: dict[Key, tuple[Key, ModelPointer]] = {}

    def set_registry(self, key: Key, spec: ModelRegistrySpec | None) -> None:
        """Poll a registry as its spec says now, or no more when it is gone."""
        known = self._registries.get(key)
        if known is not None and known.spec == spec:
            return
        if known is not None and known.task is not None:
            known.task.cancel()
            self._registries.pop(key)
        if spec is None:
            _forget_figures(_name(key))
        else:
            followers = {who: pointer for who, (where, pointer) in self._followed.items() if where == key}
            started = _Registry(key, spec, followers=followers)
            started.task = asyncio.create_task(self._poll(started), name=f"poll {key}")
            self._registries[key] = started
        for who, (where, _) in self._followed.items():
            if where == key:
                self._wake(who)

    def follow(self, who: Key, where: Key, pointer: ModelPointer) -> tuple[Resolution, datetime | None]:
        """Answer where a pointer leads, and from now on wake its follower whenever that changes."""
        before = self._followed.get(who)
        if before is not None and before[0] != where:
            self.forget(who)
        self._followed[who] = (where, pointer)
        known = self._registries.get(where)
        if known is None:
            return Unread(), None
        if who not in known.followers:
            self._wake(where)  # Its status counts them.
        known.followers[who] = pointer
        if pointer not in known.known and known.health.failure is None:
            known.kicked.set()  # A registry that is down is left its time: who follows it runs often.
        return known.resolution(pointer), known.health.polled_at

    def forget(self, who: Key) -> None:
        """Stop following for a ModelDeployment that is gone."""
        where, _ = self._followed.pop(who, (None, None))
        if where in self._registries:
            self._registries[where].outbox.take_back(who)
            if self._registries[where].followers.pop(who, None) is not None:
                self._wake(where)

    def write_back(self, who: Key, where: Key, note: Note | None) -> Receipt:
        """Have a note written when the registry can take it, and say what became of it. The writer is woken then."""
        known = self._registries.get(where)
        if known is None:
            return Receipt()
        if note is None:
            known.outbox.take_back(who)
            return Receipt()
        receipt = known.outbox.put(who, note)
        if receipt is None and known.health.failure is None:
            known.kicked.set()
        return receipt or Receipt()

    def kick(self, key: Key) -> None:
        """Read a registry at once: it has said itself that something moved, so it is also worth asking again."""
        if key in self._registries:
            self._registries[key].kicked.set()

    def health(self, key: Key) -> tuple[Health, int]:
        """Return what is known about a registry and how many ModelDeployments it answers."""
        known = self._registries.get(key)
        return (known.health, len(known.followers)) if known else (Health(), 0)

    def stop(self) -> None:
        """Stop polling. A thread that still waits for a dead registry is left behind."""
        for known in self._registries.values():
            if known.task is not None:
                known.task.cancel()

    async def _poll(self, r: _Registry) -> None:
        name = _name(r.key)
        failures, access, reader, read_at = 0, None, None, datetime.min.replace(tzinfo=UTC)
        with closing(Worker(name)) as worker:
            while True:
                r.kicked.clear()
                is_new = False
                try:
                    if reader is None or datetime.now(UTC) - read_at > CREDENTIALS_FOR:
                        access, reader = None, None
                        access, read_at = await read_access(self._kube, r.key, r.spec), datetime.now(UTC)
                        reader, is_new = self._reader(access), True
                    await self._tick(r, reader, worker, is_new)
                except Exception as error:
                    failures, reader = failures + 1, None
                    metrics.REGISTRY_POLLS.labels(name, "failure").inc()
                    if failures >= FAILURES_BEFORE_NEWS or r.health.polled_at is None:
                        self._tell(r, Health(_why(r, error), r.health.polled_at, r.health.server_version), r.known)
                    longest = max(LONGEST_BACKOFF, r.spec.poll_interval)
                    delay = backoff(failures, r.spec.poll_interval, longest, random.random())  # noqa: S311 - no secret
                    await self._wait_for_a_cure(r, access, delay)
                else:
                    failures = 0
                    metrics.REGISTRY_POLLS.labels(name, "success").inc()
                    metrics.REGISTRY_LAST_SUCCESS.labels(name).set_to_current_time()
                    await self._deliver(r, reader, worker)
                    due = r.outbox.next_due(datetime.now(UTC))
                    await _wait(r.kicked, r.spec.poll_interval if due is None else min(due, r.spec.poll_interval))

    async def _tick(self, r: _Registry, reader: Reader, worker: Worker, is_new: bool) -> None:
        """Read once and tell the news. What a reading had no time for stays as it was and is read in the next one."""
        wanted = set(r.followers.values())
        read = await worker.call(r.spec.uri, reader.read, wanted, dict(r.known))
        left = wanted - read.keys()
        if left:
            r.kicked.set()
        known = {**read, **{pointer: r.known[pointer] for pointer in left if pointer in r.known}}
        # Asked once in the life of a reader: a server that never says it is not asked each time.
        server_version = await self._server_version(r, reader, worker) if is_new else r.health.server_version
        self._tell(r, Health(None, datetime.now(UTC), server_version), known)

    async def _server_version(self, r: _Registry, reader: Reader, worker: Worker) -> str | None:
        """Ask for the version of a server that was just read. It is for people: nothing depends on it."""
        try:
            return await worker.call(r.spec.uri, reader.server_version)
        except UnreachableError as error:
            logger.debug("%s: its version is not known: %s", r.key, error)
            return r.health.server_version

    def _tell(self, r: _Registry, health: Health, known: dict[ModelPointer, Resolution]) -> None:
        """Take over what was read and wake those for whom it is news."""
        before = {who: r.resolution(pointer) for who, pointer in r.followers.items()}
        is_news = (r.health.failure, r.health.server_version) != (health.failure, health.server_version)
        if is_news:
            level = logging.WARNING if health.failure else logging.INFO
            logger.log(level, "%s: %s", r.key, health.failure.message if health.failure else f"{r.spec.uri} answers")
            self._wake(r.key)
        r.health, r.known = health, known
        for who, pointer in r.followers.items():
            if before[who] != r.resolution(pointer):
                self._wake(who)

    async def _deliver(self, r: _Registry, reader: Reader, worker: Worker) -> None:
        """Write what waits to be written, for no longer than a poll may wait."""
        loop = asyncio.get_running_loop()
        end = loop.time() + r.spec.poll_interval.total_seconds()
        while loop.time() < end and (found := r.outbox.due(datetime.now(UTC))):
            who, note = found
            try:
                await worker.call(r.spec.uri, _write, reader, note)
                is_news = r.outbox.wrote(who, note)
            except Exception as error:
                why = _why(r, error)
                logger.info("%s: %s cannot be told yet what happened: %s", who, r.spec.uri, why.message)
                is_refused = why.reason == "Unauthorized"
                is_news = r.outbox.failed(who, note, datetime.now(UTC), _refusal(r, note) if is_refused else None)
                if not is_refused:
                    end = loop.time()  # Whatever it is, reading will tell.
            if is_news:
                self._wake(who)

    async def _wait_for_a_cure(self, r: _Registry, tried: Access | None, delay: timedelta) -> None:
        """Wait before a registry is tried again. Credentials that have changed since are worth a try at once."""
        loop = asyncio.get_running_loop()
        end = loop.time() + delay.total_seconds()
        has_any = r.spec.credentials_secret_ref is not None or r.spec.ca_bundle_ref is not None
        while (left := timedelta(seconds=end - loop.time())) > timedelta(0) and not r.kicked.is_set():
            await _wait(r.kicked, min(left, LOOK_FOR_CREDENTIALS) if has_any else left)
            if has_any and await self._read_or_none(r) not in (tried, None):
                return

    async def _read_or_none(self, r: _Registry) -> Access | None:
        try:
            return await read_access(self._kube, r.key, r.spec)
        except Exception as error:
            # Whatever it is, the next try will tell. Here it would end the polling.
            logger.debug("%s: its credentials cannot be read: %s", r.key, error)
            return None


def _name(key: Key) -> str:
    return f"{key.namespace}/{key.name}"


def _forget_figures(name: str) -> None:
    """Drop the series of a registry that is gone, or an alert on its last reading would go off for ever."""
    for result in ("success", "failure"):
        metrics.REGISTRY_POLLS.remove(name, result)
    metrics.REGISTRY_LAST_SUCCESS.remove(name)


def _write(reader: Reader, note: Note) -> None:
    for tag in note.tags:
        if not reader.set_tag(tag.model, tag.version, tag.key, tag.value):
            logger.info("version %s of model %s is gone: nothing is written about it", tag.version, tag.model)


def _why(r: _Registry, error: Exception) -> Unreachable:
    """Say what is wrong. A poller that ended would look like a registry in which nothing ever moves."""
    if isinstance(error, UnreachableError):
        return error.why
    logger.error("%s: unexpected error", r.key, exc_info=error)
    return Unreachable("InternalError", f"{r.spec.uri} is not read, because of an error that the operator's log shows")


def _refusal(r: _Registry, note: Note) -> str:
    models = ", ".join(sorted({tag.model for tag in note.tags}))
    return (
        f"{r.spec.uri} lets the operator's user read and not write, so the tags on model {models} are missing: "
        "grant it EDIT there, or set spec.writeBack to None"
    )


async def _wait(kicked: asyncio.Event, interval: timedelta) -> None:
    try:
        async with asyncio.timeout(interval.total_seconds()):
            await kicked.wait()
    except TimeoutError:
        return
