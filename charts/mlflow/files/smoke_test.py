"""Use the installed server as a client would: `helm test` runs this in a pod that holds no key of any store.

Writes a run, an artifact and a model version, reads them back, and removes them again.
"""

import http.client
import os
import pathlib
import ssl
import sys
import tempfile
import urllib.parse
import uuid

import mlflow
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

URI = os.environ["MLFLOW_TRACKING_URI"]


def status_for_host(host: str) -> int:
    """Ask the API with this Host header."""
    server = urllib.parse.urlsplit(URI)
    if server.scheme == "https":
        trusted = ssl.create_default_context(cafile=os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH"))
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(server.netloc, timeout=30, context=trusted)
    else:
        connection = http.client.HTTPConnection(server.netloc, timeout=30)
    connection.request("GET", "/api/2.0/mlflow/experiments/search?max_results=1", headers={"Host": host})
    status = connection.getresponse().status
    connection.close()
    return status


def expect(what: str, found: object, wanted: object) -> None:
    """Print what was found, and stop if it is not what was wanted."""
    print(f"{'ok  ' if found == wanted else 'FAIL'} {what}: {found!r}", flush=True)
    if found != wanted:
        sys.exit(f"{what}: expected {wanted!r}")


def write_and_read(client: mlflow.MlflowClient, name: str) -> None:
    """Take an experiment called `name` through its life."""
    content = uuid.uuid4().hex
    experiment = client.create_experiment(name)
    run = client.create_run(experiment)
    try:
        client.log_metric(run.info.run_id, "answer", 42.0)
        expect("metric", client.get_run(run.info.run_id).data.metrics, {"answer": 42.0})
        client.log_text(run.info.run_id, content, "model/file.txt")
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(client.download_artifacts(run.info.run_id, "model/file.txt", folder))
            expect("artifact through the server", file.read_text(), content)
        client.create_registered_model(name)
        try:
            source = f"{run.info.artifact_uri}/model"
            version = client.create_model_version(name, source, run.info.run_id)
            client.set_registered_model_alias(name, "champion", version.version)
            expect("version by alias", client.get_model_version_by_alias(name, "champion").source, source)
        finally:
            client.delete_registered_model(name)
    finally:
        get_artifact_repository(run.info.artifact_uri).delete_artifacts()  # type: ignore[no-untyped-call]
        client.delete_run(run.info.run_id)
        client.delete_experiment(experiment)


def main() -> None:
    """Run all checks."""
    expect("status for an unknown Host header", status_for_host("rebound.example.com"), 403)
    expect("status for the name of the Service", status_for_host(urllib.parse.urlsplit(URI).netloc), 200)
    write_and_read(mlflow.MlflowClient(URI, URI), f"helm-test-{uuid.uuid4().hex[:8]}")
    print("the server at", URI, "works")


if __name__ == "__main__":
    main()
