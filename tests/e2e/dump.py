"""Writes down a namespace as it was when a test failed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from examples.demo.evidence import telling_lines
from examples.demo.kube import CommandFailedError, Namespace

KINDS = "deployments,replicasets,statefulsets,services,endpointslices,pods,jobs,poddisruptionbudgets,leases"


def dump(namespace: Namespace, folder: Path) -> str:
    """Write resources, events and logs into a folder; return its path and the lines that tell most."""
    folder.mkdir(parents=True, exist_ok=True)
    for file, command in (
        ("resources.yaml", ("get", KINDS, "--output=yaml")),
        ("modelvane.yaml", ("get", "modeldeployments,modelregistries", "--output=yaml")),
        ("modelvane.txt", ("describe", "modeldeployments,modelregistries")),
        ("events.txt", ("get", "events", "--sort-by=.metadata.creationTimestamp", "--output=wide")),
    ):
        (folder / file).write_text(_said(namespace, *command))
    for pod, container in _containers(namespace):
        for suffix, flags in (("", ()), (".previous", ("--previous",))):
            said = _said(namespace, "logs", pod, f"--container={container}", *flags)
            if not said.startswith("`kubectl"):
                (folder / f"{pod}.{container}{suffix}.log").write_text(said)
    return "\n".join([f"events, resources and logs: {folder}", *telling_lines(namespace)])


def _containers(namespace: Namespace) -> Iterator[tuple[str, str]]:
    for pod in namespace.get_all("pods"):
        for container in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]:
            yield pod["metadata"]["name"], container["name"]


def _said(namespace: Namespace, *command: str) -> str:
    try:
        return namespace.kubectl(*command)
    except CommandFailedError as error:
        return str(error)
