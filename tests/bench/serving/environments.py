"""What the bench needs that the workspace has not: the peers' environments and the load generator, built once each.

The libraries that load and run models have the workspace's versions everywhere, so that every server answers alike.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

LOAD = Path(__file__).parent / "loadgen"
UV_VERSION = "0.13.9"
SHARED = ("cloudpickle", "mlflow-skinny", "numpy", "pandas", "scikit-learn", "scipy", "xgboost-cpu")
PEERS: Mapping[str, tuple[str, ...]] = {
    "mlserver": ("mlserver==1.7.1", "mlserver-mlflow==1.7.1"),
    "plain": (
        "fastapi==0.165.0",
        "granian==2.8.9",
        "httptools==0.9.0",
        "orjson==3.13.0",
        "uvicorn==0.54.0",
        "uvloop==0.23.0",
    ),
}
# What else a reader wants to know the version of, where it is installed.
NAMED = ("mlflow", "httptools", "msgspec", "onnxruntime", "orjson", "pyarrow", "pydantic", "uvicorn", "uvloop")


def cache() -> Path:
    """Return where tools are kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "modelvane"


def uv() -> str:
    """Find uv: the Makefile's, else the one on the PATH."""
    for found in (cache() / f"uv-{UV_VERSION}" / "bin" / "uv", Path(sys.executable).parent / "uv"):
        if found.exists():
            return str(found)
    on_path = shutil.which("uv")
    if not on_path:
        raise SystemExit("bench-serving: uv is not there; `make bench-serving` installs it")
    return on_path


def requirements(peer: str) -> list[str]:
    """List what a peer's environment is made of."""
    return sorted([*PEERS[peer], *(f"{name}=={importlib.metadata.version(name)}" for name in SHARED)])


def ensure(peer: str) -> Path:
    """Return the Python of a peer's environment, built if it is not in the cache."""
    wanted = requirements(peer)
    key = hashlib.sha256("\n".join([sys.version.split()[0], *wanted]).encode()).hexdigest()[:12]
    folder = cache() / f"bench-{peer}-{key}"
    python = folder / "bin" / "python"
    with _locked():
        if (folder / ".complete").exists():
            return python
        print(f"bench-serving: installing {peer} into {folder}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        _run([uv(), "venv", "--quiet", "--python", os.path.realpath(sys.executable), str(folder)])
        _run([uv(), "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python), *wanted])
        (folder / ".complete").touch()
    return python


def load_generator() -> Path:
    """Return the load generator, built if the cache has none of this content."""
    digest = hashlib.sha256()
    for source in sorted([*LOAD.glob("*.go"), LOAD / "go.mod"]):
        digest.update(f"{source.name}\0".encode() + source.read_bytes())
    binary = cache() / "bin" / f"load-{digest.hexdigest()[:12]}"
    if binary.exists():
        return binary
    binary.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=binary.parent) as scratch:
        built = Path(scratch) / "loadgen"
        _run(["go", "build", "-trimpath", "-o", str(built), "."], cwd=LOAD, CGO_ENABLED="0")
        built.rename(binary)
    return binary


def versions(python: Path) -> dict[str, str]:
    """Ask an environment what it has, of what matters here."""
    listed = _run([uv(), "pip", "list", "--quiet", "--format", "json", "--python", str(python)])
    installed = {item["name"].lower(): item["version"] for item in json.loads(listed)}
    names = {*SHARED, *NAMED, *(pin.split("==")[0] for pins in PEERS.values() for pin in pins)}
    return {name: installed[name] for name in sorted(names) if name in installed}


class _locked:  # noqa: N801 - a context manager, used as a word
    """Two runs side by side would build the same environment twice."""

    def __enter__(self) -> None:
        cache().mkdir(parents=True, exist_ok=True)
        self._file = (cache() / "bench.lock").open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _run(command: list[str], cwd: Path | None = None, **environment: str) -> str:
    try:
        done = subprocess.run(
            command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise SystemExit(f"bench-serving: {command[0]} is not on the PATH") from None
    if done.returncode:
        raise SystemExit(f"bench-serving: {' '.join(command[:4])} failed:\n{done.stderr[-3000:]}")
    return done.stdout
