"""The only module that calls the API server. Objects are plain dicts, and every error is a sentence.

Paths are known, so there is no discovery. The client is imported when it is first needed: `--help` does without.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelvane_cli.exits import Exit, StopError
from modelvane_cli.names import API_VERSION

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

Object = dict[str, Any]

CONNECT_TIMEOUT, READ_TIMEOUT = 5, 20
_POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True)
class Where:
    """Which cluster and namespace, as the options say."""

    namespace: str | None = None
    context: str | None = None
    kubeconfig: str | None = None

    def merged(self, other: Where) -> Where:
        """Let another's options win where it has some."""
        return Where(
            other.namespace or self.namespace, other.context or self.context, other.kubeconfig or self.kubeconfig
        )


@dataclass(frozen=True)
class Kind:
    """Where objects of a kind live."""

    api_version: str
    plural: str

    def path(self, namespace: str | None, name: str = "") -> str:
        """Return the path of a collection or an object."""
        root = "api" if "/" not in self.api_version else "apis"
        where = ("namespaces", namespace) if namespace else ()
        return "/" + "/".join(filter(None, (root, self.api_version, *where, self.plural, name)))


MODEL_DEPLOYMENT = Kind(API_VERSION, "modeldeployments")
MODEL_REGISTRY = Kind(API_VERSION, "modelregistries")
POD = Kind("v1", "pods")
EVENT = Kind("v1", "events")
SERVICE = Kind("v1", "services")
SECRET = Kind("v1", "secrets")
CONFIG_MAP = Kind("v1", "configmaps")
DEPLOYMENT = Kind("apps/v1", "deployments")
ENDPOINTS = Kind("discovery.k8s.io/v1", "endpointslices")
ROUTE = Kind("gateway.networking.k8s.io/v1", "httproutes")
BUDGET = Kind("policy/v1", "poddisruptionbudgets")
LEASE = Kind("coordination.k8s.io/v1", "leases")


class MissingError(StopError):
    """The API server has no such object, or no such kind."""


class ForbiddenError(StopError):
    """The user may not do this."""


