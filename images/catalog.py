"""What images there are, and the files each is made from. Reads the checkout; builds nothing."""

from __future__ import annotations

import subprocess
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from images import BuildError, host
from images.content import File, read_folder

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Image:
    """One image: its repository, and where its context comes from."""

    repository: str
    folder: str
    """Holds the Containerfile."""
    files: tuple[str, ...] = ()
    """Further files of the folder that the build sees; a name that ends with '/' is a folder."""
    shared: tuple[str, ...] = ()
    """Files beside this module that the build sees."""
    locked: str | None = None
    """The member of the workspace whose locked dependencies are installed."""
    version_of: str | None = None
    """The locked package whose version the image is labelled with."""


_PYTHON = ("make-venv.sh", "prepare-base.sh")
_PACKAGE = (*_PYTHON, "install-package.sh", "build-requirements.txt")

IMAGES: Mapping[str, Image] = {
    "mlflow": Image(
        "docker.io/modelvane/mlflow",
        "images/mlflow",
        shared=_PYTHON,
        locked="modelvane-mlflow-server",
        version_of="mlflow",
    ),
    "serving": Image(
        "docker.io/modelvane/serving",
        "serving",
        files=("pyproject.toml", "src/"),
        shared=_PACKAGE,
        locked="modelvane-serving",
        version_of="modelvane-serving",
    ),
    "operator": Image(
        "docker.io/modelvane/operator",
        "operator",
        files=("pyproject.toml", "src/"),
        shared=_PACKAGE,
        locked="modelvane",
        version_of="modelvane",
    ),
    # For tests only: what the charts take from public registries, made from packages.
    "postgres": Image(
        "docker.io/modelvane-test/postgres",
        "tests/cluster/images/postgres",
        files=("docker-entrypoint.sh", "requirements.txt"),
    ),
    "seaweedfs": Image(
        "docker.io/modelvane-test/seaweedfs",
        "tests/cluster/images/seaweedfs",
        files=("requirements.txt",),
    ),
    "traefik": Image(
        "docker.io/modelvane-test/traefik",
        "tests/cluster/images/traefik",
        files=("requirements.txt",),
    ),
    "envoy": Image(
        "docker.io/modelvane-test/envoy",
        "tests/cluster/images/envoy",
        files=("requirements.txt",),
    ),
    "base": Image("docker.io/modelvane-test/base", "tests/cluster/images/base"),
}


def read_context(image: Image, root: Path = ROOT) -> dict[str, File]:
    """Return all files that the build of an image can see, by their path in its context."""
    folder = root / image.folder
    files: dict[str, File] = {}
    for name in ("Containerfile", *image.files):
        if name.endswith("/"):
            files |= read_folder(folder / name, prefix=name)
        else:
            files[name] = File.read(folder / name)
    for name in image.shared:
        files[name] = File.read(root / "images" / name)
    if image.locked:
        files["requirements.txt"] = File(export_lock(image.locked, root))
    return files


def export_lock(member: str, root: Path = ROOT) -> bytes:
    """Return the locked dependencies of one member with their hashes, as a requirements file."""
    flags = ("--no-dev", "--no-emit-workspace", "--no-header", "--no-annotate")
    command = [str(host.find_uv()), "export", "--quiet", "--frozen", *flags, "--package", member]
    done = subprocess.run(command, cwd=root, capture_output=True, check=False)
    if done.returncode:
        raise BuildError(f"uv cannot export the dependencies of {member} from uv.lock:\n{done.stderr.decode()}")
    return done.stdout


@cache
def locked_versions(root: Path = ROOT) -> Mapping[str, str]:
    """Return the version of each package in uv.lock."""
    lock = tomllib.loads((root / "uv.lock").read_text())
    return {package["name"]: package["version"] for package in lock["package"]}


def read_labels(image: Image, root: Path = ROOT) -> dict[str, str]:
    """Return the labels that a Containerfile cannot know."""
    if image.version_of is None:
        return {}
    return {"org.opencontainers.image.version": locked_versions(root)[image.version_of]}
