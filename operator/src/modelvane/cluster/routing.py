"""Reads and writes what a gateway needs: a Service for each revision, and the HTTPRoute over them.

The route is not watched, because a cluster may lack the Gateway API, which is said in words then.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from modelvane.cluster import manifests
from modelvane.cluster.gateway import missing_feature, read_route
from modelvane.cluster.kube import GATEWAY, GATEWAY_CLASS, HTTP_ROUTE, SERVICE, Kube, RefusedError
from modelvane.cluster.snapshot import is_controlled_by
from modelvane.engine.state import Key, Observed, Plan, Workload
from modelvane.names import LABEL_REVISION
from modelvane.spec import ModelDeploymentSpec, ParentRef

Object = dict[str, Any]

NOT_INSTALLED = "the cluster does not have the Gateway API: install its CRDs, or remove spec.gateway"

logger = logging.getLogger(__name__)


def find_backends(services: Iterable[Object], workloads: Iterable[Workload]) -> dict[str, Object]:
    """Find the Services of revisions, by revision."""
    uids = {workload.revision: workload.uid for workload in workloads}
    labelled = ((service["metadata"].get("labels", {}).get(LABEL_REVISION), service) for service in services)
    return {
        revision: service
        for revision, service in labelled
        if revision in uids and is_controlled_by(service, uids[revision])
    }


async def read_route_state(kube: Kube, key: Key, spec: ModelDeploymentSpec, uid: str, used: bool) -> Mapping[str, Any]:
    """Read the route and what its gateways say, as fields of an `Observed`; `used` says that there may be one."""
    if spec.gateway is None and not used:
        return {}
    route = await kube.get(HTTP_ROUTE, key.namespace, key.name)
    mine = route if route is not None and is_controlled_by(route, uid) else None
    state: dict[str, Any] = {"route": mine}
    if spec.gateway is not None:
        if route is not None and mine is None:
            state["route_taken"] = (
                f"an HTTPRoute {key.name} exists in namespace {key.namespace} and is not ours: rename one of the two"
            )
        if mine is not None:
            accepted, problem = read_route(mine, spec.gateway.parent_refs, key.namespace)
            state.update(route_accepted=accepted, route_problem=problem)
    return state


async def find_mirror_problem(kube: Kube, key: Key, spec: ModelDeploymentSpec) -> str | None:
    """Say why the gateways of a route cannot copy requests, if they cannot."""
    if spec.gateway is None or spec.strategy.mirror is None:
        return None
    for parent in spec.gateway.parent_refs:
        problem = await _missing(kube, parent, key.namespace, spec.strategy.mirror.percent)
        if problem is not None:
            return problem
    return None


async def _missing(kube: Kube, parent: ParentRef, namespace: str, percent: int) -> str | None:
    where = parent.namespace or namespace
    try:
        gateway = await kube.get(GATEWAY, where, parent.name)
        if gateway is None:
            return f"Gateway {where}/{parent.name} does not exist"
        name = gateway["spec"]["gatewayClassName"]
        gateway_class = await kube.get(GATEWAY_CLASS, "", name)
    except RefusedError as error:
        return f"what Gateway {where}/{parent.name} can do cannot be read: {error}"
    return f"GatewayClass {name} does not exist" if gateway_class is None else missing_feature(gateway_class, percent)


async def apply_routing(kube: Kube, key: Key, o: Observed, plan: Plan) -> None:
    """Write the Services of the revisions, then the route; take both away when no gateway is wanted any more."""
    if o.spec.gateway is None:
        await _remove(kube, o)
        return
    for workload in o.workloads:
        backend = manifests.build_backend(o, workload)
        if manifests.differs(backend, o.live.backends.get(workload.revision)):
            await kube.apply(SERVICE, backend)
    if plan.split is None:
        return
    if not plan.split.weights:
        if o.live.route is not None:
            await kube.delete_read(HTTP_ROUTE, o.live.route)
        return
    wanted = manifests.build_route(o, o.spec.gateway, plan.split)
    if manifests.differs(wanted, o.live.route):
        shares = ", ".join(f"{weight}% to {revision}" for revision, weight in plan.split.weights)
        logger.info("%s: the gateway sends %s", key, shares)
        if not await kube.apply_if_served(HTTP_ROUTE, wanted):
            raise RefusedError(NOT_INSTALLED)


async def _remove(kube: Kube, o: Observed) -> None:
    """Remove the route before the Services that it sends to."""
    if o.live.route is not None:
        await kube.delete_read(HTTP_ROUTE, o.live.route)
    for service in o.live.backends.values():
        await kube.delete_read(SERVICE, service)
