"""How the server, the migration and their waiting reach a database and a bucket that exist."""

import re
from typing import Any

import pytest

from tests.charts import helm
from tests.charts.mlflow.test_scripts import schema
from tests.charts.mlflow.test_server import EXTERNAL, config, environment, render, secret_key, server

ARTIFACTS: dict[str, Any] = {"artifacts": {"existingSecret": "keys", "root": "s3://models/mlflow"}}


def users_of_the_database(objects: list[helm.Manifest]) -> list[tuple[helm.Manifest, helm.Manifest]]:
    """Return the pods and containers that talk to the database: waiting, serving, migrating."""
    deployment = helm.one(objects, "Deployment")["spec"]["template"]["spec"]
    job = next(item for item in objects if "-migrate-" in item["metadata"]["name"])["spec"]["template"]["spec"]
    return [
        (deployment, deployment["initContainers"][0]),
        (deployment, deployment["containers"][0]),
        (job, job["containers"][0]),
    ]


def mounted(pod: helm.Manifest, container: helm.Manifest, path: str) -> dict[str, Any]:
    name = next(mount["name"] for mount in container["volumeMounts"] if mount["mountPath"] == path)
    secret: dict[str, Any] = next(volume["secret"] for volume in pod["volumes"] if volume["name"] == name)
    return secret


def test_a_cloudnativepg_cluster_says_it_all() -> None:
    for pod, container in users_of_the_database(render({"database": {"cloudNativePG": "tracking"}, **ARTIFACTS})):
        found = environment(container)
        wanted = {
            "PGHOST": "host",
            "PGPORT": "port",
            "PGDATABASE": "dbname",
            "PGUSER": "username",
            "PGPASSWORD": "password",
        }
        assert {name: found[name] for name in wanted} == {
            name: secret_key("tracking-app", key) for name, key in wanted.items()
        }
        assert (found["PGSSLMODE"], found["PGSSLROOTCERT"]) == ("verify-full", "/database-ca/ca.crt")
        assert mounted(pod, container, "/database-ca") == {
            "secretName": "tracking-ca",
            "items": [{"key": "ca.crt", "path": "ca.crt"}],
        }


def test_a_uri_stays_in_its_secret() -> None:
    objects = render({"database": {"existingSecret": "tracking", "uriKey": "uri"}, **ARTIFACTS})
    for _, container in users_of_the_database(objects):
        found = environment(container)
        assert found["MLFLOW_BACKEND_STORE_URI"] == secret_key("tracking", "uri")
        assert not found.keys() & {"PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD"}
    assert "MLFLOW_BACKEND_STORE_URI" not in config(objects)


@pytest.mark.parametrize("prefix", ["postgresql://", "postgresql+psycopg2://"])
def test_a_uri_becomes_libpqs_variables(prefix: str) -> None:
    assert schema.variables_of(f"{prefix}ml:p%40ss@db.example.com:6432/tracking?sslmode=require") == {
        "PGUSER": "ml",
        "PGPASSWORD": "p@ss",
        "PGHOST": "db.example.com",
        "PGPORT": "6432",
        "PGDATABASE": "tracking",
        "PGSSLMODE": "require",
    }


def test_no_uri_is_no_variable() -> None:
    assert schema.variables_of("") == schema.variables_of("postgresql+psycopg2://") == {}


def test_a_uri_that_is_none_is_not_repeated() -> None:
    with pytest.raises(schema.HopelessError, match="is not postgresql://user:password@host:port/name") as told:
        schema.variables_of("mysql://ml:hunter2@db/tracking")
    assert "hunter2" not in str(told.value)


