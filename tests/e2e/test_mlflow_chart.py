"""The MLflow chart beyond its defaults: by a host name, stopped, over TLS, past the server to the bucket."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from examples.demo.install import install
from examples.demo.kube import Namespace, is_true
from tests.e2e.certificates import make_tls_secret
from tests.e2e.scene import TRAEFIK
from tests.e2e.tracking import EMBEDDED_STORES, RELEASE, SERVER_PODS, Images
from tests.e2e.waiting import eventually

API = "/api/2.0/mlflow/experiments"
GATEWAY = Namespace("gateway-system")
Install = Callable[..., None]


@pytest.fixture
def install_mlflow(own_namespace: Namespace, images: Images) -> Install:
    """Return what installs the chart with embedded stores, or upgrades it; values given here win."""
    return lambda **values: install(
        own_namespace, RELEASE, "mlflow", images.mlflow, EMBEDDED_STORES, {"workers": 1}, values
    )


def test_its_host_name_leads_to_it_and_its_pages_may_change_things(
    own_namespace: Namespace, install_mlflow: Install
) -> None:
    host = f"{own_namespace.name}.example.test"
    route = {"parentRefs": [TRAEFIK.parent], "hostnames": [host], "https": False}
    install_mlflow(httpRoute=route)
    with GATEWAY.port_forward("service/gateway", 80) as url:

        def ask(method: str, path: str, host: str = host, **arguments: Any) -> requests.Response:
            headers = {"Host": host, **arguments.pop("headers", {})}
            return requests.request(method, url + API + path, headers=headers, timeout=30, **arguments)

        eventually(
            "the route is in effect", lambda: ask("GET", "/search?max_results=1").status_code, lambda c: c == 200
        )
        assert ask("GET", "/search?max_results=1", host="other.example.test").status_code == 404
        # What the UI sends when somebody presses a button, and what another page would.
        own, other = {"Origin": f"http://{host}"}, {"Origin": "http://other.example.test"}
        assert ask("POST", "/create", json={"name": "by-the-ui"}, headers=own).status_code == 200
        assert ask("POST", "/create", json={"name": "by-another"}, headers=other).status_code == 403
        assert ask("GET", "/get-by-name?experiment_name=by-another").status_code == 404

        install_mlflow(httpRoute=route, stopped=True)
        eventually("nothing runs", lambda: own_namespace.get_all("pods"), lambda pods: not pods, seconds=120)
        install_mlflow(httpRoute=route)
        found = eventually(
            "it is back",
            lambda: ask("GET", "/get-by-name?experiment_name=by-the-ui"),
            lambda answer: answer.status_code == 200,
        )
    assert found.json()["experiment"]["name"] == "by-the-ui"


def test_it_speaks_tls_gives_clients_the_bucket_and_grows(
    own_namespace: Namespace, install_mlflow: Install, tmp_path: Path
) -> None:
    names = [RELEASE, f"{RELEASE}.{own_namespace.name}", f"{RELEASE}.{own_namespace.name}.svc", "localhost"]
    # The last is this machine's end of a port-forward.
    alternatives = [*(f"DNS:{name}" for name in names), "IP:127.0.0.1"]
    certificate = make_tls_secret(own_namespace, "own", alternatives, tmp_path)
    install_mlflow(
        tls={"secretName": "own", "caKey": "tls.crt"},
        artifacts={"root": "s3://mlflow/artifacts", "direct": True},
        autoscaling={"maxReplicas": 2},
    )
    # A client that trusts the certificate and has the bucket's keys: logs, registers and reads back.
    own_namespace.helm("test", RELEASE, "--timeout=120s")
    with own_namespace.port_forward(f"service/{RELEASE}", 5000) as url:
        secure = url.replace("http://", "https://")
        trusted = requests.get(f"{secure}{API}/search?max_results=1", verify=str(certificate), timeout=30)
        assert trusted.status_code == 200
        assert trusted.json()["experiments"][0]["artifact_location"].startswith("s3://mlflow/artifacts/")
        with pytest.raises(requests.ConnectionError):
            requests.get(f"{url}/health", timeout=30)
    eventually(
        "the autoscaler has figures",
        lambda: own_namespace.get("hpa", RELEASE),
        lambda found: is_true(found, "ScalingActive"),
        seconds=120,
    )
    assert len(own_namespace.get_all("pods", SERVER_PODS)) == 1
