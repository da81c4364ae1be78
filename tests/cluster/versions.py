"""Versions, read from the one place that pins them: ``node/go.mod``."""

from __future__ import annotations

import re
from functools import cache

from tests.cluster.places import HERE

GO_MOD = HERE / "node" / "go.mod"


def module_version(go_mod: str, module: str) -> str:
    """Return the version that a go.mod requires of a module, such as ``v1.36.3``."""
    found = re.search(rf"^\s*(?:require\s+)?{re.escape(module)} (v\S+)", go_mod, re.MULTILINE)
    if not found:
        raise LookupError(f"{module} is not required by go.mod")
    return found[1]


def go_version(go_mod: str) -> str:
    """Return the least Go version that a go.mod accepts, such as ``1.26.8``."""
    found = re.search(r"^go (\d\S*)", go_mod, re.MULTILINE)
    if not found:
        raise LookupError("go.mod has no go line")
    return found[1]


@cache
def of(module: str) -> str:
    """Return the pinned version of a module."""
    return module_version(GO_MOD.read_text(), module)


def kubernetes() -> str:
    """Return the pinned Kubernetes version, such as ``v1.36.3``."""
    return of("k8s.io/kubernetes")


def as_numbers(version: str) -> tuple[int, ...]:
    """Make versions comparable: ``go1.26.8`` and ``v1.26`` become (1, 26, 8) and (1, 26)."""
    return tuple(int(part) for part in re.findall(r"\d+", re.split("[- ]", version, maxsplit=1)[0]))
