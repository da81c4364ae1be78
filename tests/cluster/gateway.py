"""A gateway in the cluster: the CRDs of the Gateway API, and a controller with a Gateway to attach HTTPRoutes to.

The controller is Traefik, the one of the common ones that a package registry has as a binary.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Protocol

from images.build import Built
from tests.cluster import Failure, places, toolchain, versions
from tests.cluster.steps import step

MANIFEST = places.HERE / "gateway.yaml"
MODULE = "sigs.k8s.io/gateway-api"
GO_MOD = places.HERE / "gateway-api" / "go.mod"
NAMESPACE = "gateway-system"
SECONDS = 120


class Kubectl(Protocol):
    """Runs kubectl on one cluster, and fails with what it said."""

    def __call__(self, *arguments: str, given: str | None = None) -> None:
        """Run it with these arguments and this standard input."""


def install(kubectl: Kubectl, images: Sequence[Built]) -> None:
    """Apply the CRDs and the controller; a cluster that has both is asked for no change."""
    manifest = render(images)
    file = ensure_crds()
    with step("Gateway API"):
        kubectl("apply", "--server-side", f"--filename={file}")
        kinds = [f"crd/{plural}.gateway.networking.k8s.io" for plural in ("gatewayclasses", "gateways", "httproutes")]
        kubectl("wait", *kinds, "--for=condition=Established", f"--timeout={SECONDS}s")
        kubectl("apply", "--server-side", "--filename=-", given=manifest)


def wait(kubectl: Kubectl) -> None:
    """Wait until HTTPRoutes can be attached."""
    with step("gateway ready"):
        where = (f"--namespace={NAMESPACE}", f"--timeout={SECONDS}s")
        kubectl("rollout", "status", "deployment/traefik", *where)
        kubectl("wait", "gateway/modelvane", "--for=condition=Programmed", *where)


def render(images: Sequence[Built]) -> str:
    """Return the controller's manifest with its image."""
    (traefik,) = (image.ref for image in images if "/traefik:" in image.ref)
    return Template(MANIFEST.read_text()).substitute(TRAEFIK_IMAGE=traefik)


def ensure_crds() -> Path:
    """Return one file with the CRDs of the pinned version, which the module proxy has as part of a Go module."""
    version = versions.module_version(GO_MOD.read_text(), MODULE)
    kept = places.cache() / f"gateway-api-{version}.yaml"
    if not kept.exists():
        go = toolchain.go(GO_MOD)
        with step(f"CRDs of the Gateway API {version}"):
            _write(kept, sorted((_download(go) / "config" / "crd" / "standard").glob("*.yaml")))
    return kept


def _download(go: Path) -> Path:
    """Return the folder of the module in Go's own cache, checked against go.sum."""
    command = [str(go), "mod", "download", "-json", MODULE]
    done = subprocess.run(command, cwd=GO_MOD.parent, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failure(f"{' '.join(command)}:\n{done.stdout.strip()}\n{done.stderr.strip()}")
    return Path(json.loads(done.stdout)["Dir"])


def _write(target: Path, parts: Sequence[Path]) -> None:
    """Join files so that the result appears whole or not at all."""
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        whole = Path(scratch, "whole")
        whole.write_text("\n---\n".join(part.read_text() for part in parts))
        whole.rename(target)
