"""The MLflow that all tests share, installed by its chart, and a way to it that survives restarts of its pod."""

from __future__ import annotations

import contextlib
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from examples.demo.install import install, reference
from examples.demo.kube import Namespace
from examples.demo.registry import Registry
from tests.e2e.models import Logged, Trait, log_all, register
from tests.e2e.waiting import eventually

RELEASE = "mlflow"
SERVER_PODS = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component=server"
EMBEDDED_STORES = {"embedded": {"postgresql": {"enabled": True}, "s3": {"enabled": True}}}


@dataclass(frozen=True)
class Images:
    """The values that point each chart at the images under test."""

    mlflow: Mapping[str, Any]
    modelvane: Mapping[str, Any]

    @property
    def python(self) -> str:
        """Return the image whose Python runs training jobs and the load generator."""
        return reference(self.mlflow["image"])


class Tracking:
    """One MLflow server with its stores in a namespace of its own."""

    def __init__(self, namespace: Namespace, images: Images) -> None:
        self.namespace = namespace
        self._images = images
        self._way = contextlib.ExitStack()
        self._url = ""
        self._logged: dict[Trait, Logged] = {}

    @property
    def address(self) -> str:
        """Return the URL under which pods of other namespaces reach it."""
        return f"http://{RELEASE}.{self.namespace.name}.svc:5000"

    def install(self, **changed: Any) -> None:
        """Install it, or upgrade it with changed values, and wait until the server that knows none of them is gone."""
        install(self.namespace, RELEASE, "mlflow", self._images.mlflow, EMBEDDED_STORES, {"workers": 1}, changed)
        eventually("one server", lambda: len(self.namespace.get_all("pods", SERVER_PODS)), lambda count: count == 1)

    def log_models(self, folder: Path) -> None:
        """Log the models that tests register versions of."""
        self._logged = log_all(self.registry().url, folder)

    def registry(self) -> Registry:
        """Return the registry over a port-forward, made anew if the pod behind it went."""
        if not _answers(self._url):
            self._way.close()
            self._url = self._way.enter_context(self.namespace.port_forward(f"service/{RELEASE}", 5000))
            eventually("MLflow answers through the port-forward", lambda: _answers(self._url), seconds=20)
        return Registry(self._url)

    def add_version(self, model: str, trait: Trait) -> str:
        """Register one more version of a model."""
        return register(self.registry().client, model, self._logged[trait])

    def add_version_and_lose_its_files(self, model: str, like: Trait) -> str:
        """Register one more version of a model, and delete its files; the registry goes on to know it."""
        registry = self.registry()
        mlflow.set_tracking_uri(registry.url)
        experiment = registry.client.get_run(self._logged[like].run_id).info.experiment_id
        run = registry.client.create_run(experiment)
        registry.client.log_text(run.info.run_id, "flavors: {}", "lost/MLmodel")
        source = f"{run.info.artifact_uri}/lost"
        made = registry.client.create_model_version(model, source, run_id=run.info.run_id, await_creation_for=0)
        get_artifact_repository(source).delete_artifacts()  # type: ignore[no-untyped-call]
        return str(made.version)

    def kill(self) -> None:
        """Kill the server without a word; it stays away until it is scaled up."""
        self.namespace.kubectl("scale", f"deployment/{RELEASE}", "--replicas=0")
        self.namespace.kubectl("delete", "pods", f"--selector={SERVER_PODS}", "--force", "--grace-period=0")

    def scale_store(self, replicas: int) -> None:
        """Scale the embedded S3 and wait until it is so; what it holds stays."""
        self.namespace.kubectl("scale", f"statefulset/{RELEASE}-s3", f"--replicas={replicas}")
        self.namespace.kubectl("rollout", "status", f"statefulset/{RELEASE}-s3", "--timeout=90s", seconds=100)

    def scale(self, replicas: int) -> None:
        """Scale the server and wait until as many pods run; its stores stay."""
        self.namespace.kubectl("scale", f"deployment/{RELEASE}", f"--replicas={replicas}")
        self.namespace.kubectl("rollout", "status", f"deployment/{RELEASE}", "--timeout=90s", seconds=100)

    def close(self) -> None:
        """End the port-forward."""
        self._way.close()


def _answers(url: str) -> bool:
    if not url:
        return False
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
