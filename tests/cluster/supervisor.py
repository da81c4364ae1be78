"""PID 1 of the local node: starts its processes and, by dying, ends every one of them.

``local`` runs this inside new PID, mount, network, IPC and UTS namespaces. The kernel kills what is left in a PID
namespace when its PID 1 ends, and takes down the mounts, links and iptables rules with the namespaces: whatever
happens to this process, nothing of the node outlives it. It must therefore never move a process out of them.

Usage: ``python -m tests.cluster.supervisor <state folder> <binaries> <listening socket>``
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from itertools import pairwise
from pathlib import Path

from tests.cluster.components import API_PORT, PKI, RUN, Component, Plan, Stage

# What the node has of its own, and the folder of the state that it is kept in.
OWN_FOLDERS = {"/tmp": "tmp", "/var/lib": "lib", "/var/log": "log"}  # noqa: S108
VOLUMES = Path("/tmp/hostpath_pv")  # noqa: S108 - kube-controller-manager has this path built in
# A process that ends more often than this in a minute is not going to stay.
MOST_ENDS = 5
CHUNK = 65536


def main() -> None:
    """Prepare the namespaces, start everything, then reap and restart until killed."""
    state, binaries, listener = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    isolate(state, binaries)
    plan: Plan = json.loads(Path(f"{RUN}/plan.json").read_text())
    for command in plan["setup"]:
        subprocess.run(command, check=True)
    node = Node()
    node.start(plan["stages"][0]["components"])
    for target in (lambda: node.start_in_order(plan["stages"]), lambda: forward(listener), open_volumes):
        threading.Thread(target=target, daemon=True).start()
    node.reap()


def isolate(state: Path, binaries: Path) -> None:
    """Give the node its own /run, /tmp, /var/lib and /var/log.

    The state folder and the binaries may themselves be below one of these, so they are bound into /run first.
    """

    def mount(*arguments: str | Path) -> None:
        subprocess.run(["mount", *arguments], check=True)

    # Private towards the machine (unshare did that), shared below here: volumes with mount propagation need it.
    mount("--make-rshared", "/")
    mount("-t", "tmpfs", "-o", "mode=755", "modelvane", "/run")
    Path(RUN).mkdir()
    mount("--bind", state, RUN)
    mount("--bind", binaries, f"{RUN}/bin")
    for path, folder in OWN_FOLDERS.items():
        mount("--bind", f"{RUN}/{folder}", path)
    os.chdir("/")


class Node:
    """The processes of the node by their PID; two threads start them and one of them also reaps."""

    def __init__(self) -> None:
        self.running: dict[int, Component] = {}
        self.ends: dict[str, list[float]] = {}
        self.lock = threading.Lock()

    def start(self, components: list[Component]) -> None:
        """Start processes whose output goes to a log file each."""
        environment = {"PATH": f"{RUN}/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
        for component in components:
            # Held while forking, so that a process that dies at once is known by the time it is reaped.
            with self.lock, Path(f"{RUN}/logs/{component['name']}.log").open("ab") as log:
                process = subprocess.Popen(
                    component["command"], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
                self.running[process.pid] = component
                # Reaped by `reap`; without this Popen would warn when it is collected.
                process.returncode = 0

    def start_in_order(self, stages: list[Stage]) -> None:
        """Start each further stage when the one before it says that it is ready."""
        trust = ssl.create_default_context(cafile=f"{PKI}/ca.crt")
        for before, stage in pairwise(stages):
            while not is_ready(before["ready"], trust):
                time.sleep(0.05)
            self.start(stage["components"])

    def reap(self) -> None:
        """Collect every process that ends, orphans of containers too; restart those of the node."""
        while True:
            pid, status = os.wait()
            with self.lock:
                component = self.running.pop(pid, None)
            if component is None:
                continue
            name = component["name"]
            now = time.monotonic()
            self.ends[name] = [end for end in self.ends.get(name, []) if now - end < 60] + [now]
            print(f"{time.strftime('%H:%M:%S')} {name} ended with {os.waitstatus_to_exitcode(status)}", flush=True)
            if len(self.ends[name]) > MOST_ENDS:
                sys.exit(f"{name} ended {len(self.ends[name])} times in a minute; giving up")
            time.sleep(1)
            self.start([component])


def is_ready(url: str, trust: ssl.SSLContext) -> bool:
    """Tell whether a component answers 200."""
    try:
        with urllib.request.urlopen(url, timeout=5, context=trust) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def forward(listener: int) -> None:
    """Carry connections from the machine's loopback to the API server.

    A socket stays in the network namespace that it was made in: this one listens on the machine's loopback
    although the process that accepts from it is in the node's namespace.
    """
    accepting = socket.socket(fileno=listener)
    while True:
        outside, _ = accepting.accept()
        try:
            inside = socket.create_connection(("127.0.0.1", API_PORT))
        except OSError:
            outside.close()
            continue
        for end in (outside, inside):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for source, sink in ((outside, inside), (inside, outside)):
            threading.Thread(target=carry, args=(source, sink), daemon=True).start()


def carry(source: socket.socket, sink: socket.socket) -> None:
    """Copy one direction of a connection until it ends, then end it on the other side."""
    try:
        while data := source.recv(CHUNK):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        # One side was reset: end both, which also ends the thread of the other direction.
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


def open_volumes() -> None:
    """Let every user write to provisioned volumes.

    The provisioner makes them 0750, whatever its umask, and kubelet applies no fsGroup to host paths.
    """
    seen: set[str] = set()
    VOLUMES.mkdir(exist_ok=True)
    while True:
        volumes = {entry.name: entry for entry in os.scandir(VOLUMES)}
        for name in volumes.keys() - seen:
            os.chmod(volumes[name], 0o777)  # noqa: S103
        seen = set(volumes)
        time.sleep(0.2)


if __name__ == "__main__":
    main()
