"""Decides which kind of cluster a command is about."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from tests.cluster import places
from tests.cluster.existing import ExistingCluster
from tests.cluster.kind import KindCluster
from tests.cluster.local import LocalNode

KINDS = ("auto", "local", "kind", "current")


class Kubernetes(Protocol):
    """What every kind of cluster can do."""

    kind: str
    name: str
    kubeconfig: Path

    def build(self) -> None:
        """Build what `up`, `load` and `load_extras` need and the cache lacks, and start nothing."""

    def up(self) -> None:
        """Start the cluster unless it is up."""

    def down(self) -> None:
        """Remove the cluster, if it is ours to remove."""

    def load(self) -> None:
        """Make the project's images available in it."""

    def load_extras(self) -> None:
        """Make available what only some tests need."""

    def status(self) -> str:
        """Say in a word whether it runs."""


def choose(kind: str, name: str, context: str | None, *, to_start: bool) -> Kubernetes:
    """Return the cluster that is meant: the one asked for, else the one that is up, else what this machine can.

    Only a cluster that is to be started is worth finding out what is possible: that may pull an image.
    """
    local, kind_cluster = LocalNode(name), KindCluster(name)
    if kind == "current" or context is not None:
        return ExistingCluster(name, context)
    if kind == "local" or (kind == "auto" and local.exists()):
        return local
    if kind == "kind" or kind_cluster.exists() or (to_start and kind_cluster.is_possible()):
        return kind_cluster
    return local


def others(name: str) -> list[Kubernetes]:
    """Return the clusters on this machine that have another name."""
    local = [LocalNode(folder.name) for folder in places.STATE.glob("*") if folder.name != name]
    kind = [KindCluster(folder.name) for folder in (places.cache() / "kind").glob("*") if folder.name != name]
    return [*local, *kind]
