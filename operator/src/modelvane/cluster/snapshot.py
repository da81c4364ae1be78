"""Reading the API server's objects: a Deployment and its pods become a `Workload`. Pure.

The failure of a pod is taken from what the kubelet keeps: the termination message in which our own programs name
their reason, the OOM kill, the crash loop, the image that cannot be pulled.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from modelvane.engine.rollout import REASON_FETCH_FAILED
from modelvane.engine.state import Failure, Pod, Workload
from modelvane.names import ANNOTATION_MODEL_URI, LABEL_MODEL_VERSION, LABEL_REVISION

Object = Mapping[str, Any]

CRASHES_ALLOWED = 2
"""One crash may be the node's fault, a second one bad luck; a third in a row is the model's."""

_IMAGE_REASONS = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_CONFIG_REASONS = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})


def parse_time(value: str) -> datetime:
    """Read a time as the API server writes it."""
    return datetime.fromisoformat(value)


def is_controlled_by(thing: Object, uid: str) -> bool:
    """Say whether an object is a child of the resource with this uid."""
    owners = thing["metadata"].get("ownerReferences") or ()
    return any(owner.get("controller") and owner["uid"] == uid for owner in owners)


def read_workload(deployment: Object, pods: Iterable[Object]) -> Workload:
    """Read one revision's Deployment together with its pods.

    Pods older than the Deployment are those of a namesake that was deleted a moment ago; pods being deleted get no
    new requests. Neither counts.
    """
    metadata = deployment["metadata"]
    # Somebody may have taken labels away from it. Those of its pods are part of what it selects, and stay.
    labels = {**deployment["spec"]["template"]["metadata"]["labels"], **metadata.get("labels", {})}
    created = parse_time(metadata["creationTimestamp"])
    mine = (
        pod
        for pod in pods
        if pod["metadata"].get("labels", {}).get(LABEL_REVISION) == labels[LABEL_REVISION]
        and _lives(pod)
        and parse_time(pod["metadata"]["creationTimestamp"]) >= created
    )
    return Workload(
        name=metadata["name"],
        version=labels[LABEL_MODEL_VERSION],
        revision=labels[LABEL_REVISION],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        replicas=deployment["spec"].get("replicas", 1),
        created=created,
        pods=tuple(sorted(map(read_pod, mine), key=lambda pod: pod.name)),
        model_uri=(metadata.get("annotations") or {}).get(ANNOTATION_MODEL_URI),
        refused=_refusal(deployment),
    )


def count_strays(pods: Iterable[Object], workloads: Collection[Workload]) -> int:
    """Count the pods whose Deployment is gone but which still serve until the cluster has cleaned up."""
    revisions = {workload.revision for workload in workloads}
    return sum(pod["metadata"].get("labels", {}).get(LABEL_REVISION) not in revisions for pod in filter(_lives, pods))


def _lives(pod: Object) -> bool:
    """Say whether a pod gets requests, or may: one that is being deleted, or has ended as by an eviction, does not."""
    ended = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
    return not ended and not pod["metadata"].get("deletionTimestamp")


def read_pod(pod: Object) -> Pod:
    """Read what a pod says about itself."""
    status = pod.get("status", {})
    conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}
    ready = conditions.get("Ready", {})
    containers = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    is_ready = ready.get("status") == "True"
    return Pod(
        name=pod["metadata"]["name"],
        ready_since=parse_time(ready["lastTransitionTime"]) if is_ready else None,
        failure=None if is_ready else _worst(_failure(container) for container in containers),
        waiting_for=None if is_ready else _waiting_for(conditions, containers),
        digest=next(filter(None, (_left(container, "digest") for container in containers)), None),
        environment=next(filter(None, (_left(container, "environment") for container in containers)), None),
        ip=status.get("podIP"),
        tls=_speaks_tls(pod),
        container=next((c.get("containerID") for c in containers if c["name"] == "serve"), None),
    )


def _refusal(deployment: Object) -> str | None:
    for condition in deployment.get("status", {}).get("conditions") or ():
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return str(condition.get("message", condition.get("reason")))
    return None


def _worst(failures: Iterable[Failure | None]) -> Failure | None:
    found = [failure for failure in failures if failure is not None]
    return next((failure for failure in found if failure.permanent), found[0] if found else None)


def _failure(container: Object) -> Failure | None:
    """Read why one container does not run: first its own words, then the kubelet's."""
    state, last = container.get("state") or {}, container.get("lastState") or {}
    terminated = state.get("terminated") or last.get("terminated") or {}
    waiting = (state.get("waiting") or {}).get("reason", "")
    crashes = container.get("restartCount", 0) + (1 if state.get("terminated") else 0)
    name = container["name"]
    if terminated.get("exitCode", 0) != 0:
        told = _told(terminated.get("message"))
        if told:
            return Failure(*told, permanent=told[0] != REASON_FETCH_FAILED)
        if terminated.get("reason") == "OOMKilled":
            message = f"container {name} needed more memory than its limit: raise resources.limits.memory"
            return Failure("OOMKilled", message, permanent=True)
        message = f"container {name} ended with exit code {terminated['exitCode']} again and again; see its log"
        return Failure("CrashLoopBackOff", message, permanent=crashes > CRASHES_ALLOWED)
    if waiting in _IMAGE_REASONS:
        image = container.get("image", "")
        return Failure("ImagePullFailed", f"image {image} cannot be pulled ({waiting})", permanent=False)
    if waiting in _CONFIG_REASONS:
        detail = (state.get("waiting") or {}).get("message", waiting)
        return Failure("InvalidSettings", f"container {name} cannot be made: {detail}", permanent=False)
    return None


def _told(message: str | None) -> tuple[str, str] | None:
    """Read the one JSON object our programs leave behind when they give up."""
    told = _parse(message)
    reason, text = told.get("reason"), told.get("message")
    return (reason, text) if isinstance(reason, str) and reason and isinstance(text, str) else None


def _left(container: Object, name: str) -> str | None:
    """Read what `fetch` leaves behind when it is done: the digest of the model's files, what its image lacks."""
    terminated = (container.get("state") or {}).get("terminated") or {}
    left = _parse(terminated.get("message")).get(name) if terminated.get("exitCode") == 0 else None
    return left if isinstance(left, str) else None


def _speaks_tls(pod: Object) -> bool:
    """Say how the pod is asked: as the kubelet asks it. Two revisions of one rollout may differ in that."""
    containers = pod.get("spec", {}).get("containers") or ()
    probes = (c.get("readinessProbe") or {} for c in containers if c["name"] == "serve")
    return any((probe.get("httpGet") or {}).get("scheme") == "HTTPS" for probe in probes)


def _parse(message: str | None) -> dict[str, Any]:
    try:
        parsed = json.loads(message or "{}")
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _waiting_for(conditions: Mapping[str, Object], containers: Iterable[Object]) -> str | None:
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return f"no node can take a pod: {scheduled.get('message', scheduled.get('reason'))}"
    names = [c["name"] for c in containers if not c.get("ready") and not (c.get("state") or {}).get("terminated")]
    return f"container {names[0]} is not ready" if names else None
