"""The CRDs on a real API server: the one that KUBECONFIG names, with kubectl on PATH (`make test-crds`).

The server may be in use by others. So the CRDs are applied as they are in the checkout, which changes nothing where
they are there already, and never deleted; everything else happens in a namespace of its own.
"""

import json
import os
import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config

ROOT = Path(__file__).parents[2]
GROUP, VERSION = "serving.modelvane.dev", "v1alpha1"
PLURALS = {"ModelDeployment": "modeldeployments", "ModelRegistry": "modelregistries"}

# The smallest resource of each kind that is accepted.
MINIMAL: dict[str, dict[str, Any]] = {
    "ModelDeployment": {"model": {"name": "iris", "stage": "Production"}},
    "ModelRegistry": {"uri": "http://mlflow.mlflow.svc:5000"},
}

Kubectl = Callable[..., str]


@pytest.fixture(scope="session")
def kubectl() -> Kubectl:
    """Run kubectl; a failure shows what it said."""
    if not os.environ.get("KUBECONFIG"):
        pytest.fail("KUBECONFIG names no cluster: run `make test-crds`, after `make up`")

    def run(*arguments: str, stdin: str | None = None) -> str:
        done = subprocess.run(["kubectl", *arguments], input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}:\n{done.stdout}{done.stderr}"
        return done.stdout

    return run


@pytest.fixture(scope="session")
def namespace(kubectl: Kubectl) -> Iterator[str]:
    """Make a namespace of this run's own, on a server that has the checkout's CRDs."""
    crds = [f"crd/{plural}.{GROUP}" for plural in PLURALS.values()]
    # Forced, because a Helm release may own the same fields, with the same values.
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds"))
    kubectl("wait", "--for=condition=Established", "--timeout=30s", *crds)
    name = f"crds-{secrets.token_hex(4)}"
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


class Refused(Exception):  # noqa: N818 - a fact about the resource, no error of the test
    """What the API server answered to a resource that it does not accept."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__(answer["message"])
        self.message: str = answer["message"]
        # That further rules were not checked is said in a cause of its own.
        self.causes = [
            (cause["field"].removeprefix("<nil>").removeprefix("."), cause["message"])
            for cause in answer.get("details", {}).get("causes", [])
            if "some validation rules were not checked" not in cause["message"]
        ]


class Resources:
    """The custom resources of one namespace, as a client sees them."""

    def __init__(self, api: client.CustomObjectsApi, namespace: str) -> None:
        self._api = api
        self.namespace = namespace

    def _call(self, method: str, kind: str, *arguments: Any, **options: Any) -> dict[str, Any]:
        function = getattr(self._api, f"{method}_namespaced_custom_object{options.pop('subresource', '')}")
        try:
            answer: dict[str, Any] = function(GROUP, VERSION, self.namespace, PLURALS[kind], *arguments, **options)
        except client.ApiException as refused:
            raise Refused(json.loads(refused.body or "")) from None
        return answer

    def create(self, body: dict[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Create it, strictly: an unknown field is an error, as it is for kubectl."""
        options = {"dry_run": "All"} if dry_run else {}
        return self._call("create", body["kind"], body, field_validation="Strict", **options)

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """Read it."""
        return self._call("get", kind, name)

    def patch(self, kind: str, name: str, patch: dict[str, Any], *, subresource: str = "") -> dict[str, Any]:
        """Change it, or a subresource of it, by a merge patch."""
        options = {"subresource": f"_{subresource}" if subresource else ""}
        return self._call("patch", kind, name, patch, _content_type="application/merge-patch+json", **options)


@pytest.fixture(scope="session")
def resources(namespace: str) -> Resources:
    config.load_kube_config()  # type: ignore[no-untyped-call]
    return Resources(client.CustomObjectsApi(), namespace)


def resource(kind: str, name: str = "iris", spec: dict[str, Any] | None = None) -> dict[str, Any]:
    """Write a resource of a kind, the smallest one unless told otherwise."""
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": kind,
        "metadata": {"name": name},
        "spec": MINIMAL[kind] if spec is None else spec,
    }


def merged(target: Any, patch: Any) -> Any:
    """Apply a JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result
