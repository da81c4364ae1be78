"""Gathers the facts from the cluster, and tries the registries from here."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from modelvane_cli import cluster as kinds
from modelvane_cli.access import open_resource
from modelvane_cli.cluster import Cluster, ForbiddenError, Kind, MissingError, Object
from modelvane_cli.doctor.facts import UNSEEN, Facts, Model, Operator, Registry, Unseen
from modelvane_cli.exits import StopError
from modelvane_cli.look import see
from modelvane_cli.names import API_VERSION, LABEL_MODEL_DEPLOYMENT
from modelvane_cli.seen import Seen, read_pods

T = TypeVar("T")

_OPERATOR = "app.kubernetes.io/name=modelvane,app.kubernetes.io/component=operator"


def gather(cluster: Cluster, name: str | None, *, try_registries: bool) -> Facts:
    """Read everything about one ModelDeployment of a namespace, or about all of them."""
    namespace, now = cluster.namespace, datetime.now(UTC)
    fields = _fields(cluster)
    if fields is None:
        return Facts(namespace, now, None)
    operators, everywhere = _operators(cluster, namespace)
    names = [name] if name else [one["metadata"]["name"] for one in cluster.list(kinds.MODEL_DEPLOYMENT, namespace)]
    models = tuple(_model(cluster, namespace, one) for one in names)
    wanted = {str((model.seen.spec.get("registryRef") or {}).get("name", "default")) for model in models}
    registries = tuple(
        _registry(cluster, one, try_it=try_registries)
        for one in cluster.list(kinds.MODEL_REGISTRY, namespace)
        if not name or one["metadata"]["name"] in wanted
    )
    return Facts(namespace, now, fields, operators, everywhere, registries, models)


def _fields(cluster: Cluster) -> frozenset[str] | Unseen | None:
    """Read the fields of the CRD from the API server's own description of it, which every user may read."""
    try:
        described = cluster.get_path(f"/openapi/v3/apis/{API_VERSION}")
    except MissingError:
        return None
    except ForbiddenError:
        return UNSEEN
    schemas = (described.get("components") or {}).get("schemas") or {}
    found = next((schema for name, schema in schemas.items() if name.endswith(".ModelDeployment")), None)
    return frozenset(paths(found)) if found else None


def paths(schema: Any, prefix: str = "") -> list[str]:
    """Return the dotted names of all fields of a schema."""
    found: list[str] = []
    for name, child in (schema.get("properties") or {}).items():
        path = f"{prefix}{name}"
        found += [path, *paths(child, f"{path}.")]
    return found


def _operators(cluster: Cluster, namespace: str) -> tuple[tuple[Operator, ...] | Unseen, bool]:
    everywhere = True
    try:
        found = cluster.list(kinds.DEPLOYMENT, None, labels=_OPERATOR)
    except ForbiddenError:
        everywhere = False
        here = _unless_forbidden(lambda: cluster.list(kinds.DEPLOYMENT, namespace, labels=_OPERATOR))
        if here is UNSEEN:
            return UNSEEN, everywhere
        found = here
    return tuple(_operator(cluster, one) for one in found), everywhere


def _operator(cluster: Cluster, deployment: Object) -> Operator:
    namespace = deployment["metadata"]["namespace"]
    containers = deployment["spec"]["template"]["spec"]["containers"]
    env = {one["name"]: one.get("value") for container in containers for one in container.get("env") or ()}
    lease_name = str(env.get("MODELVANE_LEASE_NAME") or deployment["metadata"]["name"])
    lease = _unless_forbidden(lambda: cluster.find(kinds.LEASE, namespace, lease_name))
    selector = deployment["spec"]["selector"].get("matchLabels") or {}
    labels = ",".join(f"{key}={value}" for key, value in selector.items())
    pods = _unless_forbidden(lambda: cluster.list(kinds.POD, namespace, labels=labels))
    troubles = [pod.trouble for pod in read_pods(() if pods is UNSEEN else pods) if pod.trouble]
    return Operator(deployment, lease, troubles[0] if troubles else None)


def _registry(cluster: Cluster, resource: Object, *, try_it: bool) -> Registry:
    namespace, spec = resource["metadata"]["namespace"], resource["spec"]
    references = (
        spec.get("credentialsSecretRef"),
        spec.get("artifactSecretRef"),
        (spec.get("webhook") or {}).get("secretRef"),
    )
    names = {reference["name"] for reference in references if reference}
    secrets = {name: _keys(cluster, kinds.SECRET, namespace, name) for name in names}
    bundle: frozenset[str] | Unseen | None = UNSEEN
    if spec.get("caBundleRef"):
        kind = kinds.SECRET if spec["caBundleRef"].get("kind") == "Secret" else kinds.CONFIG_MAP
        bundle = _keys(cluster, kind, namespace, spec["caBundleRef"]["name"])
    return Registry(resource, secrets, bundle, _try(cluster, resource) if try_it else None, try_it)


def _keys(cluster: Cluster, kind: Kind, namespace: str, name: str) -> frozenset[str] | Unseen | None:
    found = _unless_forbidden(lambda: cluster.find(kind, namespace, name))
    return found if found is None or found is UNSEEN else frozenset(found.get("data") or {})


def _try(cluster: Cluster, resource: Object) -> str | None:
    """Say why the registry cannot be used from here, if so."""
    from modelvane_cli.models import Models  # noqa: PLC0415 - MLflow is a second of import

    try:
        with open_resource(cluster, resource) as access:
            Models(access.uri, access.tracking).answers()
    except StopError as error:
        return str(error)
    return None


def _model(cluster: Cluster, namespace: str, name: str) -> Model:
    seen = see(cluster, namespace, name)
    labels = f"{LABEL_MODEL_DEPLOYMENT}={name}"
    deployments = _unless_forbidden(lambda: cluster.list(kinds.DEPLOYMENT, namespace, labels=labels))
    return Model(
        seen,
        UNSEEN if deployments is UNSEEN else tuple(deployments),
        _unless_forbidden(lambda: cluster.find(kinds.SERVICE, namespace, name)),
        _endpoints(cluster, namespace, name),
        _unless_forbidden(lambda: cluster.find(kinds.ROUTE, namespace, name)) if _has_route(seen) else UNSEEN,
        _unless_forbidden(lambda: cluster.find(kinds.BUDGET, namespace, name)),
    )


def _has_route(seen: Seen) -> bool:
    return bool(seen.spec.get("gateway"))


def _endpoints(cluster: Cluster, namespace: str, name: str) -> int | Unseen:
    slices = _unless_forbidden(
        lambda: cluster.list(kinds.ENDPOINTS, namespace, labels=f"kubernetes.io/service-name={name}")
    )
    if slices is UNSEEN:
        return UNSEEN
    found = (one for part in slices for one in part.get("endpoints") or ())
    return sum((one.get("conditions") or {}).get("ready") is not False for one in found)


def _unless_forbidden(read: Callable[[], T]) -> T | Unseen:
    try:
        return read()
    except ForbiddenError:
        return UNSEEN
