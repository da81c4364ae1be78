"""A ModelDeployment with its pods and events, as one value that everything else shows or judges. Pure.

The words for a pod's trouble are the operator's own where it left some: our programs write their reason into the
termination message.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from modelvane_cli.names import LABEL_MODEL_VERSION, LABEL_REVISION
from modelvane_cli.words import pointer_of

Manifest = Mapping[str, Any]

_NO_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_NO_CONTAINER = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})


@dataclass(frozen=True)
class Pod:
    """One pod of a revision."""

    name: str
    revision: str
    version: str
    ready: bool
    since: str | None
    """When it became ready, or when it was made."""
    ending: bool = False
    trouble: str | None = None
    """What keeps it from being ready for good or for now."""
    waiting_for: str | None = None

    def document(self) -> dict[str, Any]:
        """Return what `-o json` shows of it."""
        facts = {"name": self.name, "version": self.version, "revision": self.revision, "ready": self.ready}
        more = {"since": self.since, "ending": self.ending, "trouble": self.trouble, "waitingFor": self.waiting_for}
        return {**facts, **{key: value for key, value in more.items() if value}}


@dataclass(frozen=True)
class Event:
    """One sentence of the story."""

    time: str
    warning: bool
    reason: str
    message: str

    def document(self) -> dict[str, Any]:
        """Return what `-o json` shows of it."""
        kind = "Warning" if self.warning else "Normal"
        return {"time": self.time, "type": kind, "reason": self.reason, "message": self.message}


@dataclass(frozen=True)
class Seen:
    """Everything that is shown about one ModelDeployment."""

    resource: Manifest
    pods: tuple[Pod, ...] = ()
    events: tuple[Event, ...] = ()
    """The oldest first."""

    @property
    def name(self) -> str:
        """Return its name."""
        return str(self.resource["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Return its namespace."""
        return str(self.resource["metadata"].get("namespace", ""))

    @property
    def spec(self) -> Manifest:
        """Return what is wanted."""
        return dict(self.resource.get("spec") or {})

    @property
    def status(self) -> Manifest:
        """Return what the operator says."""
        return dict(self.resource.get("status") or {})

    @property
    def is_current(self) -> bool:
        """Tell whether the status answers the present spec."""
        return bool(self.status.get("observedGeneration") == self.resource["metadata"].get("generation"))

    @property
    def is_rejected(self) -> bool:
        """Tell whether it is stalled because the wanted version is rejected; what a person can do depends on that."""
        reason, wanted = self.condition("Stalled").get("reason"), self.part("desired").get("version")
        rejected = self.status.get("rejected") or ()
        return any((one.get("reason"), one.get("version")) == (reason, wanted) for one in rejected)

    def part(self, name: str) -> Manifest:
        """Return a part of the status such as `candidate`, empty if there is none."""
        return dict(self.status.get(name) or {})

    def condition(self, kind: str) -> Manifest:
        """Return a condition by its type, empty if there is none."""
        found = (one for one in self.status.get("conditions") or () if one.get("type") == kind)
        return dict(next(found, {}))

    def pods_of(self, revision: object) -> tuple[Pod, ...]:
        """Return the pods of one revision."""
        return tuple(pod for pod in self.pods if pod.revision == revision)

    def document(self) -> dict[str, Any]:
        """Return what `status -o json` prints: parts of the status as in the CRD, with pods and events beside them."""
        status = self.status
        facts = {
            "namespace": self.namespace,
            "name": self.name,
            "model": (self.spec.get("model") or {}).get("name"),
            "pointer": pointer_of(self.spec),
            "registry": (self.spec.get("registryRef") or {}).get("name", "default"),
            "replicas": self.spec.get("replicas", 1),
            "current": self.is_current,
        }
        taken = ("phase", "url", "desired", "stable", "candidate", "warm")
        lists = ("rejected", "history", "conditions")
        return {
            **facts,
            **{name: status.get(name) for name in taken},
            **{name: list(status.get(name) or ()) for name in lists},
            "handled": dict(status.get("handled") or {}),
            "pods": [pod.document() for pod in self.pods],
            "events": [event.document() for event in self.events],
        }


