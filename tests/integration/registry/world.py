"""What a test of this folder acts on: a namespace, an operator, and a registry behind a proxy.

The pods are real and need no model: what is tried here is what the operator does while the registry is in trouble, and
a pod that is Ready a second after it was made keeps the tests short.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from examples.demo.kube import Manifest, Namespace, conditions, is_true
from tests.e2e.waiting import eventually, throughout
from tests.integration.registry.mlflow_server import MlflowServer
from tests.integration.registry.operator_process import Operator
from tests.integration.registry.postgres import Postgres
from tests.integration.registry.proxy import Proxy

CHILDREN = "app.kubernetes.io/managed-by=modelvane"
SECRET = "mlflow"  # noqa: S105 - a name
Children = dict[str, tuple[str, str]]
USER, PASSWORD = "operator", "reads-the-registry"
_ALWAYS_READY = """
import http.server

class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer(("", 8080), Ready).serve_forever()
"""


@dataclass
class World:
    """One namespace with an operator of its own, and the registry that it follows through the proxy."""

    namespace: Namespace
    operator: Operator
    database: Postgres
    server: MlflowServer
    proxy: Proxy
    pod_image: str

    def set_credentials(self, username: str, password: str) -> None:
        """Write the Secret that the ModelRegistry names."""
        data = {"MLFLOW_TRACKING_USERNAME": username, "MLFLOW_TRACKING_PASSWORD": password}
        self.namespace.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "stringData": data})

    def set_registry(self, name: str = "default", uri: str | None = None, **spec: Any) -> None:
        """Apply a ModelRegistry; fields of the spec given here win."""
        whole = {"uri": uri or self.proxy.url, "credentialsSecretRef": {"name": SECRET}, "pollInterval": "1s", **spec}
        kind = {"apiVersion": "serving.modelvane.dev/v1alpha1", "kind": "ModelRegistry"}
        self.namespace.apply({**kind, "metadata": {"name": name}, "spec": whole})

    def describe(self, name: str, model: str, pointer: dict[str, str] | None = None, **spec: Any) -> Manifest:
        """Return a ModelDeployment whose pods need no model; fields of the spec given here win."""
        containers = [{"name": "serve", "command": ["python3", "-c", _ALWAYS_READY]}]
        pods = {"initContainers": [{"name": "fetch", "command": ["true"]}], "containers": containers}
        whole = {
            "model": {"name": model, **(pointer or {"alias": "champion"})},
            "runtime": {"image": self.pod_image},
            "template": {"spec": pods},
            "strategy": {"scaleDownDelay": "1s"},
            **spec,
        }
        kind = {"apiVersion": "serving.modelvane.dev/v1alpha1", "kind": "ModelDeployment"}
        return {**kind, "metadata": {"name": name}, "spec": whole}

    def add_versions(self, model: str, count: int) -> None:
        """Register a model with versions that have no files."""
        self.server.call("POST", "registered-models/create", name=model)
        for _ in range(count):
            self.server.call("POST", "model-versions/create", name=model, source=f"s3://bucket/{model}")

    def point(self, model: str, version: str, alias: str = "champion") -> None:
        """Move an alias."""
        self.server.call("POST", "registered-models/alias", name=model, alias=alias, version=version)

    def tags(self, model: str, version: str) -> dict[str, str]:
        """Read the tags of a version."""
        found = self.server.call("GET", "model-versions/get", name=model, version=version)["model_version"]
        return {tag["key"]: tag["value"] for tag in found.get("tags", [])}

    def deployment(self, name: str) -> Manifest:
        """Read a ModelDeployment."""
        return self.namespace.get("mvd", name)

    def until(
        self, name: str, what: str, holds: Callable[[Manifest], bool], *, seconds: float = 60, kind: str = "mvd"
    ) -> Manifest:
        """Wait for a fact about a ModelDeployment, or about a ModelRegistry, and return it as it is then."""
        return eventually(what, lambda: self.namespace.get(kind, name), holds, seconds=seconds, show=_status)

    def until_serves(self, name: str, version: str, *, seconds: float = 60) -> Manifest:
        """Wait until a version serves alone."""
        return self.until(name, f"version {version} serves", lambda seen: serves(seen, version), seconds=seconds)

    def until_registry_is(self, name: str, status: str, reason: str, *, seconds: float = 60) -> Manifest:
        """Wait until a ModelDeployment says so about its registry."""

        def holds(seen: Manifest) -> bool:
            told = conditions(seen).get("RegistryReachable", {})
            return (told.get("status"), told.get("reason")) == (status, reason)

        return self.until(name, f"RegistryReachable is {status} with reason {reason}", holds, seconds=seconds)

    def children(self, name: str) -> Children:
        """Return what serves a ModelDeployment, in a form that changes only when someone changes it."""
        selector = f"{CHILDREN},serving.modelvane.dev/modeldeployment={name}"
        found = self.namespace.get_all("deployments,services,poddisruptionbudgets,pods", selector)
        return {f"{child['kind']}/{child['metadata']['name']}": _identity(child) for child in found}

    def until_settled(self, name: str) -> Children:
        """Wait until one Deployment with its pods is left and nothing moves any more, and return the children."""

        def settled(children: Children) -> bool:
            return sum(key.startswith("Deployment/") for key in children) == 1 and len(children) == 3

        return eventually("one revision is left", lambda: self.children(name), settled)

    def stays(self, name: str, *, seconds: float, children: Children, told: Manifest) -> None:
        """Fail if anything about a ModelDeployment is written for some seconds: its children, or its own status."""

        def changes() -> list[str]:
            seen, now = self.children(name), self.deployment(name)
            changed = [key for key in children.keys() | seen.keys() if children.get(key) != seen.get(key)]
            if now["metadata"]["resourceVersion"] != told["metadata"]["resourceVersion"]:
                changed += _differences("status", told.get("status"), now.get("status")) or ["written without a change"]
            return changed

        throughout(f"nothing of {name} is touched", changes, lambda changed: not changed, seconds=seconds)

    def events(self, reason: str) -> list[str]:
        """Return the messages of the events with a reason."""
        found = self.namespace.get_all("events")
        return [event["message"] for event in found if event["reason"] == reason]


def serves(deployment: Manifest, version: str) -> bool:
    """Tell whether a version serves alone with all its pods."""
    status = deployment.get("status", {})
    return (
        status.get("stable", {}).get("version") == version
        and not status.get("candidate")
        and is_true(deployment, "Ready")
    )


def _identity(child: Manifest) -> tuple[str, str]:
    metadata = child["metadata"]
    if child["kind"] == "Deployment":
        return metadata["uid"], f"generation {metadata['generation']}"
    if child["kind"] == "Pod":
        restarts = sum(each["restartCount"] for each in child["status"].get("containerStatuses", []))
        return metadata["uid"], f"ready {is_true(child, 'Ready')}, {restarts} restarts"
    return metadata["uid"], json.dumps(child["spec"], sort_keys=True)


def _status(resource: Manifest) -> str:
    return json.dumps(resource.get("status"), sort_keys=True)


def _differences(where: str, before: object, after: object) -> list[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        keys = sorted(before.keys() | after.keys())
        return [found for key in keys for found in _differences(f"{where}.{key}", before.get(key), after.get(key))]
    return [] if before == after else [f"{where}: {before} -> {after}"]
