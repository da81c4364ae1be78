"""Installs and removes the two charts of the demo by helm, as README says."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from examples.demo.kube import Manifest, Namespace, find_cluster_wide, run, wait_gone

ROOT = Path(__file__).parents[2]
CRDS = ("modeldeployments.serving.modelvane.dev", "modelregistries.serving.modelvane.dev")
MADE_BY_US = {"app.kubernetes.io/part-of": "modelvane"}


def image_values(chart: str) -> dict[str, Any]:
    """Return the values that point a chart at the images built from this checkout."""
    printed = run([sys.executable, "-m", "images.build", "--values", chart], seconds=1800)
    values: dict[str, Any] = yaml.safe_load(printed)
    return values


def reference(image: Mapping[str, str]) -> str:
    """Return the image reference that a chart makes of its `image` values."""
    return f"{image['repository']}:{image['tag']}"


def install(
    namespace: Namespace, release: str, chart: str, *values: Mapping[str, Any], flags: tuple[str, ...] = ()
) -> None:
    """Install or upgrade a chart of this checkout and wait until it is ready; later values win."""
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, mapping in enumerate(values):
            files.append(Path(folder, f"{number}.yaml"))
            files[-1].write_text(yaml.safe_dump(dict(mapping)))
        arguments = [f"--values={file}" for file in files]
        where = str(ROOT / "charts" / chart)
        namespace.helm(
            "upgrade", "--install", release, where, "--wait", "--timeout=4m", *arguments, *flags, seconds=300
        )


def may_install_crds(namespace: Namespace, release: str) -> bool:
    """Tell whether the CRDs are missing or this release's own, so that helm can install them."""
    return all(
        crd is None or _is_owned(crd, namespace, release) for crd in (find_cluster_wide("crd", name) for name in CRDS)
    )


def uninstall(namespace: Namespace) -> list[str]:
    """Remove all that the demo made; return what stays, and why."""
    found = find_cluster_wide("namespace", namespace.name)
    if found is None:
        return []
    if not MADE_BY_US.items() <= found["metadata"].get("labels", {}).items():
        return [f"namespace {namespace.name}: it was not made by the demo"]
    owned = [
        name for name in CRDS if (crd := find_cluster_wide("crd", name)) and _is_owned(crd, namespace, "modelvane")
    ]
    if find_cluster_wide("crd", CRDS[0]):
        namespace.kubectl("delete", "modeldeployments", "--all", "--wait", seconds=120)
        wait_gone(namespace, "pods", "app.kubernetes.io/managed-by=modelvane", seconds=120)
    for release in ("modelvane", "mlflow"):
        namespace.helm("uninstall", release, "--ignore-not-found", "--wait")
    namespace.delete(wait=True)
    if owned and (users := _users_of_crds()):
        return [f"the CRDs, because other namespaces have resources of theirs: {', '.join(users)}"]
    for name in owned:
        run(["kubectl", "delete", "crd", name, "--ignore-not-found"])
    return []


def _users_of_crds() -> list[str]:
    column = "--output=custom-columns=N:.metadata.namespace,NAME:.metadata.name"
    command = ["kubectl", "get", ",".join(CRDS), "--all-namespaces", "--no-headers", column]
    return ["/".join(line.split()) for line in run(command).splitlines()]


def _is_owned(crd: Manifest, namespace: Namespace, release: str) -> bool:
    annotations = crd["metadata"].get("annotations", {})
    owner = annotations.get("meta.helm.sh/release-namespace"), annotations.get("meta.helm.sh/release-name")
    return owner == (namespace.name, release)
