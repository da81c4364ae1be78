"""The MLflow chart beyond its defaults: by a host name, stopped, over TLS, past the server to the bucket, restored."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
import requests
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

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


def test_a_copy_brings_everything_back_and_what_was_deleted_goes_for_good(
    own_namespace: Namespace, install_mlflow: Install, tmp_path: Path
) -> None:
    """Back up, wipe the database, restore, compare; then remove a deleted run with its files."""
    backup = {"schedule": "@yearly", "destination": "s3://mlflow/backups"}
    install_mlflow(backup=backup, gc={"schedule": "@yearly", "olderThan": "1s"})
    with own_namespace.port_forward(f"service/{RELEASE}", 5000) as url:
        mlflow.set_tracking_uri(url)
        client = mlflow.MlflowClient()
        runs = [client.create_run("0", tags={"number": str(number)}) for number in range(3)]
        for number, run in enumerate(runs):
            client.log_metric(run.info.run_id, "score", number / 7)
            client.log_text(run.info.run_id, f"text {number}", "notes.txt")
        client.create_registered_model("kept")
        source = f"{runs[0].info.artifact_uri}/model"
        version = client.create_model_version("kept", source, run_id=runs[0].info.run_id)
        client.set_registered_model_alias("kept", "champion", version.version)
        before = read_all(client, tmp_path)

        run_job(own_namespace, "backup")
        sql = "DROP SCHEMA public CASCADE; CREATE SCHEMA public"
        wipe = f'psql --username="$POSTGRES_USER" "$POSTGRES_DB" --command="{sql}"'
        own_namespace.kubectl("exec", f"{RELEASE}-postgresql-0", "--", "sh", "-c", wipe)
        with pytest.raises(mlflow.MlflowException):
            client.search_experiments()
        run_job(own_namespace, "restore")
        assert read_all(client, tmp_path) == before

        client.delete_run(runs[2].info.run_id)
        # By then it has been deleted for more than gc.olderThan.
        time.sleep(2)
        run_job(own_namespace, "gc")
        with pytest.raises(mlflow.MlflowException, match="not found"):
            client.get_run(runs[2].info.run_id)
        files = [get_artifact_repository(str(run.info.artifact_uri)).list_artifacts() for run in runs]
        assert [[one.path for one in listed] for listed in files] == [["notes.txt"], ["notes.txt"], []]


def read_all(client: mlflow.MlflowClient, folder: Path) -> list[Any]:
    """Read all that the test has written, from the database and from the bucket."""
    runs = client.search_runs(["0"], order_by=["attributes.start_time"])
    assert len(runs) == 3
    return [
        [(run.info.run_id, run.data.metrics, run.data.tags) for run in runs],
        [Path(client.download_artifacts(run.info.run_id, "notes.txt", str(folder))).read_text() for run in runs],
        client.get_model_version_by_alias("kept", "champion").source,
    ]


def run_job(namespace: Namespace, name: str) -> None:
    """Run the Job of a CronJob now, and wait for its end."""
    namespace.kubectl("create", "job", f"--from=cronjob/{RELEASE}-{name}", f"{name}-now")
    job = eventually(
        f"the {name} is done",
        lambda: namespace.get("job", f"{name}-now"),
        lambda job: is_true(job, "Complete") or is_true(job, "Failed"),
        seconds=180,
    )
    assert is_true(job, "Complete"), namespace.kubectl("logs", f"job/{name}-now", "--all-containers")
