"""The programs that can build an image, and the commands each takes for it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from images import BuildError


@dataclass(frozen=True)
class Request:
    """All that an engine is told about one build."""

    ref: str
    context: Path
    base_image: str
    labels: Mapping[str, str]
    secrets: Mapping[str, Path]


@dataclass(frozen=True)
class Engine:
    """How one program builds, saves, pulls and removes an image."""

    name: str
    probe: tuple[str, ...]
    """Ends well only if the engine can work: the client of Docker is often there without its daemon."""
    build_command: tuple[str, ...]

    def build(self, request: Request) -> list[str]:
        """Return the command that builds an image."""
        labels = [f"--label={key}={value}" for key, value in sorted(request.labels.items())]
        secrets = [f"--secret=id={key},src={path}" for key, path in sorted(request.secrets.items())]
        return [
            *self.build_command,
            # A proxy or a package index on this machine's loopback stays reachable.
            "--network=host",
            f"--build-arg=BASE_IMAGE={request.base_image}",
            *labels,
            *secrets,
            f"--tag={request.ref}",
            f"--file={request.context / 'Containerfile'}",
            str(request.context),
        ]

    def save(self, ref: str, archive: Path) -> list[str]:
        """Return the command that writes an image to an archive.

        zstd where the engine has it: fast on both ends, while gzip took a quarter of all building time.
        """
        match self.name:
            case "docker":
                return ["docker", "save", f"--output={archive}", ref]
            case "podman":
                return ["podman", "save", "--quiet", "--format=oci-archive", f"--output={archive}", ref]
            case _:
                zstd = ["--compression-format=zstd", "--compression-level=1"]
                return ["buildah", "push", "--quiet", *zstd, ref, f"oci-archive:{archive}:{ref}"]

    def pull(self, ref: str) -> list[str]:
        """Return the command that fetches an image from its registry."""
        return [self.name, "pull", "--quiet", ref]

    def show_digest(self, ref: str) -> list[str]:
        """Return the command that prints the digest of a pulled image."""
        return [self.name, "images", "--digests", "--format", "{{.Digest}}", ref]

    def find(self, ref: str) -> list[str]:
        """Return the command that prints something only if the image is in the engine's store."""
        return [self.name, "images", "--quiet", ref]

    def remove(self, ref: str) -> list[str]:
        """Return the command that drops an image from the engine's store."""
        return [self.name, "rmi", ref]


ENGINES = (
    Engine("docker", ("docker", "info"), ("docker", "buildx", "build", "--load")),
    Engine("podman", ("podman", "info"), ("podman", "build", "--layers", "--format=oci")),
    # chroot: works without user namespaces and cgroups of its own, as in a CI container.
    Engine("buildah", ("buildah", "info"), ("buildah", "bud", "--isolation=chroot", "--layers", "--format=oci")),
)


def answers(command: Sequence[str]) -> bool:
    """Say whether a command is there and ends well."""
    if shutil.which(command[0]) is None:
        return False
    try:
        return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def choose(answers: Callable[[Sequence[str]], bool] = answers) -> Engine:
    """Return the first engine that answers."""
    for engine in ENGINES:
        if answers(engine.probe):
            return engine
    names = ", ".join(engine.name for engine in ENGINES)
    raise BuildError(f"no container engine answers (tried {names}). On Debian: apt-get install buildah")