class Cluster:
    """Reads objects and asks for changes, as the user of the kubeconfig."""

    def __init__(self, where: Where) -> None:
        self.where = where
        self._client, namespace = _connect(where)
        self.namespace = where.namespace or namespace or "default"
        from kubernetes.dynamic import DynamicClient  # noqa: PLC0415 - half a second

        # Without discovery: a request by its path needs none.
        self._dynamic = DynamicClient(self._client, discoverer=lambda *_: None)  # type: ignore[no-untyped-call]

    def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """Read one object."""
        return self._call("get", kind.path(namespace, name))

    def find(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """Read one object that may not be there."""
        try:
            return self.get(kind, namespace, name)
        except MissingError:
            return None

    def list(self, kind: Kind, namespace: str | None, *, labels: str = "", fields: str = "") -> list[Object]:
        """Read all objects of a kind, in one namespace or in all."""
        selectors = {"label_selector": labels or None, "field_selector": fields or None}
        return list(self._call("get", kind.path(namespace), **selectors).get("items") or ())

    def get_path(self, path: str) -> Object:
        """Read what the API server has at a path."""
        return self._call("get", path)

    def annotate(self, kind: Kind, namespace: str, name: str, annotations: Mapping[str, str]) -> Object:
        """Set annotations of an object and leave all else as it is."""
        body = {"metadata": {"annotations": dict(annotations)}}
        patch = {"content_type": "application/merge-patch+json", "field_manager": "modelvane-cli"}
        return self._call("patch", kind.path(namespace, name), body=body, **patch)

    def _call(self, method: str, path: str, **parameters: Any) -> Object:
        from kubernetes.client import ApiException  # noqa: PLC0415
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        try:
            answer = self._dynamic.request(
                method, path, serialize=False, _request_timeout=(CONNECT_TIMEOUT, READ_TIMEOUT), **parameters
            )
            parsed: Object = json.loads(answer.data)
        except ApiException as error:
            raise _explain(error.status or 0, error.body, path, self._host) from None
        except (HTTPError, OSError, ValueError) as error:
            raise StopError(Exit.UNREACHABLE, f"{self._host} does not answer: {_cause(error)}. {_CHECK}") from None
        return parsed

    @property
    def _host(self) -> str:
        return f"the Kubernetes API server at {self._client.configuration.host}"


_CHECK = "Check the kubeconfig (--kubeconfig, --context) and that the cluster runs."


def _connect(where: Where) -> tuple[ApiClient, str | None]:
    """Connect as kubectl does: the kubeconfig, or the service account of the pod this runs in."""
    from kubernetes import config  # noqa: PLC0415
    from kubernetes.client import ApiClient, Configuration  # noqa: PLC0415
    from kubernetes.config.kube_config import KubeConfigLoader, KubeConfigMerger  # noqa: PLC0415

    configuration = Configuration()
    configuration.retries = False
    file = where.kubeconfig or os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    in_pod = "KUBERNETES_SERVICE_HOST" in os.environ and _POD_NAMESPACE.exists()
    found = any(map(os.path.exists, _files(file)))
    try:
        if in_pod and not where.kubeconfig and not where.context and not found:
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
            return ApiClient(configuration), _POD_NAMESPACE.read_text().strip()
        if not found:
            raise StopError(Exit.UNREACHABLE, f"There is no kubeconfig at {file}. Name one with --kubeconfig.")
        # Not `load_kube_config`, which does not tell the context's namespace.
        merged = KubeConfigMerger(file).config  # type: ignore[no-untyped-call]
        loader = KubeConfigLoader(merged, where.context, config_base_path=None)  # type: ignore[no-untyped-call]
        loader.load_and_set(configuration)  # type: ignore[no-untyped-call]
        chosen = loader.current_context
    except StopError:
        raise
    except (config.ConfigException, OSError, ValueError, KeyError, TypeError) as error:
        said = str(error).rstrip(".")
        raise StopError(Exit.UNREACHABLE, f"The kubeconfig {file} cannot be used: {said}. {_CHECK}") from None
    except Exception as error:
        # The loader reads YAML by a library whose errors it lets through.
        raise StopError(
            Exit.UNREACHABLE, f"The kubeconfig {file} cannot be read: {type(error).__name__}. {_CHECK}"
        ) from None
    return ApiClient(configuration), (chosen.get("context") or {}).get("namespace")


def _files(paths: str) -> list[str]:
    return paths.split(os.pathsep)


def _explain(status: int, body: object, path: str, host: str) -> StopError:
    said = _message(body)
    if status == 404:
        return MissingError(Exit.NOT_FOUND, said or f"{host} has nothing at {path}.")
    if status == 403:
        return ForbiddenError(Exit.NOT_ALLOWED, f"You may not do this: {said}. docs/cli.md lists the rights needed.")
    if status == 401:
        return StopError(
            Exit.NOT_ALLOWED, f"{host} does not accept your credentials. Log in again, or check --context."
        )
    if status >= 500 or status == 429:
        return StopError(Exit.UNREACHABLE, f"{host} answers {status}: {said}. Try again.")
    return StopError(Exit.FAILED, f"{host} refuses it with {status}: {said}.")


def _message(body: object) -> str:
    text = body.decode(errors="replace") if isinstance(body, bytes) else str(body or "")
    try:
        parsed = json.loads(text)
    except ValueError:
        return text.strip()[:300].rstrip(".")
    return str(parsed.get("message", "")).rstrip(".") if isinstance(parsed, dict) else text[:300]


def _cause(error: BaseException) -> str:
    """Return the innermost words: urllib3 wraps a refused connection three times."""
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        return _cause(reason)
    if isinstance(error, ValueError):
        return "what answers is no API server"
    said = str(error).rsplit(": ", 1)[-1].rstrip(".")
    said = re.sub(r"^\[Errno -?\d+\] ", "", said)
    return said or type(error).__name__
