"""Imports MLflow without the parts of it that neither command uses.

`import mlflow` pulls in its GenAI judges and their gateway (FastAPI and all), a third of its start time. Those are put
off until somebody touches them, by the standard library's own lazy loader, so a model that does use them still can.
"""

import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType
from typing import Final

DEFERRED: Final = frozenset({"mlflow.genai", "mlflow.projects"})


class _DeferringFinder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in DEFERRED:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


def prepare() -> None:
    """Prepare this process for its first `import mlflow`."""
    sys.meta_path.insert(0, _DeferringFinder())
    # MLflow reads these when it is imported. Its own log handler would write lines that are not JSON.
    os.environ.setdefault("MLFLOW_CONFIGURE_LOGGING", "false")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # Kubernetes restarts a failed fetch with its own backoff: a few tries here, so that the reason is seen soon.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
