"""Reads a ModelDeployment, its children and what the registry said into one frozen `Observed`. It never writes."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from modelvane.analysis.analyst import Analyst, Trial
from modelvane.analysis.figures import Comparison
from modelvane.analysis.predictions import read_inputs
from modelvane.cluster.kube import BUDGET, CONFIG_MAP, DEPLOYMENT, MODEL_REGISTRY, POD, SERVICE, Kube
from modelvane.cluster.routing import find_backends, find_mirror_problem, read_route_state
from modelvane.cluster.snapshot import count_strays, is_controlled_by, read_workload
from modelvane.engine.memory import Memory
from modelvane.engine.state import Key, Live, Observed, Resolution, Traffic, Unreachable, Workload
from modelvane.names import (
    ANNOTATION_RESTART,
    LABEL_MODEL_DEPLOYMENT,
    LABEL_REVISION,
    label_selector,
    service_selector,
)
from modelvane.registry.poller import Poller
from modelvane.spec import ModelDeploymentSpec, ModelRegistrySpec, Predictions, template_hash

Object = dict[str, Any]


def read_memory(resource: Mapping[str, Any]) -> Memory:
    """Read the status back. One that cannot be read is lost, and `decide` knows how to go on without."""
    try:
        return Memory.model_validate(resource.get("status") or {})
    except ValidationError:
        return Memory()


class Observer:
    """Takes snapshots. It asks the API server, the registry's cache and the pods, and changes nothing."""

    def __init__(self, kube: Kube, poller: Poller, analyst: Analyst) -> None:
        self._kube = kube
        self._poller = poller
        self._analyst = analyst

    async def observe(self, key: Key, resource: Object, spec: ModelDeploymentSpec, now: datetime) -> Observed:
        """Take the snapshot that one decision is made from.

        `now` is the time of that decision: a check that is later than the step that it lets begin would count for it.
        """
        where = Key("ModelRegistry", key.namespace, spec.registry_ref.name)
        selector = label_selector(service_selector(key.name, None))
        # The pods are read after the Deployments, so a Deployment is never missing pods that it had when it was read.
        raw_registry, deployments, services, budget = await asyncio.gather(
            self._kube.get(MODEL_REGISTRY, key.namespace, where.name),
            self._kube.list(DEPLOYMENT, key.namespace, selector),
            self._kube.list(SERVICE, key.namespace, selector),
            self._kube.get(BUDGET, key.namespace, key.name),
        )
        pods = await self._kube.list(POD, key.namespace, selector) if deployments else []
        service = next((found for found in services if found["metadata"]["name"] == key.name), None)
        if service is None:
            service = await self._kube.get(SERVICE, key.namespace, key.name)  # It may be somebody else's.
        uid = resource["metadata"]["uid"]
        resolution, polled_at = self._poller.follow(key, where, spec.model)
        registry = _read_registry(raw_registry)
        if isinstance(registry, Unreachable):
            resolution = registry
        mine = [d for d in deployments if is_controlled_by(d, uid) and not d["metadata"].get("deletionTimestamp")]
        workloads = tuple(read_workload(deployment, pods) for deployment in mine)
        backends = find_backends(services, workloads)
        routed = dict(await read_route_state(self._kube, key, spec, uid, bool(backends)))
        memory = read_memory(resource)
        # A candidate that the status has lost, or has not yet, may have ready pods. Alone, stable asks for no copies.
        rolling = memory.candidate is not None or len(workloads) > 1
        annotations = resource["metadata"].get("annotations") or {}
        known = registry if isinstance(registry, ModelRegistrySpec) else None
        return Observed(
            namespace=key.namespace,
            name=key.name,
            uid=uid,
            generation=resource["metadata"]["generation"],
            resource_version=resource["metadata"]["resourceVersion"],
            annotations=annotations,
            spec=spec,
            memory=memory,
            resolution=_known(resolution, registry, where),
            polled_at=polled_at,
            registry=known,
            template_hash=template_hash(spec, known, annotations.get(ANNOTATION_RESTART)) if known else None,
            workloads=workloads,
            strays=count_strays(pods, workloads),
            taken=frozenset(d["metadata"]["name"] for d in deployments if d not in mine),
            selected=_selected(service, uid),
            service_taken=_taken(service, uid, key) or routed.pop("route_taken", None),
            live=Live(
                service=service,
                budget=budget if budget and is_controlled_by(budget, uid) else None,
                route=routed.pop("route", None),
                backends=backends,
            ),
            mirror_problem=await find_mirror_problem(self._kube, key, spec) if rolling else None,
            **routed,
            **await self._measure(key, spec, memory, workloads, now),
        )

    async def _measure(
        self, key: Key, spec: ModelDeploymentSpec, memory: Memory, workloads: tuple[Workload, ...], now: datetime
    ) -> dict[str, Any]:
        """Ask the pods what the rollout in progress needs to know, as fields of an `Observed`."""
        candidate = memory.candidate
        coming = next((w for w in workloads if candidate and w.revision == candidate.revision), None)
        if spec.analysis is None or candidate is None or coming is None:
            self._analyst.forget(key)
            return {}
        serving = next((w for w in workloads if memory.stable and w.revision == memory.stable.revision), None)
        seen = candidate.analysis
        # A candidate that has traffic is judged while it waits for the pods of its next step, too.
        start = candidate.step_started_at or (candidate.since if candidate.weight else None)
        if start and seen and seen.verdict != "Inconclusive":
            start = max(start, seen.checked_at)
        trial = Trial(key, spec.analysis, coming, serving, start or now)
        found: dict[str, Any] = {}
        if spec.analysis.predictions is not None and candidate.step is None and coming.ready:
            inputs = await self._read_inputs(key, spec.analysis.predictions)
            found["comparison"] = (
                inputs if isinstance(inputs, Comparison) else await self._analyst.compare_predictions(trial, inputs)
            )
        if start is not None:
            found["measurement"] = await self._analyst.measure(trial, now)
        return found

    async def _read_inputs(self, key: Key, wanted: Predictions) -> list[bytes] | Comparison | None:
        """Read the recorded inputs, if the spec names any."""
        if wanted.inputs_from is None:
            return None
        reference = wanted.inputs_from.config_map_ref
        where = f"ConfigMap {key.namespace}/{reference.name}"
        found = await self._kube.get(CONFIG_MAP, key.namespace, reference.name)
        if found is None:
            return Comparison(0, 0, trouble=f"{where}, which analysis.predictions names, does not exist")
        text = (found.get("data") or {}).get(reference.key)
        if text is None:
            return Comparison(0, 0, trouble=f"{where} has no key {reference.key}")
        return read_inputs(text)

    def forget(self, key: Key) -> None:
        """Forget a ModelDeployment that is gone."""
        self._poller.forget(key)
        self._analyst.forget(key)


