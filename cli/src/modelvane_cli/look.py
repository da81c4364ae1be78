"""Reads a ModelDeployment with its pods and events from the cluster."""

from __future__ import annotations

from modelvane_cli.cluster import EVENT, MODEL_DEPLOYMENT, POD, Cluster, ForbiddenError, MissingError, Object
from modelvane_cli.exits import Exit
from modelvane_cli.names import LABEL_MODEL_DEPLOYMENT
from modelvane_cli.seen import Seen, read_events, read_pods

LAST_EVENTS = 20


def find_model(cluster: Cluster, namespace: str, name: str) -> Object:
    """Read a ModelDeployment, or say how to find one."""
    try:
        return cluster.get(MODEL_DEPLOYMENT, namespace, name)
    except MissingError:
        raise explain_missing(cluster, namespace, name) from None


def explain_missing(cluster: Cluster, namespace: str, name: str) -> MissingError:
    """Say what is missing: the resource, or the kind itself."""
    said = f"There is no ModelDeployment {name} in namespace {namespace}."
    try:
        others = sorted(one["metadata"]["name"] for one in cluster.list(MODEL_DEPLOYMENT, namespace))
    except MissingError:
        return explain_no_kind()
    except ForbiddenError:
        return MissingError(Exit.NOT_FOUND, said)
    there = f"It has {', '.join(others[:5])}." if others else "It has none at all: `modelvane list -A` shows them all."
    return MissingError(Exit.NOT_FOUND, f"{said} {there}")


def explain_no_kind() -> MissingError:
    """Say that Modelvane is not installed."""
    return MissingError(
        Exit.NOT_FOUND, "The cluster has no ModelDeployments: the CRDs are not installed. See `modelvane doctor`."
    )


def see(cluster: Cluster, namespace: str, name: str) -> Seen:
    """Read all that `status` shows. Pods and events that the user may not read are left out."""
    resource = find_model(cluster, namespace, name)
    pods = _allowed(cluster, namespace, f"{LABEL_MODEL_DEPLOYMENT}={name}")
    return Seen(resource, read_pods(pods), read_events(_events(cluster, namespace, name), LAST_EVENTS))


def _allowed(cluster: Cluster, namespace: str, labels: str) -> list[Object]:
    try:
        return cluster.list(POD, namespace, labels=labels)
    except ForbiddenError:
        return []


def _events(cluster: Cluster, namespace: str, name: str) -> list[Object]:
    fields = f"involvedObject.kind=ModelDeployment,involvedObject.name={name}"
    try:
        return cluster.list(EVENT, namespace, fields=fields)
    except ForbiddenError:
        return []