@pytest.mark.parametrize(
    ("values", "mode", "ca"),
    [
        ({}, "prefer", None),
        ({"sslMode": "require"}, "require", None),
        ({"caSecret": "pki"}, "verify-full", "/database-ca/ca.crt"),
        ({"caSecret": "pki", "sslMode": "verify-ca"}, "verify-ca", "/database-ca/ca.crt"),
    ],
)
def test_a_ca_is_there_to_verify_by(values: dict[str, Any], mode: str, ca: str | None) -> None:
    objects = render({**EXTERNAL, "database": {"host": "db", "caKey": "root.crt", **values}})
    for pod, container in users_of_the_database(objects):
        found = environment(container)
        assert (found["PGSSLMODE"], found.get("PGSSLROOTCERT")) == (mode, ca)
        if ca is not None:
            items = [{"key": "root.crt", "path": "ca.crt"}]
            assert mounted(pod, container, "/database-ca") == {"secretName": "pki", "items": items}


def test_keys_from_the_cloud_need_no_secret() -> None:
    annotations = {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/mlflow"}
    values = {
        "database": {"host": "db", "existingSecret": "app"},
        "artifacts": {"workloadIdentity": True, "root": "s3://models/mlflow"},
        "serviceAccount": {"annotations": annotations},
    }
    objects = render(values)
    found = environment(server(objects))
    assert not found.keys() & {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    assert found["MLFLOW_ARTIFACTS_DESTINATION"] == "s3://models/mlflow"
    assert helm.one(objects, "ServiceAccount")["metadata"]["annotations"] == annotations


def test_the_bucket_may_have_a_ca_and_a_way_to_be_named() -> None:
    objects = render({**EXTERNAL, "artifacts": {"caSecret": "pki", "caKey": "root.crt", "addressingStyle": "path"}})
    pod = helm.one(objects, "Deployment")["spec"]["template"]["spec"]
    assert environment(server(objects))["AWS_CA_BUNDLE"] == "/artifacts-ca/ca.crt"
    items = [{"key": "root.crt", "path": "ca.crt"}]
    assert mounted(pod, server(objects), "/artifacts-ca") == {"secretName": "pki", "items": items}
    assert config(objects)["MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE"] == "path"
    assert "MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE" not in config(render(EXTERNAL))


def test_artifacts_pass_through_the_server_unless_told_otherwise() -> None:
    objects = render({**EXTERNAL, "artifacts": {"root": "s3://models/mlflow"}})
    assert config(objects)["MLFLOW_SERVE_ARTIFACTS"] == "true"
    found = environment(server(objects))
    assert found["MLFLOW_ARTIFACTS_DESTINATION"] == "s3://models/mlflow"
    assert "MLFLOW_DEFAULT_ARTIFACT_ROOT" not in found
    assert "AWS_ACCESS_KEY_ID" not in environment(helm.one(objects, "Pod")["spec"]["containers"][0])


def test_direct_access_gives_clients_the_place_and_takes_versions_from_there_alone() -> None:
    values = {"root": "s3://models.prod/mlflow/", "direct": True, "caSecret": "pki", "endpointUrl": "https://s3"}
    objects = render({**EXTERNAL, "artifacts": values})
    assert config(objects)["MLFLOW_SERVE_ARTIFACTS"] == "false"
    found = environment(server(objects))
    assert found["MLFLOW_DEFAULT_ARTIFACT_ROOT"] == "s3://models.prod/mlflow/"
    assert "MLFLOW_ARTIFACTS_DESTINATION" not in found
    allowed = re.compile(config(objects)["MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX"])
    assert allowed.search("s3://models.prod/mlflow/1/abc/artifacts/model")
    assert allowed.search("models:/m-0123")
    for other in ("s3://models.prod/other", "s3://modelsxprod/mlflow/1", "/etc/s3://models.prod/mlflow/1"):
        assert not allowed.search(other)
    # What tests it is a client like any other.
    test = helm.one(objects, "Pod")["spec"]
    client = environment(test["containers"][0])
    assert client["AWS_ACCESS_KEY_ID"] == secret_key("stores", "AWS_ACCESS_KEY_ID")
    assert (client["MLFLOW_S3_ENDPOINT_URL"], client["AWS_CA_BUNDLE"]) == ("https://s3", "/artifacts-ca/ca.crt")
    assert mounted(test, test["containers"][0], "/artifacts-ca")["secretName"] == "pki"
