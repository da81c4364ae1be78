"""The Kubernetes objects of a ModelDeployment, as plain dicts. Pure.

A revision's Deployment is built once, when the revision is made, and never again: a later release of the operator may
build it differently without touching what serves. The Service and the disruption budget follow every reconcile.
"""

from collections.abc import Mapping
from typing import Any

from modelvane.cluster.pod_template import build_pod_template, choose_images, model_uri
from modelvane.engine.state import Observed, Revision, Split, Traffic, Workload
from modelvane.names import (
    ANNOTATION_APPLIED,
    ANNOTATION_IMAGE,
    ANNOTATION_MODEL_URI,
    API_VERSION,
    deployment_name,
    model_labels,
    revision_labels,
    service_selector,
    short_hash,
)
from modelvane.spec import GatewaySpec

Manifest = dict[str, Any]


def build_deployment(o: Observed, revision: Revision, replicas: int, default_image: str) -> Manifest:
    """Build the Deployment of one revision."""
    if o.registry is None:
        raise ValueError("a revision cannot be described without its ModelRegistry")
    images = choose_images(o.spec, default_image)
    labels = revision_labels(o.name, revision.version, revision.name)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            **_metadata(o, deployment_name(o.name, revision.name), labels),
            "annotations": {ANNOTATION_MODEL_URI: model_uri(o, revision), ANNOTATION_IMAGE: images.serve},
        },
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 0,
            "progressDeadlineSeconds": max(1, round(o.spec.progress_deadline.total_seconds())),
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "selector": {"matchLabels": service_selector(o.name, revision.name)},
            "template": build_pod_template(o, o.registry, revision, images),
        },
    }


def build_service(o: Observed, traffic: Traffic) -> Manifest:
    """Build the Service. Its selector is the traffic: one revision, or all while they share it."""
    wanted = o.spec.service
    name = "https" if o.spec.runtime.tls else "http"  # Meshes and scrapers go by it.
    port: Manifest = {"name": name, "port": wanted.port, "targetPort": "http", "protocol": "TCP"}
    if wanted.node_port is not None:
        port["nodePort"] = wanted.node_port
    return _sealed(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {**_metadata(o, o.name, model_labels(o.name)), "annotations": dict(wanted.annotations)},
            "spec": {
                "type": wanted.type,
                "selector": service_selector(o.name, traffic.revision),
                "ports": [port],
            },
        }
    )


def build_backend(o: Observed, workload: Workload) -> Manifest:
    """Build the Service of one revision, which a gateway sends requests to. It goes with the revision's Deployment."""
    labels = revision_labels(o.name, workload.version, workload.revision)
    manifest: Manifest = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {**_metadata(o, workload.name, labels), "annotations": {}},
        "spec": {
            "type": "ClusterIP",
            "selector": service_selector(o.name, workload.revision),
            "ports": [{"name": "http", "port": o.spec.service.port, "targetPort": "http", "protocol": "TCP"}],
        },
    }
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": workload.name, "uid": workload.uid}
    manifest["metadata"]["ownerReferences"] = [{**owner, "controller": True, "blockOwnerDeletion": False}]
    return _sealed(manifest)


def build_route(o: Observed, gateway: GatewaySpec, split: Split) -> Manifest:
    """Build the HTTPRoute. Its weights are the traffic."""
    port = o.spec.service.port
    rule: Manifest = {
        "matches": [{"path": {"type": "PathPrefix", "value": gateway.path}}],
        "backendRefs": [
            {"name": deployment_name(o.name, revision), "port": port, "weight": weight}
            for revision, weight in split.weights
        ],
    }
    filters: list[Manifest] = []
    if gateway.path != "/":
        rewrite = {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}
        filters.append({"type": "URLRewrite", "urlRewrite": rewrite})
    if split.mirror is not None:
        revision, percent = split.mirror
        backend = {"name": deployment_name(o.name, revision), "port": port}
        filters.append({"type": "RequestMirror", "requestMirror": {"backendRef": backend, "percent": percent}})
    if filters:
        rule["filters"] = filters
    spec: Manifest = {
        "parentRefs": [
            parent.model_dump(mode="json", by_alias=True, exclude_none=True) for parent in gateway.parent_refs
        ],
        "rules": [rule],
    }
    if gateway.hostnames:
        spec["hostnames"] = list(gateway.hostnames)
    return _sealed(
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {**_metadata(o, o.name, model_labels(o.name)), "annotations": {}},
            "spec": spec,
        }
    )


def build_budget(o: Observed) -> Manifest | None:
    """Build the disruption budget over all revisions. One pod alone gets none: it would block every drain."""
    if o.spec.replicas < 2:
        return None
    return _sealed(
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {**_metadata(o, o.name, model_labels(o.name)), "annotations": {}},
            "spec": {
                "maxUnavailable": 1,
                "selector": {"matchLabels": service_selector(o.name, None)},
                "unhealthyPodEvictionPolicy": "AlwaysAllow",
            },
        }
    )


def differs(wanted: object, live: object) -> bool:
    """Say whether a live object misses something that is wanted. What the API server added does not count."""
    if isinstance(wanted, Mapping):
        return not isinstance(live, Mapping) or any(differs(value, live.get(key)) for key, value in wanted.items())
    if isinstance(wanted, list):
        return (
            not isinstance(live, list)
            or len(wanted) != len(live)
            or any(differs(a, b) for a, b in zip(wanted, live, strict=True))
        )
    return wanted != live


def _sealed(manifest: Manifest) -> Manifest:
    """Note what is wanted on the object itself, so that a field which is no longer wanted is noticed too."""
    manifest["metadata"]["annotations"][ANNOTATION_APPLIED] = short_hash(manifest)
    return manifest


def _metadata(o: Observed, name: str, labels: Mapping[str, str]) -> Manifest:
    owner = {"apiVersion": API_VERSION, "kind": "ModelDeployment", "name": o.name, "uid": o.uid}
    return {
        "name": name,
        "namespace": o.namespace,
        "labels": dict(labels),
        "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
    }
