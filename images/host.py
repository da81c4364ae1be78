"""What the build takes from the machine it runs on: uv, its CA bundle, its proxy and package index settings."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path

from images import BuildError

UV_VERSION = "0.13.9"

# Where a build finds the CA bundle while it runs; secrets are never part of a layer.
CA_IN_BUILD = "/run/secrets/ca"
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")
_INDEXES = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_HTTP_TIMEOUT")


def cache() -> Path:
    """Return the folder of everything that can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "modelvane"


def find_uv() -> Path:
    """Return the uv of this machine: the one on the PATH, or the one that the Makefile installs."""
    candidates = [shutil.which("uv"), cache() / f"uv-{UV_VERSION}" / "bin" / "uv"]
    for candidate in candidates:
        if candidate and Path(candidate).is_file():
            return Path(candidate)
    raise BuildError(f"uv is not on the PATH: `make .venv/.synced` or `pip install uv=={UV_VERSION}` installs it")


def ensure_linux_uv() -> Path:
    """Return a uv that runs inside a build, which is Linux whatever this machine is."""
    machine = {"arm64": "aarch64", "amd64": "x86_64"}.get(platform.machine().lower(), platform.machine())
    folder = cache() / f"uv-{UV_VERSION}-linux-{machine}"
    if not (folder / "bin" / "uv").exists():
        command = [str(find_uv()), "pip", "install", "--quiet", "--no-config", "--only-binary", ":all:"]
        where = ["--python-platform", f"{machine}-manylinux_2_28", "--python-version", "3.11", "--target", str(folder)]
        done = subprocess.run([*command, *where, f"uv=={UV_VERSION}"], capture_output=True, text=True, check=False)
        if done.returncode:
            raise BuildError(f"uv {UV_VERSION} for use inside the builds cannot be had:\n{done.stderr}")
    return folder / "bin" / "uv"


def find_ca(environ: Mapping[str, str]) -> Path | None:
    """Return the CA bundle that programs on this machine trust, which may hold a company's own authority."""
    usual = ssl.get_default_verify_paths().cafile
    for candidate in (environ.get("SSL_CERT_FILE"), environ.get("REQUESTS_CA_BUNDLE"), usual):
        if candidate and Path(candidate).is_file():
            return Path(candidate)
    return None


def write_settings(environ: Mapping[str, str], ca: Path | None) -> str:
    """Return shell lines that give a build the host's way to the network."""
    wanted = [*_PROXIES, *(name.upper() for name in _PROXIES), *_INDEXES]
    settings = {name: environ[name] for name in wanted if environ.get(name)}
    if ca:
        settings["SSL_CERT_FILE"] = CA_IN_BUILD
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(settings.items()))
