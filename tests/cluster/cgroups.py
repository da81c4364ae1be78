"""The cgroup of a local cluster: a record, kept by the kernel, of which processes belong to it.

Works on both versions: v1 has one tree of cgroups for each controller, v2 has one for all.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from tests.cluster import Failure

# The processes of the node itself; kubelet puts pods beside it. (v2 allows processes in leaves only.)
SYSTEM = "system"
NEEDED = ("cpu", "cpuset", "memory", "pids")


def name_of(cluster: str) -> str:
    """Return the name of a cluster's cgroup, the same in every tree."""
    return f"modelvane-{cluster}"


def trees(mountinfo: str) -> list[Path]:
    """Return where cgroup trees are mounted, from the text of /proc/self/mountinfo.

    A machine on v1 often mounts a v2 tree without controllers beside it, and runc makes cgroups in that too.
    """
    found = set()
    for line in mountinfo.splitlines():
        before, after = line.split(" - ", 1)
        path, kind = Path(before.split()[4]), after.split()[0]
        if kind in {"cgroup", "cgroup2"}:
            found.add(path)
    return sorted(found)


def mounted() -> list[Path]:
    """Return the cgroup trees of this machine."""
    return trees(Path("/proc/self/mountinfo").read_text())


def create(cluster: str) -> list[Path]:
    """Make the cluster's cgroups and return the files that a process joins them by."""
    joins = []
    for tree in mounted():
        folder = tree / name_of(cluster) / SYSTEM
        folder.mkdir(parents=True, exist_ok=True)
        if (tree / "cgroup.subtree_control").exists():
            for parent in (tree, folder.parent):
                _delegate(parent)
        for child, parent in ((folder.parent, tree), (folder, folder.parent)):
            for setting in ("cpuset.cpus", "cpuset.mems"):
                # On v1 a cpuset starts empty and takes no process until it is filled; v2 inherits.
                if (parent / setting).exists() and not (child / "cgroup.controllers").exists():
                    (child / setting).write_text((parent / setting).read_text())
        joins.append(folder / "cgroup.procs")
    return joins


def processes(cluster: str) -> set[int]:
    """Return every process of the cluster, containers included."""
    found: set[int] = set()
    for folder in _folders(cluster):
        try:
            found.update(int(pid) for pid in (folder / "cgroup.procs").read_text().split())
        except FileNotFoundError:
            continue  # removed since it was listed
    return found


def kill(cluster: str, timeout: float = 20) -> None:
    """Kill every process of the cluster and wait until they are gone."""
    deadline = time.monotonic() + timeout
    while left := processes(cluster):
        if time.monotonic() > deadline:
            raise Failure(f"processes of cluster {cluster} do not end: {sorted(left)}")
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.02)


def remove(cluster: str, timeout: float = 10) -> None:
    """Remove the cluster's cgroups, which must have no process."""
    deadline = time.monotonic() + timeout
    for folder in _folders(cluster):
        while folder.exists():
            try:
                folder.rmdir()
            except OSError:
                # The kernel lets go of a killed process's cgroup a little later than of the process.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)


def _folders(cluster: str) -> list[Path]:
    """Return the cluster's cgroups, the deepest first."""
    found = []
    for tree in mounted():
        for path, _, _ in os.walk(tree / name_of(cluster), topdown=False):
            found.append(Path(path))
    return found


def _delegate(folder: Path) -> None:
    """Let the children of a v2 cgroup use the controllers that kubelet needs."""
    available = (folder / "cgroup.controllers").read_text().split()
    given = (folder / "cgroup.subtree_control").read_text().split()
    for controller in sorted({*NEEDED, "io", "hugetlb"} & set(available) - set(given)):
        try:
            (folder / "cgroup.subtree_control").write_text(f"+{controller}")
        except OSError as error:
            # In a container the root of the tree holds processes, and then v2 gives its children nothing.
            raise Failure(f"cgroup controller {controller} cannot be given to children of {folder}: {error}") from error
