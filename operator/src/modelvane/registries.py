"""One run for one ModelRegistry: polled as its spec says, and its status says what is known about it."""

import logging
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ValidationError

from modelvane.events import post_events
from modelvane.kube import MODEL_REGISTRY, Kube
from modelvane.memory import Condition, format_time
from modelvane.names import CONDITION_READY
from modelvane.observe import explain_invalid
from modelvane.poller import Poller
from modelvane.spec import ModelRegistrySpec
from modelvane.state import Event, Key, Unreachable
from modelvane.status import Verdict, build_condition, with_status

RESYNC = timedelta(minutes=10)
"""How often a resource is looked at without a reason: the price of an event that was lost."""

logger = logging.getLogger(__name__)


class RegistryReconciler:
    """Runs the keys of ModelRegistries."""

    def __init__(self, kube: Kube, poller: Poller, instance: str) -> None:
        self._kube = kube
        self._poller = poller
        self._instance = instance

    async def run(self, key: Key) -> timedelta | None:
        """Poll a registry as it is wanted now, and say when to look again."""
        resource = await self._kube.get(MODEL_REGISTRY, key.namespace, key.name)
        if resource is None or resource["metadata"].get("deletionTimestamp"):
            self._poller.set_registry(key, None)
            return None
        try:
            self._poller.set_registry(key, ModelRegistrySpec.model_validate(resource["spec"]))
        except ValidationError as error:
            self._poller.set_registry(key, None)
            logger.warning("%s: %s", key, explain_invalid(error))
            return RESYNC
        await self._write_status(key, resource)
        return RESYNC * random.uniform(0.8, 1.2)  # noqa: S311 - not a secret

    async def _write_status(self, key: Key, resource: dict[str, Any]) -> None:
        """Write what is known about a registry, when more than the time of the last poll has changed."""
        health, models = self._poller.health(key)
        if health.polled_at is None and health.failure is None:
            return
        now, generation = datetime.now(UTC), resource["metadata"]["generation"]
        before = resource.get("status") or {}
        known = _known(before, CONDITION_READY)
        verdict: Verdict = ("True", "Reachable", f"{resource['spec']['uri']} answers")
        if health.failure is not None:
            verdict = ("False", health.failure.reason, health.failure.message)
        condition = build_condition(known, CONDITION_READY, verdict, generation, now)
        status = {
            "conditions": [condition.model_dump(mode="json", by_alias=True, exclude_none=True)],
            "models": models,
            "observedGeneration": generation,
            **({"serverVersion": health.server_version} if health.server_version else {}),
        }
        if status == {name: value for name, value in before.items() if name != "lastPollTime"}:
            return
        if health.polled_at is not None:
            status["lastPollTime"] = format_time(health.polled_at)
        await self._kube.apply_status(MODEL_REGISTRY, with_status(resource, "ModelRegistry", status))
        if known is None or known.status != verdict[0]:
            event = _event(health.failure, resource["spec"]["uri"])
            await post_events(self._kube, key, resource, [event], self._instance)


def _known(status: Mapping[str, Any], kind: str) -> Condition | None:
    """Find a condition as it was last written."""
    written = (Condition.model_validate(condition) for condition in status.get("conditions") or ())
    return next((condition for condition in written if condition.type == kind), None)


def _event(failure: Unreachable | None, uri: str) -> Event:
    if failure is None:
        return Event("RegistryReachable", f"{uri} answers")
    return Event("RegistryUnreachable", failure.message, "Warning")
