"""Make the Secret of the embedded stores, once: `make_secret.py NAMESPACE NAME RELEASE BUCKET`.

Runs before install and upgrade. A Secret that exists is left as it is, whatever it holds: the volume of the embedded
database knows only the password that it was made with. Passwords come from here and not from a template, because a
template is rendered anew by every `helm template`, upgrade and GitOps sync.
"""

import json
import pathlib
import secrets
import ssl
import sys
import urllib.error
import urllib.request
from typing import Any

TOKEN = pathlib.Path("/var/run/secrets/kubernetes.io/serviceaccount")
API = "https://kubernetes.default.svc"


def build_secret(name: str, release: str, bucket: str) -> dict[str, Any]:
    """Build the Secret with new random passwords."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {
            "name": name,
            "labels": {"app.kubernetes.io/instance": release, "app.kubernetes.io/part-of": "modelvane"},
            "annotations": {
                "modelvane.dev/description": "Keys of the embedded stores, made at the first install, never changed. "
                "Delete it only together with their volume claims."
            },
        },
        "stringData": {
            "POSTGRES_USER": "mlflow",
            "POSTGRES_PASSWORD": secrets.token_urlsafe(32),
            "AWS_ACCESS_KEY_ID": secrets.token_hex(10).upper(),
            "AWS_SECRET_ACCESS_KEY": secrets.token_urlsafe(32),
            "MLFLOW_S3_ARTIFACT_ROOT": f"s3://{bucket}/artifacts",
        },
    }


def create(namespace: str, secret: dict[str, Any]) -> bool:
    """Create the Secret; False if there was one already."""
    request = urllib.request.Request(
        f"{API}/api/v1/namespaces/{namespace}/secrets",
        data=json.dumps(secret).encode(),
        headers={
            "Authorization": f"Bearer {(TOKEN / 'token').read_text()}",
            "Content-Type": "application/json",
        },
        method="POST",
    )
    context = ssl.create_default_context(cafile=str(TOKEN / "ca.crt"))
    try:
        with urllib.request.urlopen(request, context=context, timeout=10):
            return True
    except urllib.error.HTTPError as error:
        if error.code == 409:
            return False
        raise SystemExit(
            f"cannot create Secret {namespace}/{secret['metadata']['name']}: {error.read().decode()}"
        ) from error


def main(namespace: str, name: str, release: str, bucket: str) -> None:
    """Create the Secret unless it exists, and say which of the two it was."""
    made = create(namespace, build_secret(name, release, bucket))
    print(f"Secret {namespace}/{name} {'made' if made else 'exists, left as it is'}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
