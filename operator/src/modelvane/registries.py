"""One run for one ModelRegistry: polled as its spec says, and its status says what is known about it."""

import logging
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ValidationError

from modelvane.cluster.events import post_events
from modelvane.cluster.kube import MODEL_REGISTRY, Kube
from modelvane.cluster.observe import explain_invalid
from modelvane.engine.memory import Condition, format_time
from modelvane.engine.state import Event, Key
from modelvane.engine.status import Verdict, build_condition, with_status
from modelvane.names import CONDITION_READY, CONDITION_WEBHOOK
from modelvane.registry.poller import Poller
from modelvane.registry.registrar import Registrar
from modelvane.spec import ModelRegistrySpec, Webhook

RESYNC = timedelta(minutes=10)
"""How often a resource is looked at without a reason: the price of an event that was lost."""

logger = logging.getLogger(__name__)


class RegistryReconciler:
    """Runs the keys of ModelRegistries."""

    def __init__(self, kube: Kube, poller: Poller, registrar: Registrar, instance: str) -> None:
        self._kube = kube
        self._poller = poller
        self._registrar = registrar
        self._instance = instance

    async def run(self, key: Key) -> timedelta | None:
        """Poll a registry as it is wanted now, and say when to look again."""
        resource = await self._kube.get(MODEL_REGISTRY, key.namespace, key.name)
        if resource is None or resource["metadata"].get("deletionTimestamp"):
            self._set(key, "", None)
            return None
        uid, status = resource["metadata"]["uid"], resource.get("status") or {}
        try:
            spec = ModelRegistrySpec.model_validate(resource["spec"])
        except ValidationError as error:
            self._set(key, uid, None)
            logger.warning("%s: %s", key, explain_invalid(error))
            return RESYNC
        self._set(key, uid, spec, was_registered=_known(status, CONDITION_WEBHOOK) is not None)
        await self._write_status(key, resource)
        return RESYNC * random.uniform(0.8, 1.2)  # noqa: S311 - not a secret

    def _set(self, key: Key, uid: str, spec: ModelRegistrySpec | None, was_registered: bool = False) -> None:
        # A webhook is no reason to begin polling anew.
        self._poller.set_registry(key, spec.model_copy(update={"webhook": Webhook()}) if spec else None)
        self._registrar.set_registry(key, uid, spec, was_registered)

    async def _write_status(self, key: Key, resource: dict[str, Any]) -> None:
        """Write what is known about a registry, when more than the time of the last poll has changed."""
        health, models = self._poller.health(key)
        if health.polled_at is None and health.failure is None:
            return
        now, generation = datetime.now(UTC), resource["metadata"]["generation"]
        before = resource.get("status") or {}
        verdict: Verdict = ("True", "Reachable", f"{resource['spec']['uri']} answers")
        if health.failure is not None:
            verdict = ("False", health.failure.reason, health.failure.message)
        conditions = [build_condition(_known(before, CONDITION_READY), CONDITION_READY, verdict, generation, now)]
        conditions += self._webhook_condition(key, resource, now)
        last_event = self._registrar.last_event(key)
        status = {
            "conditions": [c.model_dump(mode="json", by_alias=True, exclude_none=True) for c in conditions],
            "models": models,
            "observedGeneration": generation,
            **({"serverVersion": health.server_version} if health.server_version else {}),
            **({"lastEventTime": before["lastEventTime"]} if "lastEventTime" in before else {}),
            **({"lastEventTime": format_time(last_event)} if last_event else {}),
        }
        if status == {name: value for name, value in before.items() if name != "lastPollTime"}:
            return
        if health.polled_at is not None:
            status["lastPollTime"] = format_time(health.polled_at)
        await self._kube.apply_status(MODEL_REGISTRY, with_status(resource, "ModelRegistry", status))
        news = [c for c in conditions if _is_news(_known(before, c.type), c)]
        await post_events(self._kube, key, resource, [_event(condition) for condition in news], self._instance)

    def _webhook_condition(self, key: Key, resource: dict[str, Any], now: datetime) -> list[Condition]:
        """Say how the webhook is: as it was, as long as nothing else is known after a start."""
        if not (resource["spec"].get("webhook") or {}).get("enabled"):
            return []
        before = _known(resource.get("status") or {}, CONDITION_WEBHOOK)
        verdict = self._registrar.verdict(key)
        if verdict is None:
            return [before] if before else []
        return [build_condition(before, CONDITION_WEBHOOK, verdict, resource["metadata"]["generation"], now)]


def _known(status: Mapping[str, Any], kind: str) -> Condition | None:
    """Find a condition as it was last written."""
    written = (Condition.model_validate(condition) for condition in status.get("conditions") or ())
    return next((condition for condition in written if condition.type == kind), None)


def _is_news(before: Condition | None, now: Condition) -> bool:
    return now.status != "Unknown" and (before is None or before.status != now.status)


def _event(condition: Condition) -> Event:
    good = condition.status == "True"
    names = {CONDITION_READY: "Registry" + ("Reachable" if good else "Unreachable")}
    reason = names.get(condition.type, "Webhook" + ("Registered" if good else "NotRegistered"))
    return Event(reason, condition.message, "Normal" if good else "Warning")
