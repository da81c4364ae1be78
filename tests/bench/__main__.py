"""How long from a moved alias to the candidate's Deployment (`make bench-webhook`), with webhooks and without.

Everything is real: the API server of the cluster that KUBECONFIG names, MLflow on PostgreSQL, and the operator, the
last two as processes beside this one. Pods are kept from being scheduled: what they do is not what is measured.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import platform
import random
import secrets
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import requests
from kubernetes import client, config, watch

from examples.demo.kube import Namespace, is_true
from tests.bench.figures import Move, report
from tests.cluster.crds import apply_crds
from tests.e2e.waiting import eventually
from tests.integration.registry import postgres
from tests.integration.registry.mlflow_server import MlflowServer
from tests.integration.registry.operator_process import Operator
from tests.integration.registry.postgres import free_port

MODEL, VERSIONS = "measured", 20
LONGEST = 90
KIND = "serving.modelvane.dev/v1alpha1"
# So that an event that is lost is seen as such, and no poll hides it.
POLL_INTERVAL = {"webhook": "1m", "polling": "1s"}


class Deployments:
    """Notes when each Deployment of a namespace appears, as the API server tells its watchers."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._appeared: dict[str, float] = {}
        self._news = threading.Condition()
        self._connected = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()
        self._connected.wait(30)

    def wait_for(self, version: str, since: float) -> float:
        """Wait for the Deployment of a version that appears after a moment, and return when it did."""
        with self._news:
            if not self._news.wait_for(lambda: self._appeared.get(version, 0) > since, LONGEST):
                raise SystemExit(f"no Deployment of version {version} within {LONGEST} s")
            return self._appeared[version]

    def _watch(self) -> None:
        api = client.AppsV1Api()
        now: Any = api.list_namespaced_deployment(self._namespace)
        version = now.metadata.resource_version
        self._connected.set()
        events: Any = watch.Watch()  # type: ignore[no-untyped-call]
        for event in events.stream(api.list_namespaced_deployment, self._namespace, resource_version=version):
            now = time.monotonic()
            if event["type"] == "ADDED":
                with self._news:
                    labels = event["object"].metadata.labels
                    self._appeared[labels["serving.modelvane.dev/model-version"]] = now
                    self._news.notify_all()


@dataclass
class Stage:
    """All that is running."""

    namespace: Namespace
    server: MlflowServer
    operator: Operator


@contextmanager
def stage(mode: str) -> Iterator[Stage]:
    """Start everything, and register the model's versions once the webhook is there."""
    namespace = Namespace(f"mv-bench-{secrets.token_hex(3)}")
    with tempfile.TemporaryDirectory(prefix="modelvane-bench-") as folder, postgres.running() as database:
        (Path(folder) / "mlflow").mkdir()
        server = MlflowServer(
            Path(folder) / "mlflow",
            database.uri,
            MLFLOW_WEBHOOK_ALLOWED_SCHEMES="http",
            MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS="true",
            MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY=base64.urlsafe_b64encode(os.urandom(32)).decode(),
        )
        port = str(free_port())
        webhook = {"MODELVANE_WEBHOOK_PORT": port, "MODELVANE_WEBHOOK_URL": f"http://127.0.0.1:{port}"}
        operator = Operator(Path(folder), namespace.name, "modelvane/never-pulled:0", **webhook)
        try:
            server.start()
            namespace.create()
            operator.start()
            prepare(namespace, server, mode)
            yield Stage(namespace, server, operator)
        finally:
            operator.kill()
            server.kill()
            namespace.delete(wait=False)


def prepare(namespace: Namespace, server: MlflowServer, mode: str) -> None:
    """Make the ModelRegistry, the model and the ModelDeployment."""
    for name, data in (("mlflow", server.admin), ("webhook", {"secret": secrets.token_hex(32)})):
        namespace.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data})
    spec: dict[str, Any] = {
        "uri": server.url,
        "credentialsSecretRef": {"name": "mlflow"},
        "pollInterval": POLL_INTERVAL[mode],
        "webhook": {"enabled": mode == "webhook", "secretRef": {"name": "webhook"}},
    }
    namespace.apply({"apiVersion": KIND, "kind": "ModelRegistry", "metadata": {"name": "default"}, "spec": spec})
    condition = "WebhookRegistered" if mode == "webhook" else "Ready"
    eventually(condition, lambda: namespace.get("mvr", "default"), lambda seen: is_true(seen, condition))
    server.call("POST", "registered-models/create", name=MODEL)
    for _ in range(VERSIONS):
        server.call("POST", "model-versions/create", name=MODEL, source=f"s3://bucket/{MODEL}")
    served = {
        "model": {"name": MODEL, "alias": "champion"},
        "template": {"spec": {"nodeSelector": {"modelvane.dev/nowhere": "true"}}},
    }
    namespace.apply({"apiVersion": KIND, "kind": "ModelDeployment", "metadata": {"name": MODEL}, "spec": served})


def measure(on: Stage, moves: int) -> Iterator[Move]:
    """Move the alias again and again, each time at a random moment between two polls."""
    deployments = Deployments(on.namespace.name)
    session = requests.Session()
    session.auth = (on.server.admin["MLFLOW_TRACKING_USERNAME"], on.server.admin["MLFLOW_TRACKING_PASSWORD"])
    for number in range(moves):
        version = str(number % VERSIONS + 1)
        time.sleep(random.uniform(0.2, 1.2))  # noqa: S311 - not a secret
        asked = time.monotonic()
        body = {"name": MODEL, "alias": "champion", "version": version}
        answer = session.post(f"{on.server.url}/api/2.0/mlflow/registered-models/alias", json=body, timeout=60)
        returned = time.monotonic()
        answer.raise_for_status()
        yield Move(call=returned - asked, written=deployments.wait_for(version, asked) - returned)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure one way, and print it with what the same machine has measured before."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--moves", type=int, default=200, help="how many times the alias is moved")
    parser.add_argument("--mode", choices=[*POLL_INTERVAL], action="append", help="left out: both")
    parser.add_argument("--results", type=Path, help="a file that results are added to, for a run in pieces")
    chosen = parser.parse_args(arguments)
    config.load_kube_config()  # type: ignore[no-untyped-call]
    apply_crds()
    results: list[tuple[str, Move]] = []
    if chosen.results and chosen.results.exists():
        lines = [json.loads(line) for line in chosen.results.read_text().splitlines()]
        results = [(line.pop("mode"), Move(**line)) for line in lines]
    for mode in chosen.mode or POLL_INTERVAL:
        with stage(mode) as running:
            for move in measure(running, chosen.moves):
                results.append((mode, move))
                if chosen.results:
                    with chosen.results.open("a") as file:
                        file.write(json.dumps({"mode": mode, **asdict(move)}) + "\n")
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}\n")
    print(report(results, POLL_INTERVAL))


if __name__ == "__main__":
    main()
