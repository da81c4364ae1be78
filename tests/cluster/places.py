"""Where things are kept."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
STATE = Path("/var/lib/modelvane")


def cache() -> Path:
    """Return the folder of everything that can be made again: binaries, images, downloads."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "modelvane"


def state(name: str) -> Path:
    """Return the folder of one running local cluster, removed with it."""
    return STATE / name