def read_pods(manifests: Iterable[Manifest]) -> tuple[Pod, ...]:
    """Read pods, in the order of their names."""
    return tuple(sorted(map(read_pod, manifests), key=lambda pod: pod.name))


def read_pod(manifest: Manifest) -> Pod:
    """Read one pod: is it ready, and if not, why."""
    metadata, status = manifest["metadata"], manifest.get("status") or {}
    labels = metadata.get("labels") or {}
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    containers = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    ready = conditions.get("Ready", {}).get("status") == "True"
    trouble = next(filter(None, map(_trouble, containers)), None) or _evicted(status)
    since = conditions["Ready"].get("lastTransitionTime") if ready else metadata.get("creationTimestamp")
    return Pod(
        name=metadata["name"],
        revision=labels.get(LABEL_REVISION, ""),
        version=labels.get(LABEL_MODEL_VERSION, ""),
        ready=ready,
        since=since,
        ending=bool(metadata.get("deletionTimestamp")),
        trouble=None if ready else trouble or _unscheduled(conditions),
        waiting_for=None if ready else _waiting_for(containers),
    )


def read_events(manifests: Iterable[Manifest], last: int) -> tuple[Event, ...]:
    """Read the last events, the oldest of them first."""
    events = (
        Event(
            time=_moment(one),
            warning=one.get("type") == "Warning",
            reason=str(one.get("reason", "")),
            message=str(one.get("message", "")),
        )
        for one in manifests
    )
    return tuple(sorted(events, key=lambda event: event.time)[-last:])


def _moment(event: Manifest) -> str:
    found = event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp")
    return str(found or "")


def _trouble(container: Manifest) -> str | None:
    """Say why one container does not run: in its own words if it left some, else in the kubelet's."""
    state, last = container.get("state") or {}, container.get("lastState") or {}
    ended = state.get("terminated") or last.get("terminated") or {}
    waiting = state.get("waiting") or {}
    reason, name = waiting.get("reason", ""), container.get("name", "")
    if ended.get("exitCode", 0) != 0 and not container.get("ready"):
        told = _told(ended.get("message"))
        if told:
            return told
        if ended.get("reason") == "OOMKilled":
            return f"OOMKilled: container {name} needed more memory than its limit"
        again = f", {container['restartCount']} restarts" if container.get("restartCount") else ""
        return f"container {name} ended with exit code {ended['exitCode']}{again}"
    if reason in _NO_IMAGE:
        return f"{reason}: image {container.get('image', '')} cannot be pulled"
    if reason in _NO_CONTAINER:
        return f"{reason}: {waiting.get('message', f'container {name} cannot be made')}"
    return None


def _told(message: object) -> str | None:
    try:
        told = json.loads(message) if isinstance(message, str) else None
    except ValueError:
        return None
    if isinstance(told, dict) and told.get("reason") and told.get("message"):
        return f"{told['reason']}: {told['message']}"
    return None


def _evicted(status: Manifest) -> str | None:
    if status.get("phase") != "Failed":
        return None
    return f"{status.get('reason') or 'Failed'}: {status.get('message') or 'the pod ended'}"


def _unscheduled(conditions: Mapping[str, Manifest]) -> str | None:
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") != "False":
        return None
    return f"no node can take it: {scheduled.get('message') or scheduled.get('reason')}"


def _waiting_for(containers: Iterable[Manifest]) -> str | None:
    unready = [one for one in containers if not one.get("ready") and not (one.get("state") or {}).get("terminated")]
    if not unready:
        return "its containers to be made"
    name, waiting = unready[0]["name"], (unready[0].get("state") or {}).get("waiting") or {}
    doing = {"fetch": "the model to be fetched", "serve": "the model to be loaded and verified"}
    reason = waiting.get("reason")
    return doing.get(name, f"container {name}") + (f" ({reason})" if reason and reason != "PodInitializing" else "")
