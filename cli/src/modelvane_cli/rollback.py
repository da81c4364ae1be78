"""Moves the registry's pointer back, so that the registry, the cluster and Git keep saying the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from modelvane_cli.access import open_access, open_resource
from modelvane_cli.cluster import MODEL_REGISTRY, Cluster
from modelvane_cli.exits import Exit, StopError
from modelvane_cli.look import find_model
from modelvane_cli.models import Models
from modelvane_cli.pointer import Move, earlier, followed
from modelvane_cli.seen import Seen


@dataclass(frozen=True)
class Rollback:
    """What was done to the pointer, and what the cluster will make of it."""

    name: str
    namespace: str
    move: Move
    next: str

    def document(self) -> dict[str, Any]:
        """Return what `-o json` prints."""
        return {"namespace": self.namespace, "name": self.name, **self.move.document(), "next": self.next}

    def lines(self) -> list[str]:
        """Say what was done."""
        return [str(self.move), self.next]


def roll_back(cluster: Cluster, name: str, to: str | None, uri: str | None) -> Rollback:
    """Move the pointer that a ModelDeployment follows to an earlier version."""
    namespace = cluster.namespace
    seen = Seen(find_model(cluster, namespace, name))
    pointer = followed(seen)
    registry = str((seen.spec.get("registryRef") or {}).get("name", "default"))
    resource = None if uri else cluster.find(MODEL_REGISTRY, namespace, registry)
    if resource is None and not uri:
        raise StopError(
            Exit.NOT_FOUND,
            f"{name} names the ModelRegistry {registry}, and namespace {namespace} has none. Create it, or name the "
            "registry with --registry-uri.",
        )
    # Not MLFLOW_TRACKING_URI: it may be another registry than the one that this ModelDeployment follows.
    way = open_resource(cluster, resource) if resource else open_access(uri, lambda: cluster, registry)
    with way as access:
        models = Models(access.uri, access.tracking)
        current = models.held(pointer.model).at(pointer)
        version = to or earlier(seen, current)
        models.check(pointer.model, version)
        move = Move(pointer, version, current)
        models.carry_out(move)
    return Rollback(name, namespace, move, what_follows(seen, move))


def what_follows(seen: Seen, move: Move) -> str:
    """Say what the operator will do about it."""
    if seen.spec.get("suspend"):
        return f"{seen.name} is suspended, so what serves stays until spec.suspend is false."
    rejected = [one for one in seen.status.get("rejected") or () if one.get("version") == move.version]
    if rejected and seen.part("stable").get("version") != move.version:
        before = f"Version {move.version} was rejected before ({rejected[0].get('reason')})"
        # A pointer that moves onto a rejected version is a new wish for it; one that stays there is none.
        if move.is_needed:
            return f"{before} and is tried again: modelvane status {seen.name} -n {seen.namespace} --watch"
        return f"{before}, so it is not tried by itself: modelvane retry {seen.name} -n {seen.namespace}"
    if seen.part("stable").get("version") == move.version:
        return f"Version {move.version} serves already" + (
            "; the rollout of the other one ends." if seen.part("candidate") else "."
        )
    if seen.part("warm").get("version") == move.version:
        return f"Version {move.version} is still warm, so it takes over at once."
    return (
        f"Version {move.version} starts now and takes over when it is ready: "
        f"modelvane status {seen.name} -n {seen.namespace} --watch"
    )
