"""The base of all images: the official Python image, or Debian packages where no registry can be reached."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from images import BuildError
from images.content import File, hash_of, write_context
from images.engines import Engine, Request
from images.runs import run

OFFICIAL = "docker.io/library/python:3.11-slim-bookworm"

# libgomp1: OpenMP for LightGBM. libstdc++6: numpy is linked with it, and the official image has it. usr-is-merged and
# its hook spare the conversion program, and all of Perl with it.
_MMDEBSTRAP = (
    "mmdebstrap",
    "--quiet",
    "--variant=essential",
    "--include=usr-is-merged,python3,ca-certificates,libgomp1,libstdc++6",
    "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/info/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--skip=output/dev",
    "bookworm",
)
_CONTAINERFILE = b'FROM scratch\nADD rootfs.tar /\nENV LANG=C.UTF-8\nCMD ["sh"]\n'
_RECIPE = hash_of({"Containerfile": File(_CONTAINERFILE)}, {"command": " ".join(_MMDEBSTRAP)})


@dataclass(frozen=True)
class Base:
    """What images are built on; the id tells one content from another, whichever engine holds it."""

    image: str
    id: str


DEBIAN = Base(f"docker.io/modelvane-test/debian:dev-{_RECIPE}", f"debian-{_RECIPE}")


def recall(folder: Path) -> Base | None:
    """Return the base chosen by an earlier build, so that a network that comes and goes changes no image.

    ``base.json`` is removed by hand to choose anew, which also takes a newer official image.
    """
    try:
        base = Base(**json.loads((folder / "base.json").read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return base if base == DEBIAN or base.image == OFFICIAL else None


def ensure(engine: Engine, folder: Path) -> Base:
    """Return a base that the engine has in its store, choosing one at the first build."""
    log = folder / "logs" / "base-image.log"
    chosen = recall(folder)
    if chosen is None or chosen.image == OFFICIAL:
        chosen = chosen if chosen and _in_store(engine, OFFICIAL) else _pull(engine)
    if chosen is None:
        chosen = DEBIAN
        if not _in_store(engine, DEBIAN.image):
            _build_debian(engine, folder, log)
    (folder / "base.json").write_text(json.dumps(asdict(chosen)) + "\n")
    return chosen


def _in_store(engine: Engine, ref: str) -> bool:
    done = subprocess.run(engine.find(ref), capture_output=True, text=True, check=False)
    return done.returncode == 0 and bool(done.stdout.strip())


def _pull(engine: Engine) -> Base | None:
    try:
        subprocess.run(engine.pull(OFFICIAL), capture_output=True, timeout=300, check=True)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return None
    digest = subprocess.run(engine.show_digest(OFFICIAL), capture_output=True, text=True, check=True).stdout.split()
    return Base(OFFICIAL, digest[0])


def _build_debian(engine: Engine, folder: Path, log: Path) -> None:
    rootfs = folder / f"debian-{_RECIPE}.rootfs.tar"
    if not rootfs.exists():
        if shutil.which("mmdebstrap") is None:
            raise BuildError(
                f"{OFFICIAL} cannot be pulled, and mmdebstrap, which would make a base from Debian packages, "
                "is not installed. On Debian: apt-get install mmdebstrap"
            )
        unfinished = folder / "unfinished.tar"
        run([*_MMDEBSTRAP, str(unfinished)], log, "base image from Debian packages")
        for old in folder.glob("debian-*.rootfs.tar"):
            old.unlink()
        unfinished.rename(rootfs)
    with tempfile.TemporaryDirectory(dir=folder) as context:
        write_context({"Containerfile": File(_CONTAINERFILE)}, Path(context))
        (Path(context) / "rootfs.tar").hardlink_to(rootfs)
        request = Request(DEBIAN.image, Path(context), base_image="scratch", labels={}, secrets={})
        run(engine.build(request), log, "base image")
