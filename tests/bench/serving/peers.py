"""The servers that are measured: how each is started for a model, and the ways in which it is asked."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.serving.dialects import Arrow, Binary, Columns, Dialect, Echo, Split
from tests.bench.serving.environments import cache
from tests.bench.serving.processes import Tree
from tests.bench.serving.subject import Subject
from tests.serving.processes import environment, free_port

HERE = Path(__file__).parent
HOST = "127.0.0.1"
OURS, MLFLOW, MLSERVER, FASTAPI = "Modelvane", "mlflow models serve", "MLServer", "FastAPI"
FLOORS = ("echo on uvicorn", "echo on granian")


@dataclass(frozen=True)
class Way:
    """One way to ask one server."""

    name: str
    server: str
    dialect: Callable[[str], Dialect]
    rows: Sequence[int] = (1, 64, 4096)
    models: Sequence[str] = ("lr", "rf", "xgb", "wide", "text", "opaque")
    """Those that it is measured with; the others would be the same again."""


WAYS = (
    Way(OURS, OURS, lambda _: Split()),
    Way("Modelvane binary tensors", OURS, Binary, rows=(4096,)),
    Way("Modelvane Arrow", OURS, lambda _: Arrow(), rows=(4096,)),
    Way(MLFLOW, MLFLOW, lambda _: Split()),
    Way("MLServer /v2", MLSERVER, Columns),
    Way("MLServer /invocations", MLSERVER, lambda _: Split(), rows=(1, 64), models=("lr", "rf", "wide")),
    Way("FastAPI tuned", FASTAPI, lambda _: Split("/tuned")),
    Way("FastAPI tutorial", FASTAPI, lambda _: Split("/tutorial"), rows=(1, 64), models=("lr", "rf", "opaque")),
    Way(FLOORS[0], FLOORS[0], lambda _: Echo(), models=("lr",)),
    Way(FLOORS[1], FLOORS[1], lambda _: Echo(), models=("lr",)),
)
BY_NAME = {way.name: way for way in WAYS}
PEER_WAYS = tuple(way.name for way in WAYS if way.server in {MLSERVER, FASTAPI})
SERVERS = tuple(dict.fromkeys(way.server for way in WAYS))


@dataclass(frozen=True)
class Pythons:
    """The environments that servers run in."""

    workspace: Path
    mlserver: Path
    plain: Path

    def of(self, server: str) -> Path:
        """Return the one of a server."""
        return {OURS: self.workspace, MLFLOW: self.workspace, MLSERVER: self.mlserver}.get(server, self.plain)


@dataclass(frozen=True)
class Place:
    """Where a server runs."""

    port: int
    scratch: Path
    core: int


def start(server: str, subject: Subject, pythons: Pythons, place: Place) -> Tree:
    """Start a server for a model, with one worker, and do not wait."""
    place.scratch.mkdir(parents=True, exist_ok=True)
    python = pythons.of(server)
    command, extra = _command(server, python, subject, place)
    variables = {
        **environment(place.scratch, extra),
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        # Nothing here is to call home while it is measured.
        "DO_NOT_TRACK": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONUNBUFFERED": "1",
    }
    if server != OURS:
        # Theirs would be written beside the model's own code, which our server then finds where nothing was fetched.
        variables["PYTHONPYCACHEPREFIX"] = str(cache() / "pycache")
    return Tree([str(python), *command], variables, place.core, place.scratch / "log", place.scratch)


def _command(server: str, python: Path, subject: Subject, place: Place) -> tuple[list[str], dict[str, str]]:
    artifacts, at = str(subject.artifacts), str(place.port)
    if server == OURS:
        return ["-m", "modelvane_serving", "serve"], {
            "MODELVANE_MODEL_DIR": str(subject.model_dir),
            "MODELVANE_MODEL_NAME": subject.name,
            "MODELVANE_MODEL_VERSION": "1",
            "MODELVANE_REVISION": "v1-00000000",
            "MODELVANE_HOST": HOST,
            "MODELVANE_PORT": at,
            "MODELVANE_WORKERS": "1",
            "MODELVANE_DRAIN_SECONDS": "0",
            # As on a node that keeps what it fetched and found out.
            "MODELVANE_CACHE_DIR": str(place.scratch / "cache"),
        }
    if server == MLFLOW:
        serve = ["-m", "mlflow", "models", "serve", "--env-manager", "local", "--workers", "1"]
        return [*serve, "--model-uri", artifacts, "--host", HOST, "--port", at], {}
    if server == MLSERVER:
        _write_mlserver_settings(subject, place)
        return [str(python.parent / "mlserver"), "start", str(place.scratch)], {}
    uvicorn = ["-m", "uvicorn", "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
    listen = ["--host", HOST, "--port", at]
    apps = {"PYTHONPATH": str(HERE / "apps")}
    if server == FASTAPI:
        return [*uvicorn, *listen, "plain:app"], {**apps, "BENCH_MODEL": artifacts}
    if server == FLOORS[0]:
        return [*uvicorn, *listen, "--lifespan", "off", "echo_asgi:app"], apps
    granian = ["-m", "granian", "--interface", "rsgi", "--loop", "uvloop", "--workers", "1", "--no-access-log"]
    return [*granian, *listen, "echo_rsgi:app"], apps


def _write_mlserver_settings(subject: Subject, place: Place) -> None:
    """Write its two files. Inference in the process that takes requests is its fastest way with one worker."""
    settings = {
        "host": HOST,
        "http_port": place.port,
        "grpc_port": free_port(),
        "metrics_port": free_port(),
        "parallel_workers": 0,
        "debug": False,
    }
    (place.scratch / "settings.json").write_text(json.dumps(settings))
    model = {
        "name": subject.name,
        "implementation": "mlserver_mlflow.MLflowRuntime",
        "parameters": {"uri": str(subject.artifacts)},
    }
    (place.scratch / "model-settings.json").write_text(json.dumps(model))


def workspace_python() -> Path:
    """Return the Python that this runs in."""
    return Path(sys.executable)
