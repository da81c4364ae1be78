"""Keeps a webhook registered in MLflow for each ModelRegistry that wants one, and knows the secrets it signs with.

Nothing here can fail polling: each registry has a task of its own, and what goes wrong becomes the condition
`WebhookRegistered`.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from modelvane.cluster.kube import Kube
from modelvane.engine.state import Key
from modelvane.engine.status import Verdict
from modelvane.registry.access import read_access, read_secret
from modelvane.registry.deliveries import path_of
from modelvane.registry.subscription import RefusedError, Subscription, Wanted, Written
from modelvane.registry.trouble import UnreachableError
from modelvane.registry.worker import Worker
from modelvane.spec import ModelRegistrySpec

RENEW = timedelta(minutes=1)
"""How often the webhook is looked at in MLflow, and its Secret in the cluster."""
AGAIN = timedelta(seconds=15)
"""How long after a failure."""
READ_AGAIN = timedelta(seconds=5)
"""How often somebody who sends what is not authentic may have the Secret read."""
EVENT_NEWS = timedelta(minutes=1)
"""How often the time of the last event is worth a write to the API server."""
REMOVALS = 5

T = TypeVar("T")
_Place = tuple[str, str, str | None]
"""Where a webhook is: the uid in its name, the MLflow server, the workspace there."""

logger = logging.getLogger(__name__)


@dataclass
class _Entry:
    """One registry that has a webhook."""

    key: Key
    uid: str
    spec: ModelRegistrySpec
    secrets: tuple[str, ...] = ()
    read_at: datetime | None = None
    verdict: Verdict | None = None
    event_at: datetime | None = None
    written: Written | None = None
    kicked: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Registrar:
    """Registers webhooks, and answers which secrets are right."""

    def __init__(
        self,
        kube: Kube,
        wake: Callable[[Key], None],
        kick: Callable[[Key], None],
        base_url: str | None,
        renew: timedelta = RENEW,
    ) -> None:
        self._kube = kube
        self._wake = wake
        self._kick = kick
        self._base_url = base_url
        self._renew_every = renew
        self._entries: dict[Key, _Entry] = {}
        self._removals: dict[_Place, asyncio.Task[None]] = {}
        self._workers: dict[Key, Worker] = {}

    def set_registry(self, key: Key, uid: str, spec: ModelRegistrySpec | None, was_registered: bool = False) -> None:
        """Keep a webhook for a registry as its spec says now, or take it away when it is not wanted, or not there."""
        known = self._entries.get(key)
        wanted = spec if spec is not None and spec.webhook.enabled else None
        if known is not None:
            if (known.uid, known.spec) == (uid, wanted):
                return
            if known.task is not None:
                known.task.cancel()
            self._entries.pop(key)
            if wanted is None or _place(known.uid, known.spec) != _place(uid, wanted):
                self._remove_later(key, known.uid, known.spec)
        elif wanted is None and spec is not None and was_registered:
            self._remove_later(key, uid, spec)
        if wanted is not None:
            if removal := self._removals.pop(_place(uid, wanted), None):
                removal.cancel()
            entry = _Entry(key, uid, wanted)
            if known is not None:
                entry.secrets, entry.event_at, entry.verdict = known.secrets, known.event_at, known.verdict
            entry.task = asyncio.create_task(self._keep(entry), name=f"webhook {key}")
            self._entries[key] = entry

    def verdict(self, key: Key) -> Verdict | None:
        """Return what is to be said about the webhook of a registry; None when there is nothing, or nothing yet."""
        entry = self._entries.get(key)
        return entry.verdict if entry else None

    def last_event(self, key: Key) -> datetime | None:
        """Return when a registry last told of something, to the minute."""
        entry = self._entries.get(key)
        return entry.event_at if entry else None

    def secrets(self, key: Key) -> tuple[str, ...] | None:
        """Return the secrets of a registry; None when it has no webhook."""
        entry = self._entries.get(key)
        return entry.secrets if entry else None

    async def read_secrets_again(self, key: Key) -> tuple[str, ...]:
        """Return them as they are now, for they may just have been changed; the old ones to whoever asks too often."""
        entry = self._entries.get(key)
        if entry is None:
            return ()
        if entry.read_at is None or datetime.now(UTC) - entry.read_at > READ_AGAIN:
            before = entry.secrets
            try:
                await self._read_secrets(entry)
            except (UnreachableError, RefusedError) as error:
                logger.debug("%s: %s", key, error)
            if entry.secrets != before:
                entry.kicked.set()  # MLflow is to sign with the new one, too.
        return entry.secrets

    def delivered(self, key: Key) -> None:
        """Have a registry read at once, for it says that something happened."""
        self._kick(key)
        entry, now = self._entries.get(key), datetime.now(UTC)
        if entry is not None and (entry.event_at is None or now - entry.event_at >= EVENT_NEWS):
            entry.event_at = now
            self._wake(key)

    def stop(self) -> None:
        """Stop keeping webhooks; those that are registered stay."""
        for task in (*(entry.task for entry in self._entries.values()), *self._removals.values()):
            if task is not None:
                task.cancel()

    async def _keep(self, entry: _Entry) -> None:
        while True:
            entry.kicked.clear()
            wait = AGAIN
            verdict = entry.verdict
            try:
                verdict, wait = await self._renew(entry), self._renew_every
            except RefusedError as error:
                verdict = ("False", error.reason, error.message)
            except UnreachableError as error:
                # A registry that is down still has the webhook. Only what was never known becomes unknown.
                if entry.written is None:
                    verdict = ("Unknown", error.why.reason, error.why.message)
            except Exception:
                logger.exception("%s: unexpected error about the webhook", entry.key)
                verdict = ("Unknown", "UnexpectedError", "see the log of the operator")
            if verdict is not None and verdict != entry.verdict:
                entry.verdict = verdict
                logger.log(logging.INFO if verdict[0] == "True" else logging.WARNING, "%s: %s", entry.key, verdict[2])
                self._wake(entry.key)
            try:
                async with asyncio.timeout(wait.total_seconds()):
                    await entry.kicked.wait()
            except TimeoutError:
                continue

    async def _renew(self, entry: _Entry) -> Verdict:
        """Have MLflow's webhook be as it should be."""
        await self._read_secrets(entry)
        webhook = entry.spec.webhook
        if self._base_url is None:
            raise RefusedError(
                "NoReceiver", "this operator takes no webhooks: install charts/modelvane with webhook.enabled=true"
            )
        url = (webhook.url or self._base_url).rstrip("/") + path_of(entry.key)
        description = f"Tells Modelvane of changes: ModelRegistry {entry.key.namespace}/{entry.key.name}"
        wanted = Wanted(entry.uid, url, entry.secrets[0], description)
        access = await read_access(self._kube, entry.key, entry.spec)
        entry.written = await self._in_turn(entry.key, access.uri, Subscription(access).ensure, wanted, entry.written)
        return "True", "Registered", f"MLflow tells of changes at {url}"

    async def _read_secrets(self, entry: _Entry) -> None:
        """Read the secrets. A Secret that is gone takes its secrets with it; one that cannot be read now does not."""
        reference = entry.spec.webhook.secret_ref
        if reference is None:
            raise RefusedError("SecretMissing", "spec.webhook.secretRef names no Secret")
        entry.read_at = datetime.now(UTC)
        try:
            data = await read_secret(self._kube, entry.key, reference.name)
        except UnreachableError as error:
            if error.why.reason == "SecretMissing":
                entry.secrets = ()
                raise RefusedError(error.why.reason, error.why.message) from None
            raise
        if not data.get("secret"):
            entry.secrets = ()
            where = f"Secret {entry.key.namespace}/{reference.name}"
            raise RefusedError(
                "SecretInvalid", f"{where} has no key `secret`, or an empty one: put a random text there"
            )
        entry.secrets = tuple(filter(None, (data["secret"], data.get("previousSecret"))))

    async def _in_turn(self, key: Key, uri: str, call: Callable[..., T], *arguments: object) -> T:
        """Call MLflow from the thread of a registry: a call that nobody waits for any more may still be at it."""
        if key not in self._workers:
            self._workers[key] = Worker(f"{key.namespace}/{key.name} webhook")
        return await self._workers[key].call(uri, call, *arguments)

    def _remove_later(self, key: Key, uid: str, spec: ModelRegistrySpec) -> None:
        task = asyncio.create_task(self._remove(key, uid, spec), name=f"remove webhook {key}")
        place = _place(uid, spec)
        self._removals[place] = task

        def forget(ended: asyncio.Task[None]) -> None:
            if self._removals.get(place) is ended:
                del self._removals[place]
            if key not in self._entries and (worker := self._workers.pop(key, None)):
                worker.close()

        task.add_done_callback(forget)

    async def _remove(self, key: Key, uid: str, spec: ModelRegistrySpec) -> None:
        """Take the webhook away, if that can be done soon. One that stays is answered 401 and harms nobody."""
        for left in reversed(range(REMOVALS)):
            try:
                access = await read_access(self._kube, key, spec)
                await self._in_turn(key, spec.uri, Subscription(access).remove, uid)
            except (UnreachableError, RefusedError) as error:
                if left:
                    await asyncio.sleep(AGAIN.total_seconds())
                else:
                    logger.warning("%s: its webhook modelvane-%s stays in MLflow: %s", key, uid, error)
            else:
                logger.info("%s: its webhook is removed from MLflow", key)
                return


def _place(uid: str, spec: ModelRegistrySpec) -> _Place:
    return uid, spec.uri, spec.workspace
