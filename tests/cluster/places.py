"""Where things are kept, and what a cluster is called."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from tests.cluster import Failure

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
STATE = Path("/var/lib/modelvane")
NAME = re.compile(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?")


def cache() -> Path:
    """Return the folder of everything that can be made again: binaries, images, downloads."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "modelvane"


def state(name: str) -> Path:
    """Return the folder of one running local cluster, removed with it."""
    return STATE / name


def default_name(checkout: Path) -> str:
    """Name a cluster after its checkout.

    The hash keeps two clones of the same name apart; it is made from the path, so the name stays the same.
    """
    words = re.sub(r"[^a-z0-9]+", "-", checkout.name.lower()).strip("-")
    if not words or not words[0].isalpha():
        words = f"m-{words}".rstrip("-")
    return f"{words[:24].rstrip('-')}-{hashlib.sha256(str(checkout).encode()).hexdigest()[:6]}"


def checked_name(name: str) -> str:
    """Return the name if it can be part of a path, a cgroup and a kubeconfig context."""
    if not NAME.fullmatch(name):
        raise Failure(
            f"cluster name {name!r}: use 1 to 40 of a-z, 0-9 and '-', beginning with a letter and not ending with '-'"
        )
    return name
