"""Gateways in the cluster: the CRDs of the Gateway API, and controllers with a Gateway each to attach HTTPRoutes to.

Traefik is always there: a package registry has it as a binary. Envoy Gateway is there for who asks for it: it can
mirror requests, and its first build takes minutes.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Protocol

from images.build import Built
from tests.cluster import Failure, places, toolchain, tools, versions
from tests.cluster.steps import step

NAMESPACE = "gateway-system"
SECONDS = 120


@dataclass(frozen=True)
class Crds:
    """CRDs that are files of a Go module, which the module proxy has where GitHub cannot be reached."""

    module: str
    go_mod: Path
    folder: str


GATEWAY_API = Crds("sigs.k8s.io/gateway-api", places.HERE / "gateway-api" / "go.mod", "config/crd/standard")
ENVOY = Crds(
    "github.com/envoyproxy/gateway",
    tools.ENVOY.module / "go.mod",
    "charts/gateway-helm/charts/crds/crds/generated",
)


class Kubectl(Protocol):
    """Runs kubectl on one cluster, and fails with what it said."""

    def __call__(self, *arguments: str, given: str | None = None) -> None:
        """Run it with these arguments and this standard input."""


def install(kubectl: Kubectl, images: Sequence[Built]) -> None:
    """Apply the CRDs and Traefik; a cluster that has both is asked for no change."""
    manifest = render("gateway.yaml", {"TRAEFIK_IMAGE": ref_of("traefik", images)})
    file = ensure_crds(GATEWAY_API)
    with step("Gateway API"):
        kubectl("apply", "--server-side", f"--filename={file}")
        _established(kubectl, "gatewayclasses.gateway.networking.k8s.io", "gateways.gateway.networking.k8s.io")
        kubectl("apply", "--server-side", "--filename=-", given=manifest)


def wait(kubectl: Kubectl) -> None:
    """Wait until HTTPRoutes can be attached to Traefik's Gateway."""
    with step("gateway ready"):
        _ready(kubectl, "deployment/traefik", "gateway/modelvane")


def install_envoy(kubectl: Kubectl, images: Sequence[Built]) -> None:
    """Apply Envoy Gateway with its CRDs, and wait until HTTPRoutes can be attached to its Gateway."""
    refs = {"ENVOY_IMAGE": ref_of("envoy", images), "ENVOY_GATEWAY_IMAGE": tools.image_ref("envoy-gateway")}
    manifest = render("envoy.yaml", refs)
    file = ensure_crds(ENVOY)
    with step("Envoy Gateway"):
        kubectl("apply", "--server-side", f"--filename={file}")
        _established(kubectl, "envoyproxies.gateway.envoyproxy.io")
        kubectl("apply", "--server-side", "--filename=-", given=manifest)
        _ready(kubectl, "deployment/envoy-gateway", "gateway/envoy")


def ref_of(name: str, images: Sequence[Built]) -> str:
    """Return the reference of an image by its name in the catalog."""
    (ref,) = (image.ref for image in images if f"/{name}:" in image.ref)
    return ref


def render(name: str, values: Mapping[str, str]) -> str:
    """Return a manifest with its images."""
    return Template((places.HERE / name).read_text()).substitute(values)


def ensure_crds(crds: Crds) -> Path:
    """Return one file with the CRDs of the pinned version."""
    version = versions.module_version(crds.go_mod.read_text(), crds.module)
    kept = places.cache() / f"crds-{crds.module.replace('/', '-')}-{version}.yaml"
    if not kept.exists():
        go = toolchain.go(crds.go_mod)
        with step(f"CRDs of {crds.module} {version}"):
            _write(kept, sorted((_download(go, crds) / crds.folder).glob("*.yaml")))
    return kept


def _established(kubectl: Kubectl, *names: str) -> None:
    kubectl("wait", *(f"crd/{name}" for name in names), "--for=condition=Established", f"--timeout={SECONDS}s")


def _ready(kubectl: Kubectl, deployment: str, gateway: str) -> None:
    where = (f"--namespace={NAMESPACE}", f"--timeout={SECONDS}s")
    kubectl("rollout", "status", deployment, *where)
    kubectl("wait", gateway, "--for=condition=Programmed", *where)


def _download(go: Path, crds: Crds) -> Path:
    """Return the folder of the module in Go's own cache, checked against go.sum."""
    command = [str(go), "mod", "download", "-json", crds.module]
    done = subprocess.run(command, cwd=crds.go_mod.parent, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failure(f"{' '.join(command)}:\n{done.stdout.strip()}\n{done.stderr.strip()}")
    return Path(json.loads(done.stdout)["Dir"])


def _write(target: Path, parts: Sequence[Path]) -> None:
    """Join files so that the result appears whole or not at all."""
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        whole = Path(scratch, "whole")
        whole.write_text("\n---\n".join(part.read_text() for part in parts))
        whole.rename(target)
