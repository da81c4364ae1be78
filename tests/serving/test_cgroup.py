"""How many CPUs a container was given."""

import os
from pathlib import Path

import pytest
from modelvane_serving.cgroup import granted_cpus, threads_of_each, worker_count

CPUS = float(len(os.sched_getaffinity(0)))


def version_2(root: Path, text: str) -> Path:
    (root / "cpu.max").write_text(text)
    return root


def version_1(root: Path, quota: int, period: int) -> Path:
    folder = root / "cpu"
    folder.mkdir()
    (folder / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (folder / "cpu.cfs_period_us").write_text(f"{period}\n")
    return root


@pytest.mark.parametrize(("text", "cpus"), [("150000 100000\n", 1.5), ("50000 100000\n", 0.5), ("max 100000\n", None)])
def test_the_quota_of_version_2(tmp_path: Path, text: str, cpus: float | None) -> None:
    assert granted_cpus(version_2(tmp_path, text)) == (None if cpus is None else min(cpus, CPUS))


def test_the_quota_of_version_1(tmp_path: Path) -> None:
    assert granted_cpus(version_1(tmp_path, 100000, 100000)) == 1.0


def test_no_quota_of_version_1(tmp_path: Path) -> None:
    assert granted_cpus(version_1(tmp_path, -1, 100000)) is None


def test_no_more_than_the_process_may_run_on(tmp_path: Path) -> None:
    assert granted_cpus(version_2(tmp_path, "6400000 100000")) == CPUS


def test_what_is_no_quota_is_none(tmp_path: Path) -> None:
    assert granted_cpus(tmp_path) is None
    assert granted_cpus(version_2(tmp_path, "what")) is None


@pytest.mark.parametrize(
    ("text", "workers"), [("max 100000", 1), ("20000 100000", 1), ("200000 100000", min(2, int(CPUS)))]
)
def test_a_worker_for_each_cpu_that_was_granted(tmp_path: Path, text: str, workers: int) -> None:
    assert worker_count(version_2(tmp_path, text)) == workers


def test_workers_share_the_cpus(tmp_path: Path) -> None:
    root = version_2(tmp_path, "200000 100000")
    assert threads_of_each(2, root) == 1
    assert threads_of_each(1, root) == min(2, int(CPUS))
    assert threads_of_each(8, root) == 1
