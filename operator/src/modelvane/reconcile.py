"""observe -> decide -> apply: one run for one key, whatever woke it.

The order of the writes is what makes a crash between any two of them harmless: the traffic first, which only goes to
what was seen ready, then new things, then the status that remembers both, and only then is something taken away.
"""

import logging
import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ValidationError

from modelvane import manifests, metrics
from modelvane.decide import REFUSAL_RETRY, decide
from modelvane.kube import BUDGET, DEPLOYMENT, EVENT, MODEL_DEPLOYMENT, MODEL_REGISTRY, SERVICE, Kube, RefusedError
from modelvane.memory import Condition, Memory, format_time
from modelvane.names import ANNOTATION_APPLIED, API_VERSION, COMPONENT, CONDITION_READY, deployment_name
from modelvane.observe import explain_invalid, observe, read_memory
from modelvane.poller import Poller
from modelvane.queue import TryAgainError
from modelvane.spec import ModelDeploymentSpec, ModelRegistrySpec
from modelvane.state import Event, Hold, Key, Observed, Plan, Unreachable
from modelvane.status import Verdict, build_condition, build_invalid_status, build_status

REASON_SERVICE_REFUSED = "ServiceRefused"
REASON_DEPLOYMENT_REFUSED = "DeploymentRefused"
RESYNC = timedelta(minutes=10)
"""How often everything is looked at without a reason: the price of an event that was lost."""

logger = logging.getLogger(__name__)


