"""observe -> decide -> apply: one run for one key, whatever woke it.

The order of the writes is what makes a crash between any two of them harmless: the traffic first, which only goes to
what was seen ready, then new things, then the status that remembers both, and only then is something taken away.
"""

import logging
import random
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ValidationError

from modelvane import metrics
from modelvane.cluster import manifests
from modelvane.cluster.events import post_events
from modelvane.cluster.kube import BUDGET, DEPLOYMENT, MODEL_DEPLOYMENT, SERVICE, Kube, RefusedError
from modelvane.cluster.observe import Observer, explain_invalid, read_memory
from modelvane.cluster.routing import apply_routing
from modelvane.engine.decide import REFUSAL_RETRY, decide
from modelvane.engine.memory import Memory
from modelvane.engine.state import Event, Hold, Key, Observed, Plan
from modelvane.engine.status import build_invalid_status, build_status, with_status
from modelvane.engine.traffic import only_for_stable
from modelvane.names import ANNOTATION_APPLIED, deployment_name
from modelvane.queue import TryAgainError
from modelvane.registries import RESYNC, RegistryReconciler
from modelvane.registry.poller import Poller
from modelvane.registry.writeback import build_note
from modelvane.settings import Settings
from modelvane.spec import ModelDeploymentSpec

REASON_SERVICE_REFUSED = "ServiceRefused"
REASON_ROUTE_REFUSED = "RouteRefused"
REASON_DEPLOYMENT_REFUSED = "DeploymentRefused"
TRAFFIC_REFUSED = (REASON_SERVICE_REFUSED, REASON_ROUTE_REFUSED)

logger = logging.getLogger(__name__)


class Reconciler:
    """Runs keys."""

    def __init__(
        self, kube: Kube, observer: Observer, poller: Poller, registries: RegistryReconciler, settings: Settings
    ) -> None:
        self._kube = kube
        self._observer = observer
        self._poller = poller
        self._registries = registries
        self._settings = settings

    async def run(self, key: Key) -> timedelta | None:
        """Bring one object's world to what it should be, and say when to look again."""
        started = time.monotonic()
        result = "error"
        try:
            run = self._run_deployment if key.kind == "ModelDeployment" else self._registries.run
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
            self._observer.forget(key)
            return None
        now = datetime.now(UTC)
        try:
            spec = ModelDeploymentSpec.model_validate(resource["spec"])
        except ValidationError as error:
            memory, generation = read_memory(resource), resource["metadata"]["generation"]
            status = build_invalid_status(memory, generation, explain_invalid(error), now)
            await self._write_status(resource, memory, status)
            return RESYNC
        observed = await self._observer.observe(key, resource, spec, now)
        plan = self._write_back(key, observed, decide(observed, now))
        refusal = await self._apply(key, observed, plan)
        if refusal is not None and refusal.reason in TRAFFIC_REFUSED:
            # The traffic did not move, so nothing that depends on it has happened.
            plan = Plan(observed.memory)
        await self._write_status(resource, observed.memory, build_status(observed, plan, refusal, now))
        await self._tell(key, resource, observed.memory, plan)
        for workload in plan.delete:
            logger.info("%s: deleting %s, which serves no more", key, workload.name)
            await self._kube.delete(DEPLOYMENT, key.namespace, workload.name, workload.uid, workload.resource_version)
        waits = [wait for wait in (plan.wake_after, REFUSAL_RETRY if refusal else None) if wait is not None]
        return min([*waits, RESYNC * random.uniform(0.8, 1.2)])  # noqa: S311 - not a secret

    def _write_back(self, key: Key, o: Observed, plan: Plan) -> Plan:
        """Hand what has happened to the registry's own thread, and remember what is written. Nothing waits for it."""
        note = build_note(o.namespace, o.name, o.spec, o.memory)
        where = Key("ModelRegistry", key.namespace, o.spec.registry_ref.name)
        receipt = self._poller.write_back(key, where, note)
        if note is not None and receipt.written:
            plan = replace(plan, memory=plan.memory.model_copy(update={"written_back": note.until}))
        if receipt.refusal is not None:
            plan = replace(plan, events=(*plan.events, Event("WriteBackRefused", receipt.refusal, "Warning")))
        return plan

    async def _apply(self, key: Key, o: Observed, plan: Plan) -> Hold | None:
        """Write the children. What the API server refuses stops nothing that is healthy; it is reported.

        The traffic comes first: it only ever goes to pods that were seen ready, and a Service that selects every
        revision must be narrowed before another revision is made. While it cannot be moved, stable alone is seen to.
        """
        refusal = await self._apply_traffic(key, o, plan)
        if refusal is not None:
            plan = only_for_stable(o, plan)
        for revision, replicas in plan.create:
            if deployment_name(o.name, revision.name) in o.taken:
                continue
            manifest = manifests.build_deployment(o, revision, replicas, self._settings.serving_image)
            try:
                await self._kube.apply(DEPLOYMENT, manifest)
            except RefusedError as error:
                refused = f"the Deployment of version {revision.version}: {error}"
                logger.warning("%s: %s", key, refused)
                refusal = refusal or Hold(REASON_DEPLOYMENT_REFUSED, refused)
        for workload, replicas in plan.scale:
            logger.info("%s: scaling %s from %d to %d", key, workload.name, workload.replicas, replicas)
            await self._kube.scale(o.namespace, workload.name, workload.uid, replicas)
        return refusal

    async def _apply_traffic(self, key: Key, o: Observed, plan: Plan) -> Hold | None:
        try:
            await self._apply_service(key, o, plan)
            await self._apply_budget(o, plan)
        except RefusedError as error:
            logger.warning("%s: the Service is refused: %s", key, error)
            return Hold(REASON_SERVICE_REFUSED, str(error))
        try:
            await apply_routing(self._kube, key, o, plan)
        except RefusedError as error:
            logger.warning("%s: the HTTPRoute is refused: %s", key, error)
            return Hold(REASON_ROUTE_REFUSED, str(error))
        return None

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
            await self._kube.delete_read(BUDGET, live)

    async def _write_status(self, resource: dict[str, Any], before: Memory, status: dict[str, Any]) -> None:
        if status != before.dump():
            await self._kube.apply_status(MODEL_DEPLOYMENT, with_status(resource, "ModelDeployment", status))

    async def _tell(self, key: Key, resource: dict[str, Any], before: Memory, plan: Plan) -> None:
        """Tell the story, once the status that it belongs to is written."""
        for entry in plan.memory.history:
            if entry in before.history:
                break
            metrics.ROLLOUTS.labels(entry.outcome).inc()
        await post_events(self._kube, key, resource, plan.events, self._settings.pod_name)
