"""Finds the registry: its address, its credentials, and a way to it from where the tool runs."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from modelvane_cli.cluster import CONFIG_MAP, MODEL_REGISTRY, SECRET, Cluster, ForbiddenError, Object, Where
from modelvane_cli.exits import Exit, StopError

FORWARD_SECONDS = 15
_IN_CLUSTER = re.compile(r"(?P<name>[a-z0-9-]+)(?:\.(?P<namespace>[a-z0-9-]+))?(?:\.svc(?:\.cluster\.local)?)?")
_CLIENT_VARIABLES = ("MLFLOW_TRACKING_", "MLFLOW_WORKSPACE", "DATABRICKS_")
_CONNECT = "Name an address that is reachable from here with --registry-uri, or run the command in the cluster."


@dataclass(frozen=True)
class Access:
    """An address of a registry and where it was found."""

    uri: str
    source: str
    via: str | None = None
    """How it is reached, when not directly."""
    tracking: str | None = None
    """Where the runs are, when that is another server."""

    @property
    def name(self) -> str:
        """Name it in a document."""
        return f"{self.source}, by {self.via}" if self.via else hide_user(self.uri)


def hide_user(uri: str) -> str:
    """Return an address without the user and password that MLflow allows in it."""
    return re.sub(r"(?<=//)[^/?#]*@", "", uri)


@contextlib.contextmanager
def open_access(uri: str | None, cluster: Callable[[], Cluster], registry: str) -> Iterator[Access]:
    """Take the option, else MLflow's own variables, else the ModelRegistry."""
    if uri:
        yield Access(uri, "--registry-uri")
        return
    tracking = os.environ.get("MLFLOW_TRACKING_URI")
    found = os.environ.get("MLFLOW_REGISTRY_URI") or tracking
    if found:
        yield Access(found, "MLFLOW_TRACKING_URI" if found == tracking else "MLFLOW_REGISTRY_URI", tracking=tracking)
        return
    try:
        connected = cluster()
        where = connected.namespace
        resource = connected.find(MODEL_REGISTRY, where, registry)
    except StopError as error:
        raise StopError(
            error.code, f"No registry is named by --registry-uri or MLFLOW_TRACKING_URI, and none can be read: {error}"
        ) from None
    if resource is None:
        raise StopError(
            Exit.NOT_FOUND,
            f"No registry is named by --registry-uri or MLFLOW_TRACKING_URI, and namespace {where} has no "
            f"ModelRegistry {registry} (--registry names another).",
        )
    with open_resource(connected, resource) as access:
        yield access


@contextlib.contextmanager
def open_resource(cluster: Cluster, resource: Object) -> Iterator[Access]:
    """Reach the registry of a ModelRegistry, with its credentials."""
    metadata, spec = resource["metadata"], resource["spec"]
    namespace, name, uri = metadata["namespace"], metadata["name"], spec["uri"]
    with contextlib.ExitStack() as stack:
        env = {"MLFLOW_WORKSPACE": spec["workspace"]} if spec.get("workspace") else {}
        if spec.get("credentialsSecretRef"):
            env |= _secret(cluster, namespace, spec["credentialsSecretRef"]["name"])
        if spec.get("caBundleRef"):
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            file = Path(folder, "ca.crt")
            file.write_bytes(_bundle(cluster, namespace, spec["caBundleRef"]))
            env["MLFLOW_TRACKING_SERVER_CERT_PATH"] = str(file)
        stack.enter_context(_set(env))
        source = f"ModelRegistry {name} in namespace {namespace}"
        service = find_service(uri, namespace)
        if service is None or resolves(uri):
            yield Access(uri, source)
            return
        if urlsplit(uri).scheme != "http":
            raise StopError(
                Exit.UNREACHABLE, f"The address {uri} of {source} is known only inside the cluster. {_CONNECT}"
            )
        forwarded = stack.enter_context(forward(cluster.where, *service, uri))
        yield Access(forwarded, source, f"kubectl port-forward to service {service[0]} in namespace {service[1]}")


def find_service(uri: str, namespace: str) -> tuple[str, str] | None:
    """Return name and namespace of the Service that an address means, if it is one of the cluster's own names."""
    match = _IN_CLUSTER.fullmatch(urlsplit(uri).hostname or "")
    if not match or match["name"] == "localhost":
        return None
    return match["name"], match["namespace"] or namespace


def resolves(uri: str) -> bool:
    """Tell whether the host of an address is known here."""
    try:
        socket.getaddrinfo(urlsplit(uri).hostname, None)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def forward(where: Where, service: str, namespace: str, uri: str) -> Iterator[str]:
    """Open a way to a Service by kubectl and give the address at this end."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise StopError(
            Exit.UNREACHABLE,
            f"{uri} is known only inside the cluster, and there is no kubectl to forward to it. {_CONNECT}",
        )
    parts = urlsplit(uri)
    flags = [f"--namespace={namespace}"]
    flags += [f"--context={where.context}"] if where.context else []
    flags += [f"--kubeconfig={where.kubeconfig}"] if where.kubeconfig else []
    command = [kubectl, *flags, "port-forward", f"service/{service}", f":{parts.port or 80}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        # It waits without end for an API server that does not answer.
        timer = threading.Timer(FORWARD_SECONDS, process.kill)
        timer.start()
        try:
            first = process.stdout.readline() if process.stdout else ""
            timer.cancel()
            found = re.search(r"127\.0\.0\.1:(\d+)", first)
            if not found:
                process.kill()
                said = (process.stderr.read() if process.stderr else "").strip().rstrip(".")
                raise StopError(
                    Exit.UNREACHABLE,
                    f"{uri} is known only inside the cluster, and kubectl port-forward fails: {said}. {_CONNECT}",
                )
            # It tells each connection on its output, and would stop at a full pipe.
            threading.Thread(target=_read_away, args=(process.stdout,), daemon=True).start()
            yield urlunsplit(("http", f"127.0.0.1:{found[1]}", parts.path, "", ""))
        finally:
            timer.cancel()
            process.kill()


def _read_away(output: Iterable[str] | None) -> None:
    for _ in output or ():
        pass


@contextlib.contextmanager
def _set(env: Mapping[str, str]) -> Iterator[None]:
    """Let MLflow's client find variables for a while: the next registry must not be sent this one's credentials."""
    # A person who set credentials meant them.
    added = {key: value for key, value in env.items() if key not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for key in added:
            os.environ.pop(key, None)


def _secret(cluster: Cluster, namespace: str, name: str) -> dict[str, str]:
    try:
        found = cluster.find(SECRET, namespace, name)
    except ForbiddenError:
        return {}  # MLflow's own variables may have what is needed; if not, the registry will say so.
    data = (found or {}).get("data") or {}
    # Only what a client of a registry reads: a Secret must not choose the PATH of the programs that are run here.
    wanted = {key: value for key, value in data.items() if key.startswith(_CLIENT_VARIABLES)}
    return {key: base64.b64decode(value).decode(errors="replace") for key, value in wanted.items()}


def _bundle(cluster: Cluster, namespace: str, reference: Object) -> bytes:
    kind, key = reference.get("kind", "ConfigMap"), reference.get("key", "ca.crt")
    found = cluster.get(SECRET if kind == "Secret" else CONFIG_MAP, namespace, reference["name"])
    value = (found.get("data") or {}).get(key)
    if value is None:
        raise StopError(Exit.NOT_FOUND, f"{kind} {reference['name']} in namespace {namespace} has no key {key}.")
    return base64.b64decode(value) if kind == "Secret" else str(value).encode()