class Reconciler:
    """Runs keys."""

    def __init__(self, kube: Kube, poller: Poller, serving_image: str, instance: str) -> None:
        self._kube = kube
        self._poller = poller
        self._serving_image = serving_image
        self._instance = instance

    async def run(self, key: Key) -> timedelta | None:
        """Bring one object's world to what it should be, and say when to look again."""
        started = time.monotonic()
        result = "error"
        try:
            run = self._run_deployment if key.kind == "ModelDeployment" else self._run_registry
            wake = await run(key)
            result = "success"
        except TryAgainError:
            result = "retry"
            raise
        except RefusedError as error:
            result = "refused"
            logger.warning("%s: the API server refuses: %s", key, error)
            return REFUSAL_RETRY
        finally:
            metrics.RECONCILES.labels(result).inc()
            metrics.RECONCILE_SECONDS.observe(time.monotonic() - started)
        return wake

    async def _run_deployment(self, key: Key) -> timedelta | None:
        resource = await self._kube.get(MODEL_DEPLOYMENT, key.namespace, key.name)
        if resource is None or resource["metadata"].get("deletionTimestamp"):
            self._poller.forget(key)
            return None
        now = datetime.now(UTC)
        try:
            spec = ModelDeploymentSpec.model_validate(resource["spec"])
        except ValidationError as error:
            memory, generation = read_memory(resource), resource["metadata"]["generation"]
            status = build_invalid_status(memory, generation, explain_invalid(error), now)
            await self._write_status(resource, memory, status)
            return RESYNC
        observed = await observe(self._kube, self._poller, key, resource, spec)
        plan = decide(observed, now)
        refusal = await self._apply(key, observed, plan)
        if refusal is not None and refusal.reason == REASON_SERVICE_REFUSED:
            # The traffic did not move, so nothing that depends on it has happened.
            plan = Plan(observed.memory)
        await self._write_status(resource, observed.memory, build_status(observed, plan, refusal, now))
        await self._tell(key, resource, observed.memory, plan)
        for workload in plan.delete:
            logger.info("%s: deleting %s, which serves no more", key, workload.name)
            await self._kube.delete(DEPLOYMENT, key.namespace, workload.name, workload.uid, workload.resource_version)
        waits = [wait for wait in (plan.wake_after, REFUSAL_RETRY if refusal else None) if wait is not None]
        return min([*waits, RESYNC * random.uniform(0.8, 1.2)])  # noqa: S311 - not a secret

    async def _apply(self, key: Key, o: Observed, plan: Plan) -> Hold | None:
        """Write the children. What the API server refuses stops nothing that is healthy; it is reported.

        The traffic comes first: it only ever goes to pods that were seen ready, and a Service that selects every
        revision must be narrowed before another revision is made.
        """
        try:
            await self._apply_service(key, o, plan)
            await self._apply_budget(o, plan)
        except RefusedError as error:
            logger.warning("%s: the Service is refused: %s", key, error)
            return Hold(REASON_SERVICE_REFUSED, str(error))
        refusal: Hold | None = None
        for revision, replicas in plan.create:
            if deployment_name(o.name, revision.name) in o.taken:
                continue
            manifest = manifests.build_deployment(o, revision, replicas, self._serving_image)
            try:
                await self._kube.apply(DEPLOYMENT, manifest)
            except RefusedError as error:
                refusal = Hold(REASON_DEPLOYMENT_REFUSED, f"the Deployment of version {revision.version}: {error}")
                logger.warning("%s: %s", key, refusal.message)
        for workload, replicas in plan.scale:
            logger.info("%s: scaling %s from %d to %d", key, workload.name, workload.replicas, replicas)
            await self._kube.scale(o.namespace, workload.name, workload.uid, replicas)
        return refusal

    async def _apply_service(self, key: Key, o: Observed, plan: Plan) -> None:
        traffic = plan.traffic or o.selected
        if traffic is None or o.service_taken is not None:
            return
        wanted = manifests.build_service(o, traffic)
        if manifests.differs(wanted, o.live.service):
            if traffic != o.selected:
                logger.info("%s: traffic goes to %s", key, traffic.revision or "both revisions")
            await self._kube.apply(SERVICE, wanted)

    async def _apply_budget(self, o: Observed, plan: Plan) -> None:
        wanted, live = manifests.build_budget(o), o.live.budget
        if wanted is not None and plan.memory.stable is not None:
            if manifests.differs(wanted, live):
                await self._kube.apply(BUDGET, wanted)
        elif live is not None and ANNOTATION_APPLIED in (live["metadata"].get("annotations") or {}):
            metadata = live["metadata"]
            await self._kube.delete(BUDGET, o.namespace, o.name, metadata["uid"], metadata["resourceVersion"])

    async def _write_status(self, resource: dict[str, Any], before: Memory, status: dict[str, Any]) -> None:
        if status != before.dump():
            await self._kube.apply_status(MODEL_DEPLOYMENT, _with_status(resource, "ModelDeployment", status))

    async def _tell(self, key: Key, resource: dict[str, Any], before: Memory, plan: Plan) -> None:
        """Tell the story, once the status that it belongs to is written."""
        if plan.memory.history[:1] != before.history[:1] and plan.memory.history:
            metrics.ROLLOUTS.labels(plan.memory.history[0].outcome).inc()
        await self._post_events(key, resource, plan.events)

    async def _post_events(self, key: Key, resource: dict[str, Any], events: Sequence[Event]) -> None:
        for event in events:
            level = logging.WARNING if event.type == "Warning" else logging.INFO
            logger.log(level, "%s: %s: %s", key, event.reason, event.message)
            try:
                await self._kube.post(EVENT, key.namespace, _event(key, resource, event, self._instance))
            except (TryAgainError, RefusedError) as error:
                logger.warning("%s: the event %s is lost: %s", key, event.reason, error)

    async def _run_registry(self, key: Key) -> timedelta | None:
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
        await self._write_registry_status(key, resource)
        return RESYNC

    async def _write_registry_status(self, key: Key, resource: dict[str, Any]) -> None:
        """Write what is known about a registry, when more than the time of the last poll has changed."""
        health, models = self._poller.health(key)
        if health.polled_at is None and health.failure is None:
            return
        now, generation = datetime.now(UTC), resource["metadata"]["generation"]
        before = resource.get("status") or {}
        known = next((Condition.model_validate(c) for c in before.get("conditions") or ()), None)
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
        await self._kube.apply_status(MODEL_REGISTRY, _with_status(resource, "ModelRegistry", status))
        if known is None or known.status != verdict[0]:
            await self._post_events(key, resource, [_registry_event(health.failure, resource["spec"]["uri"])])


def _registry_event(failure: Unreachable | None, uri: str) -> Event:
    if failure is None:
        return Event("RegistryReachable", f"{uri} answers")
    return Event("RegistryUnreachable", failure.message, "Warning")


def _with_status(resource: dict[str, Any], kind: str, status: dict[str, Any]) -> dict[str, Any]:
    """Wrap a status for writing. The version makes it a write about what was seen, or none at all."""
    metadata = {name: resource["metadata"][name] for name in ("name", "namespace", "uid", "resourceVersion")}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "status": status}


def _event(key: Key, resource: dict[str, Any], event: Event, instance: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{key.name}.", "namespace": key.namespace},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": key.kind,
            "name": key.name,
            "namespace": key.namespace,
            "uid": resource["metadata"]["uid"],
            "resourceVersion": resource["metadata"]["resourceVersion"],
        },
        "type": event.type,
        "reason": event.reason,
        "action": event.reason,
        "message": event.message[:1024],
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "reportingInstance": instance[:128],
        "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "firstTimestamp": format_time(now),
        "lastTimestamp": format_time(now),
        "count": 1,
    }
