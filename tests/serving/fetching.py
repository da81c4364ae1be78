"""Runs `modelvane-serving fetch` as a pod's init container does, and registers models that are only files."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mlflow import MlflowClient
from modelvane_serving.manifest import ARTIFACTS_DIR

from tests.serving.processes import environment
from tests.serving.registry import mlflow_server

MLMODEL = b"flavors:\n  python_function:\n    loader_module: nothing\n"


@dataclass
class Fetched:
    """What a run of `fetch` left behind."""

    model_dir: Path
    code: int
    log: str
    termination: dict[str, str] | None

    @property
    def facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = json.loads((self.model_dir / "facts.json").read_text())
        return facts

    @property
    def files(self) -> dict[str, bytes]:
        """Return what was fetched, without the name of the version that MLflow's client adds."""
        root = self.model_dir / ARTIFACTS_DIR
        files = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        files.pop("registered_model_meta", None)
        return files

    @property
    def reason(self) -> str:
        assert self.termination is not None
        return self.termination["reason"]

    @property
    def message(self) -> str:
        assert self.termination is not None
        return self.termination["message"]

    def logged(self, words: str) -> list[dict[str, Any]]:
        return [line for line in map(json.loads, self.log.splitlines()) if words in line["message"]]


class Fetching:
    """A run that may still go on."""

    def __init__(self, scratch: Path, url: str, name: str, version: str, **extra: str) -> None:
        self._scratch = scratch
        self._model_dir = scratch / name
        self._model_dir.mkdir(exist_ok=True, parents=True)
        variables = {
            "MODELVANE_MODEL_DIR": str(self._model_dir),
            "MODELVANE_MODEL_NAME": name,
            "MODELVANE_MODEL_VERSION": version,
            "MLFLOW_TRACKING_URI": url,
            "MLFLOW_REGISTRY_URI": url,
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
            **extra,
        }
        command = [sys.executable, "-m", "modelvane_serving", "fetch"]
        self.process = subprocess.Popen(
            command,
            env=environment(scratch, variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait(self) -> Fetched:
        try:
            log, _ = self.process.communicate(timeout=120)
        finally:
            self.process.kill()
        message = self._scratch / "termination-log"
        termination = json.loads(message.read_text()) if message.exists() else None
        return Fetched(self._model_dir, self.process.returncode, log, termination)


def run_fetch(scratch: Path, url: str, name: str, version: str, **extra: str) -> Fetched:
    return Fetching(scratch, url, name, version, **extra).wait()


@dataclass
class Store:
    """A real MLflow server, and where it keeps the artifacts of a run, which all versions are of."""

    url: str
    folder: Path
    run_id: str
    run_uri: str

    def add(self, name: str, files: dict[str, bytes]) -> str:
        """Put files where the server keeps them, and register them as a version."""
        place = f"{name}-{os.urandom(4).hex()}"
        for path, content in {"MLmodel": MLMODEL, **files}.items():
            target = self.folder / place / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        return register(self.url, name, f"{self.run_uri}/{place}", self.run_id)

    def file(self, name: str, version: str, path: str) -> Path:
        """Return where the server has a file of a version."""
        source = MlflowClient(self.url).get_model_version(name, version).source
        return self.folder / str(source).removeprefix(self.run_uri + "/") / path


def register(url: str, name: str, source: str, run_id: str | None = None) -> str:
    client = MlflowClient(url)
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    return str(client.create_model_version(name, source, run_id=run_id).version)


@contextmanager
def local_store(scratch: Path) -> Iterator[Store]:
    with mlflow_server(scratch) as url:
        run = MlflowClient(url).create_run("0").info
        assert run.artifact_uri is not None
        yield Store(
            url, scratch / "artifacts" / urlsplit(run.artifact_uri).path.lstrip("/"), run.run_id, run.artifact_uri
        )
