"""How many CPUs this process was given, which is not how many the machine has."""

import os
from pathlib import Path
from typing import Final

ROOT: Final = Path("/sys/fs/cgroup")


def granted_cpus(root: Path = ROOT) -> float | None:
    """Read the quota of the control group, version 2 or 1; None when nothing is granted in particular."""
    quota = _quota_v2(root / "cpu.max") or _quota_v1(root / "cpu")
    if quota is None:
        return None
    return min(quota, float(len(os.sched_getaffinity(0))))


def worker_count(root: Path = ROOT) -> int:
    """Return a worker for each CPU that is granted. Without a limit one: on a shared node the rest is not ours."""
    granted = granted_cpus(root)
    return 1 if granted is None else max(1, round(granted))


def threads_of_each(workers: int, root: Path = ROOT) -> int:
    """Return the CPUs that each worker may use with threads."""
    granted = granted_cpus(root)
    available = float(len(os.sched_getaffinity(0))) if granted is None else granted
    return max(1, int(available / workers))


def _quota_v2(path: Path) -> float | None:
    try:
        quota, period = path.read_text(encoding="ascii").split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _quota_v1(folder: Path) -> float | None:
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text(encoding="ascii"))
        period = int((folder / "cpu.cfs_period_us").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return None if quota <= 0 or period <= 0 else quota / period
