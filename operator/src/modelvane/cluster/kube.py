"""The only module that calls the API server (watching excepted, which is kopf's).

Paths are known, so the client's discovery is not used: nothing to cache and nothing to go stale. Every error that
passes (a conflict, a time-out, a connection cut in mid-request, an overloaded server) becomes `TryAgainError`: the
write may have taken effect or not, and the next run will see which.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, ApiException
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.dynamic import DynamicClient

from modelvane.names import API_VERSION, FIELD_MANAGER
from modelvane.queue import TryAgainError

Object = dict[str, Any]
REQUEST_TIMEOUT = 15
MERGE_PATCH = "application/merge-patch+json"


@dataclass(frozen=True)
class Kind:
    """Where objects of a kind live."""

    api_version: str
    plural: str

    def path(self, namespace: str, name: str = "", subresource: str = "") -> str:
        """Return the path of a collection, an object or one of its sub-resources; no namespace is the whole cluster."""
        root = "api" if "/" not in self.api_version else "apis"
        scope = ("namespaces", namespace) if namespace else ()
        parts = (root, self.api_version, *scope, self.plural, name, subresource)
        return "/" + "/".join(filter(None, parts))


MODEL_DEPLOYMENT = Kind(API_VERSION, "modeldeployments")
MODEL_REGISTRY = Kind(API_VERSION, "modelregistries")
DEPLOYMENT = Kind("apps/v1", "deployments")
SERVICE = Kind("v1", "services")
POD = Kind("v1", "pods")
BUDGET = Kind("policy/v1", "poddisruptionbudgets")
SECRET = Kind("v1", "secrets")
CONFIG_MAP = Kind("v1", "configmaps")
EVENT = Kind("v1", "events")
HTTP_ROUTE = Kind("gateway.networking.k8s.io/v1", "httproutes")
GATEWAY = Kind("gateway.networking.k8s.io/v1", "gateways")
GATEWAY_CLASS = Kind("gateway.networking.k8s.io/v1", "gatewayclasses")


class RefusedError(Exception):
    """The API server will not take an object, and said why. Trying again as it is will not help."""


class NotFoundError(TryAgainError):
    """What was to be written does not exist, or its kind does not: it may a moment later."""


async def connect() -> ApiClient:
    """Connect with the service account in a cluster, or with the kubeconfig outside of one."""
    configuration = Configuration()
    try:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except config.ConfigException:
        await config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    return ApiClient(configuration)


class Kube:
    """Reads and writes objects as plain dicts."""

    def __init__(self, client: ApiClient) -> None:
        self._dynamic = DynamicClient(client)  # type: ignore[no-untyped-call]

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """Read one object, or None."""
        return await self._call("get", kind.path(namespace, name))

    async def list(self, kind: Kind, namespace: str, selector: str) -> list[Object]:
        """Read all objects with these labels."""
        found = await self._call("get", kind.path(namespace), label_selector=selector)
        return list((found or {}).get("items") or ())

    async def apply(self, kind: Kind, wanted: Object) -> None:
        """Make an object be as wanted, whether it exists or not."""
        metadata = wanted["metadata"]
        await self._apply(kind.path(metadata["namespace"], metadata["name"]), wanted)

    async def apply_if_served(self, kind: Kind, wanted: Object) -> bool:
        """Make an object be as wanted, and say whether the cluster knows objects of this kind at all."""
        try:
            await self.apply(kind, wanted)
        except NotFoundError:
            return False
        return True

    async def apply_status(self, kind: Kind, resource: Object) -> None:
        """Write the status of a resource, unless it has changed since the version given in its metadata."""
        metadata = resource["metadata"]
        await self._apply(kind.path(metadata["namespace"], metadata["name"], "status"), resource)

    async def _apply(self, path: str, body: Object) -> None:
        await self._call(
            "patch",
            path,
            body=body,
            content_type="application/apply-patch+yaml",
            field_manager=FIELD_MANAGER,
            force_conflicts=True,
        )

    async def scale(self, namespace: str, name: str, uid: str, replicas: int) -> None:
        """Change only the size of a Deployment. The uid makes it this one and not a namesake."""
        body = {"metadata": {"uid": uid}, "spec": {"replicas": replicas}}
        path = DEPLOYMENT.path(namespace, name)
        try:
            await self._call("patch", path, body=body, content_type=MERGE_PATCH, field_manager=FIELD_MANAGER)
        except RefusedError as error:
            # A namesake's other uid is refused as "immutable": what was seen is out of date, so look again.
            raise TryAgainError(f"scaling {name}: {error}") from None

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str, resource_version: str) -> None:
        """Delete an object, if it is still exactly the one that was seen."""
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        body = {"preconditions": preconditions, "propagationPolicy": "Background"}
        await self._call("delete", kind.path(namespace, name), body=body)

    async def delete_read(self, kind: Kind, live: Mapping[str, Any]) -> None:
        """Delete an object as it was read, if it is still exactly that."""
        metadata = live["metadata"]
        await self.delete(kind, metadata["namespace"], metadata["name"], metadata["uid"], metadata["resourceVersion"])

    async def post(self, kind: Kind, namespace: str, body: Object) -> None:
        """Create an object that is never changed, such as an Event."""
        await self._call("post", kind.path(namespace), body=body, field_manager=FIELD_MANAGER)

    async def _call(self, method: str, path: str, **parameters: Any) -> Object | None:
        try:
            answer = await self._dynamic.request(
                method, path, serialize=False, _request_timeout=REQUEST_TIMEOUT, **parameters
            )
            parsed: Object = await answer.json()
        except ApiException as error:
            if error.status == 404 and method in ("get", "delete"):
                return None
            raise _explain(error, f"{method} {path}") from None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:  # ValueError: that is no JSON.
            raise TryAgainError(f"{method} {path}: {type(error).__name__}: {error}") from None
        return parsed


def _explain(error: ApiException, call: str) -> TryAgainError | RefusedError:
    status = error.status or 0
    message = _message(error.body) or str(error.reason)
    if status == 404:
        return NotFoundError(f"{call}: 404 {message}")
    if status in (401, 408, 409, 410, 429) or status >= 500:
        return TryAgainError(f"{call}: {status} {message}")
    return RefusedError(f"{status}: {message}")


def _message(body: object) -> str | None:
    """Take the sentence out of the API server's Status object."""
    text = body.decode(errors="replace") if isinstance(body, bytes) else body
    if isinstance(text, Mapping):
        return str(text.get("message"))
    if not isinstance(text, str):
        return None
    try:
        parsed = json.loads(text)
    except ValueError:
        return text[:300]
    return str(parsed.get("message")) if isinstance(parsed, dict) else text[:300]