def _read_registry(raw: Object | None) -> ModelRegistrySpec | Unreachable | None:
    if raw is None:
        return None
    try:
        return ModelRegistrySpec.model_validate(raw["spec"])
    except ValidationError as error:
        return Unreachable("InvalidRegistry", f"the ModelRegistry cannot be read: {explain_invalid(error)}")


def _known(resolution: Resolution, registry: object, where: Key) -> Resolution:
    if registry is not None:
        return resolution
    return Unreachable("RegistryNotFound", f"ModelRegistry {where.name} does not exist in namespace {where.namespace}")


def _selected(service: Object | None, uid: str) -> Traffic | None:
    if service is None or not is_controlled_by(service, uid):
        return None
    selector = service["spec"].get("selector") or {}
    # A selector that someone edited selects nothing we know: it counts as none, and is applied again.
    if LABEL_MODEL_DEPLOYMENT not in selector:
        return None
    return Traffic(selector.get(LABEL_REVISION))


def _taken(service: Object | None, uid: str, key: Key) -> str | None:
    if service is None or is_controlled_by(service, uid):
        return None
    return f"a Service {key.name} exists in namespace {key.namespace} and is not ours: rename one of the two"


def explain_invalid(error: ValidationError) -> str:
    """Say which field is wrong, in one line."""
    first = error.errors()[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
