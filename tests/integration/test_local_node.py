"""The local node leaves nothing behind, whatever happens to it: a real node is started, killed and removed."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import cgroups, naming, places
from tests.cluster.local import LocalNode

NAME = naming.checked_name(f"kill-{naming.default_name(places.ROOT)[-6:]}")
COMMAND = [sys.executable, "-m", "tests.cluster"]
FLAGS = ["--name", NAME, "--cluster", "local"]


@pytest.fixture(autouse=True)
def removed() -> Iterator[None]:
    yield
    LocalNode(NAME).down()


@pytest.mark.parametrize("seconds", [0.6, 1.5, 4, 8])
def test_nothing_is_left_when_up_is_killed_on_its_way(seconds: float) -> None:
    before = host_facts()
    up = subprocess.Popen([*COMMAND, "up", *FLAGS], cwd=places.ROOT, start_new_session=True)
    time.sleep(seconds)
    os.killpg(up.pid, signal.SIGKILL)
    up.wait()

    run("down")

    assert_nothing_is_left(before)


def test_nothing_is_left_when_the_node_dies_and_up_starts_a_new_one() -> None:
    before = host_facts()
    run("up")
    first = supervisor()
    os.kill(first, signal.SIGKILL)
    assert f"{NAME}: up" not in run("status")

    run("up")

    assert supervisor() != first
    assert f"{NAME}: up (local)" in run("status")
    run("down")
    assert_nothing_is_left(before)


def test_a_second_up_changes_nothing() -> None:
    run("up")
    before = cgroups.processes(NAME)

    run("up")

    assert before
    assert before <= cgroups.processes(NAME)


def run(command: str) -> str:
    done = subprocess.run([*COMMAND, command, *FLAGS], cwd=places.ROOT, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, f"{command} failed; what it said is above"
    return done.stdout


def supervisor() -> int:
    found = [
        pid
        for pid in cgroups.processes(NAME)
        if "tests.cluster.supervisor" in words(pid) and words(pid)[0] != "unshare"
    ]
    assert len(found) == 1
    return found[0]


def words(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return [""]


def host_facts() -> dict[str, object]:
    """Return what a node might change of the machine itself."""
    links = subprocess.run(["ip", "-brief", "link"], capture_output=True, text=True, check=True).stdout
    rules = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout
    return {
        "links": sorted(line.split()[0] for line in links.splitlines()),
        "iptables chains": sorted(re.findall(r"^:(\S+)", rules, re.MULTILINE)),
        "mounted namespaces": [
            line for line in Path("/proc/self/mountinfo").read_text().splitlines() if " nsfs " in line
        ],
        "settings": [Path(f"/proc/sys/{name}").read_text() for name in ("vm/overcommit_memory", "kernel/panic")],
        "folders": [path for path in ("/tmp/hostpath_pv", "/var/lib/cni", "/var/lib/kubelet") if Path(path).exists()],  # noqa: S108
    }


def assert_nothing_is_left(before: dict[str, object]) -> None:
    everyone = [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]

    assert [pid for pid in everyone if any(NAME in word for word in words(pid))] == []
    # A cgroup can only be removed when no process is in it, and a namespace ends with its last process or mount.
    assert [tree for tree in cgroups.mounted() if list(tree.glob(f"**/*{NAME}*"))] == []
    assert NAME not in Path("/proc/self/mountinfo").read_text()
    assert not places.state(NAME).exists()
    assert host_facts() == before
