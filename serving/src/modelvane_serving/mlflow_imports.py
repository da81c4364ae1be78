"""Imports MLflow without the parts of it that a command does not use.

`import mlflow` takes more than a second, which is part of every rollout, twice. What is not needed here is put off
until somebody touches it, by the standard library's own lazy loader, so a model that does use it still can. `fetch`
goes further: to it, pandas and numpy are not installed, which MLflow's client (mlflow-skinny) supports.
"""

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType
from typing import Final

# GenAI judges, the AI gateway with its FastAPI, and the running of projects.
DEFERRED: Final = frozenset({"mlflow.genai", "mlflow.gateway", "mlflow.projects"})
# Half of what `import mlflow` takes, to move files.
NOT_FOR_FETCH: Final = ("numpy", "pandas", "scipy")


class _DeferringFinder:
    """A finder on sys.meta_path (importlib.abc would bring in more than it saves)."""

    @staticmethod
    def find_spec(fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname not in DEFERRED:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


def prepare(*, data_libraries: bool) -> None:
    """Prepare this process for its first `import mlflow`."""
    sys.meta_path.insert(0, _DeferringFinder())
    if not data_libraries:
        # The import system's own way to say that there is no such module.
        sys.modules.update(dict.fromkeys(NOT_FOR_FETCH))  # type: ignore[arg-type]
    # MLflow reads these when it is imported. Its own log handler would write lines that are not JSON.
    os.environ.setdefault("MLFLOW_CONFIGURE_LOGGING", "false")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # A server with an S3 store offers links into that store, which need not be reachable from here, by name or at all.
    # Through the server is the way that works wherever the registry does.
    os.environ.setdefault("MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD", "false")
    # Kubernetes restarts a failed fetch with its own backoff: a few tries here, so that the reason is seen soon.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
