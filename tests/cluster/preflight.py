"""Finds out, before anything starts, whether this machine can run the local node.

``survey`` looks, ``problems`` judges (pure): a machine that lacks three things gets one message that names three.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass

from tests.cluster import Failure, cgroups
from tests.cluster.steps import step

# Command that is needed -> Debian package that has it.
COMMANDS = {
    "ip": "iproute2",
    "iptables": "iptables",
    "mount": "mount",
    "openssl": "openssl",
    "runc": "runc",
    "sysctl": "procps",
    "unshare": "util-linux",
    "portmap": "containernetworking-plugins",
    "ptp": "containernetworking-plugins",
}
# What images are built with where neither of these engines answers.
ENGINES = ("docker", "podman")
IMAGE_COMMANDS = {"buildah": "buildah", "mmdebstrap": "mmdebstrap"}
# Debian's root has no sbin on its PATH after a plain `su`; the others are where CNI plug-ins are (containerd.toml).
SEARCH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/lib/cni:/usr/libexec/cni:/opt/cni/bin"
# What the kernel must be able to do, tried for real in namespaces that end with the trial.
TRIALS = {
    "namespaces (PID, mount, network)": "true",
    "overlayfs (on the file system of /var/lib)": (
        'cd "$1" && mkdir low up work top && mount -t overlay -o lowerdir=low,upperdir=up,workdir=work none top'
    ),
    "bridge links": "ip link add modelvane-try type bridge",
    "veth links": "ip link add modelvane-try type veth peer name modelvane-try2",
    "iptables rules with NAT": "iptables -t nat -A POSTROUTING -m comment --comment try -j MASQUERADE",
    "iptables rules with conntrack": "iptables -A FORWARD -m conntrack --ctstate INVALID -j DROP",
    "iptables rules with chances": "iptables -A FORWARD -m statistic --mode random --probability 0.5 -j DROP",
}


@dataclass(frozen=True)
class Survey:
    """What was found on this machine."""

    root: bool
    linux: bool
    missing_packages: tuple[str, ...]
    missing_cgroups: tuple[str, ...]
    failed_trials: tuple[str, ...]


def problems(survey: Survey) -> list[str]:
    """Say in one sentence each what stands in the way, with what to do about it."""
    if not survey.linux:
        return ["the local node needs Linux; on another system use kind (CLUSTER=kind) with Docker or Podman"]
    if not survey.root:
        return ["the local node needs root: run it with sudo, or use kind (CLUSTER=kind) with Docker or Podman"]
    found = []
    if survey.missing_packages:
        packages = " ".join(survey.missing_packages)
        found.append(f"missing tools; on Debian: apt-get install --no-install-recommends {packages}")
    if survey.missing_cgroups:
        found.append(f"the kernel offers no cgroup controller {', '.join(survey.missing_cgroups)}")
    found.extend(f"the kernel refuses {trial}" for trial in survey.failed_trials)
    return found


def check() -> None:
    """Install what Debian can supply, then fail with everything that is still missing."""
    with step("what this machine can do"):
        survey = look()
    if survey.linux and survey.root and survey.missing_packages and shutil.which("apt-get"):
        with step(f"install {' '.join(survey.missing_packages)}"):
            install(survey.missing_packages)
        survey = look()
    if found := problems(survey):
        raise Failure("this machine cannot run the local node:\n" + "\n".join(f"  - {one}" for one in found))


def look() -> Survey:
    """Survey this machine; changes nothing on it."""
    linux, root = os.uname().sysname == "Linux", os.geteuid() == 0
    commands = COMMANDS if any(map(answers, ENGINES)) else {**COMMANDS, **IMAGE_COMMANDS}
    packages = sorted({package for command, package in commands.items() if not shutil.which(command, path=SEARCH)})
    able = linux and root and not packages
    return Survey(
        root=root,
        linux=linux,
        missing_packages=tuple(packages),
        missing_cgroups=missing_controllers() if linux else (),
        failed_trials=tuple(name for name, script in TRIALS.items() if not succeeds(script)) if able else (),
    )


def missing_controllers() -> tuple[str, ...]:
    """Return the cgroup controllers that kubelet needs and no mounted tree has."""
    offered: set[str] = set()
    for tree in cgroups.mounted():
        v2 = tree / "cgroup.controllers"
        offered.update(v2.read_text().split() if v2.exists() else tree.name.split(","))
    return tuple(sorted(set(cgroups.NEEDED) - offered))


def succeeds(script: str) -> bool:
    """Try a shell command in throw-away namespaces, with a folder on the disk where clusters are kept."""
    with tempfile.TemporaryDirectory(dir="/var/lib") as folder:
        command = ["unshare", "--pid", "--mount", "--net", "--fork", "--kill-child", "sh", "-c", script, "sh", folder]
        environment = {**os.environ, "PATH": SEARCH}
        return subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0


def answers(engine: str) -> bool:
    """Tell whether a container engine is there and its service runs."""
    return (
        shutil.which(engine) is not None
        and subprocess.run([engine, "info"], capture_output=True, check=False).returncode == 0
    )


def install(packages: tuple[str, ...]) -> None:
    """Install Debian packages without asking anything."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update"], ["apt-get", "install", "--yes", "--no-install-recommends", *packages]):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            last = "\n".join((done.stdout + done.stderr).splitlines()[-5:])
            raise Failure(f"{' '.join(command)} failed:\n{last}")
