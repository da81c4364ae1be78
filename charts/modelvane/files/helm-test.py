"""What `helm test` runs: is the operator ready, and does the API server serve its resources."""

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
API = "serving.modelvane.dev/v1alpha1"
WANTED = {
    "modeldeployments",
    "modeldeployments/status",
    "modeldeployments/scale",
    "modelregistries",
    "modelregistries/status",
}


def operator_ready(url: str, seconds: int) -> None:
    """Ask until the answer is 200, because a Service takes a moment to notice that its pod is ready."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                print(f"ok: {url} says that the operator is ready")
                return
        except OSError as error:
            if time.monotonic() > deadline:
                print(f"Look at: kubectl logs deployment/{os.environ['OPERATOR']}")
                sys.exit(f"FAILED: {url} does not answer 200 within {seconds} s: {error}")
        time.sleep(1)


def resources_served() -> None:
    """Ask which resources the group has, as any account may."""
    server = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
    token = (ACCOUNT / "token").read_text()
    request = urllib.request.Request(f"{server}/apis/{API}", headers={"Authorization": f"Bearer {token}"})
    trust = ssl.create_default_context(cafile=ACCOUNT / "ca.crt")
    try:
        with urllib.request.urlopen(request, timeout=10, context=trust) as answer:
            served = {resource["name"] for resource in json.load(answer)["resources"]}
    except urllib.error.HTTPError as error:
        sys.exit(f"FAILED: the API server does not serve {API} ({error}): install the CRDs")
    if missing := WANTED - served:
        sys.exit(f"FAILED: the API server does not serve {', '.join(sorted(missing))}: upgrade the CRDs")
    print("ok: the API server serves ModelDeployment and ModelRegistry")


operator_ready(os.environ["READY_URL"], seconds=60)
resources_served()
