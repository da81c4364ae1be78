"""What a cluster is called."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from tests.cluster import Failure

# Part of a path, a cgroup, a container's name (kind) and a kubeconfig context.
NAME = re.compile(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?")


def default_name(checkout: Path) -> str:
    """Name a cluster after its checkout.

    The hash keeps two clones of the same name apart; it is made from the path, so the name stays the same.
    """
    words = re.sub(r"[^a-z0-9]+", "-", checkout.name.lower()).strip("-")
    if not words[:1].isalpha():
        words = f"m-{words}".rstrip("-")
    return f"{words[:24].rstrip('-')}-{hashlib.sha256(str(checkout).encode()).hexdigest()[:6]}"


def checked_name(name: str) -> str:
    """Return the name if a cluster can be called that."""
    if not NAME.fullmatch(name):
        raise Failure(
            f"cluster name {name!r}: use 1 to 40 of a-z, 0-9 and '-', beginning with a letter and not ending with '-'"
        )
    return name
