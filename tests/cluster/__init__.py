"""The Kubernetes cluster that tests and the demo run on: one command line for four kinds of it.

``python -m tests.cluster up`` starts a cluster, ``env`` prints the shell exports that point helm and kubectl at
it. Nothing outside this package knows which kind of cluster it is talking to.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cluster:
    """A cluster that can be used: its name and the file that says how to reach it."""

    name: str
    kubeconfig: Path


class Failure(Exception):  # noqa: N818 - it is reported to a person, not caught by type
    """Something the user must read; its text is the whole message."""
