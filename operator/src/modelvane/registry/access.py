"""How to reach a registry: what its spec names in Secrets and ConfigMaps, read anew each time it is asked."""

import base64
import hashlib
import os
import tempfile
from pathlib import Path

import certifi

from modelvane.cluster.kube import CONFIG_MAP, SECRET, Kube, RefusedError
from modelvane.engine.state import Key
from modelvane.queue import TryAgainError
from modelvane.registry.reader import Access
from modelvane.registry.trouble import UnreachableError
from modelvane.spec import ModelRegistrySpec


async def read_access(kube: Kube, key: Key, spec: ModelRegistrySpec) -> Access:
    """Read the credentials and the CA bundle that a registry's spec names."""
    env: dict[str, str] = {}
    if spec.credentials_secret_ref is not None:
        env = await read_secret(kube, key, spec.credentials_secret_ref.name)
    ca_path = None
    if spec.ca_bundle_ref is not None:
        data = await _read(kube, key, spec.ca_bundle_ref.kind, spec.ca_bundle_ref.name)
        if spec.ca_bundle_ref.key not in data:
            where = f"{spec.ca_bundle_ref.kind} {key.namespace}/{spec.ca_bundle_ref.name}"
            raise UnreachableError("CABundleMissing", f"{where} has no key {spec.ca_bundle_ref.key}")
        ca_path = _ca_file(data[spec.ca_bundle_ref.key])
    return Access(spec.uri, env, ca_path, spec.workspace)


async def read_secret(kube: Kube, key: Key, name: str) -> dict[str, str]:
    """Read a Secret that a registry names. The line's end that `echo` and editors leave behind is no part of it."""
    data = await _read(kube, key, "Secret", name)
    return {name: value.decode(errors="replace").strip() for name, value in data.items()}


async def _read(kube: Kube, key: Key, kind: str, name: str) -> dict[str, bytes]:
    try:
        found = await kube.get(SECRET if kind == "Secret" else CONFIG_MAP, key.namespace, name)
    except (TryAgainError, RefusedError) as error:
        raise UnreachableError("CredentialsUnreadable", f"{kind} {key.namespace}/{name} cannot be read") from error
    if found is None:
        message = f"{kind} {key.namespace}/{name}, which ModelRegistry {key.name} names, does not exist"
        raise UnreachableError(f"{kind}Missing", message)
    data = found.get("data") or {}
    if kind == "Secret":
        return {name: base64.b64decode(value) for name, value in data.items()}
    return {name: str(value).encode() for name, value in data.items()}


def _ca_file(bundle: bytes) -> str:
    """Keep a CA bundle in a file, which is the only form MLflow takes it in. Equal bundles share one.

    MLflow trusts what is in the file and nothing else, so the usual certificates are put there, too.
    """
    folder = Path(tempfile.gettempdir()) / f"modelvane-ca-{os.getpid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{hashlib.sha256(bundle).hexdigest()[:16]}.crt"
    if not path.exists():
        # Whole or not at all: half a bundle would stay for as long as the process.
        part = path.with_suffix(".part")
        part.write_bytes(Path(certifi.where()).read_bytes() + b"\n" + bundle)
        part.replace(path)
    return str(path)
