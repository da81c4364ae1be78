"""A real MLflow server, and the program as a user starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.serving.registry import mlflow_server

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def mlflow_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a real MLflow server on SQLite."""
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as url:
        yield url


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run `modelvane` as a user without a kubeconfig would, in a pipe."""

    def start(*arguments: str, program: str = "modelvane", **env: str) -> subprocess.CompletedProcess[str]:
        inherited: Mapping[str, str] = {
            name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "KUBE"))
        }
        command = [str(Path(sys.executable).with_name(program)), *arguments]
        whole = {**inherited, "HOME": str(tmp_path), **env}
        return subprocess.run(command, env=whole, capture_output=True, text=True, timeout=120, check=False)

    return start
