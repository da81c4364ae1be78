"""Runs kubectl and helm as a person would, and reads their JSON.

The demo and the end-to-end tests know the cluster only by KUBECONFIG and by the tools on PATH, so everything that they
do can be repeated by hand. This module decides nothing.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

Manifest = dict[str, Any]


class CommandFailedError(Exception):
    """A command ended with an error; the message is what it said."""

    def __init__(self, command: Sequence[str], said: str) -> None:
        super().__init__(f"`{' '.join(command)}` failed: {said.strip()}")
        self.said = said.strip()


def run(command: Sequence[str], *, stdin: str | None = None, seconds: float = 60) -> str:
    """Run a command and return what it printed, or raise with what it complained about."""
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as expired:
        raise CommandFailedError(command, f"no end after {seconds:.0f} s") from expired
    if done.returncode:
        raise CommandFailedError(command, done.stderr or done.stdout)
    return done.stdout


@dataclass(frozen=True)
class Namespace:
    """One namespace of the cluster, and what can be done in it."""

    name: str

    def create(self) -> None:
        """Make the namespace, refusing every pod that is not `restricted`; do nothing if it is there."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted", "app.kubernetes.io/part-of": "modelvane"}
        manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name, "labels": labels}}
        run(["kubectl", "apply", "--filename=-"], stdin=yaml.safe_dump(manifest))

    def delete(self, *, wait: bool) -> None:
        """Delete the namespace and all that is in it."""
        command = ["kubectl", "delete", "namespace", self.name, "--ignore-not-found", f"--wait={str(wait).lower()}"]
        run(command, seconds=180)

    def kubectl(self, *arguments: str, stdin: str | None = None, seconds: float = 60) -> str:
        """Run kubectl in this namespace."""
        return run(["kubectl", "--namespace", self.name, *arguments], stdin=stdin, seconds=seconds)

    def helm(self, *arguments: str, seconds: float = 300) -> str:
        """Run helm in this namespace."""
        return run(["helm", "--namespace", self.name, *arguments], seconds=seconds)

    def apply(self, *manifests: Manifest) -> None:
        """Apply resources."""
        self.kubectl("apply", "--filename=-", stdin=yaml.safe_dump_all(manifests))

    def get(self, kind: str, name: str) -> Manifest:
        """Read one resource."""
        found: Manifest = json.loads(self.kubectl("get", kind, name, "--output=json"))
        return found

    def find(self, kind: str, name: str) -> Manifest | None:
        """Read one resource that may not be there."""
        said = self.kubectl("get", kind, name, "--output=json", "--ignore-not-found")
        return json.loads(said) if said.strip() else None

    def get_all(self, kind: str, selector: str = "") -> list[Manifest]:
        """Read all resources of a kind, or those that a label selector picks."""
        found: list[Manifest] = json.loads(
            self.kubectl("get", kind, f"--selector={selector}", "--output=json"),
        )["items"]
        return found

    @contextlib.contextmanager
    def port_forward(self, target: str, port: int) -> Iterator[str]:
        """Open a way from this machine to a port in the cluster, and give its URL."""
        command = ["kubectl", "--namespace", self.name, "port-forward", target, f":{port}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            try:
                first = process.stdout.readline() if process.stdout else ""
                found = re.search(r"127\.0\.0\.1:(\d+)", first)
                if not found:
                    process.kill()
                    raise CommandFailedError(command, first + (process.stderr.read() if process.stderr else ""))
                # It says each connection on its output, and would stop at a full pipe.
                threading.Thread(target=_read_away, args=(process.stdout,), daemon=True).start()
                yield f"http://127.0.0.1:{found[1]}"
            finally:
                process.kill()

    def events(self) -> list[str]:
        """Read the namespace's events as lines, oldest first."""
        columns = "LAST:.lastTimestamp,TYPE:.type,REASON:.reason,OBJECT:.involvedObject.name,MESSAGE:.message"
        said = self.kubectl(
            "get", "events", f"--output=custom-columns={columns}", "--sort-by=.metadata.creationTimestamp"
        )
        return said.splitlines()[1:]


def _read_away(output: Iterable[str] | None) -> None:
    for _ in output or ():
        pass


def find_cluster_wide(kind: str, name: str) -> Manifest | None:
    """Read a resource that is in no namespace and may not be there."""
    said = run(["kubectl", "get", kind, name, "--output=json", "--ignore-not-found"])
    return json.loads(said) if said.strip() else None


def conditions(resource: Manifest) -> dict[str, Manifest]:
    """Return a resource's conditions by their type."""
    return {condition["type"]: condition for condition in resource.get("status", {}).get("conditions", [])}


def is_true(resource: Manifest, condition: str) -> bool:
    """Tell whether a condition of a resource is met."""
    return conditions(resource).get(condition, {}).get("status") == "True"


def wait_gone(namespace: Namespace, kind: str, selector: str, *, seconds: float) -> None:
    """Wait until no resource of a kind has a label."""
    deadline = time.monotonic() + seconds
    while left := namespace.get_all(kind, selector):
        if time.monotonic() > deadline:
            names = ", ".join(item["metadata"]["name"] for item in left)
            raise TimeoutError(f"{kind} still there after {seconds:.0f} s: {names}")
        time.sleep(0.5)
