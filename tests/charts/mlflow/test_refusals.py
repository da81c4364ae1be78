"""Values the chart does not take, each with the words that a user gets to see."""

from typing import Any

import pytest

from tests.charts import helm

EMBEDDED: dict[str, Any] = {"embedded": {"postgresql": {"enabled": True}, "s3": {"enabled": True}}}
EXTERNAL: dict[str, Any] = {"existingSecret": "stores", "database": {"host": "db"}}

BY_SCHEMA: dict[str, tuple[dict[str, Any], str]] = {
    "unknown key": ({"replicaCount": 2}, "at '': additional properties 'replicaCount' not allowed"),
    "unknown key of the image": ({"image": {"tga": "1"}}, "at '/image': additional properties 'tga' not allowed"),
    "unknown key of the database": (
        {"database": {"password": "hunter2"}},
        "at '/database': additional properties 'password' not allowed",
    ),
    "unknown key of an embedded store": (
        {"embedded": {"s3": {"persistence": {}}}},
        "at '/embedded/s3': additional properties 'persistence' not allowed",
    ),
    "unknown kind of resource": (
        {"resources": {"request": {}}},
        "at '/resources': additional properties 'request' not allowed",
    ),
    "text for a number": ({"replicas": "two"}, "at '/replicas': got string, want null or integer"),
    "number for a text": ({"image": {"tag": 3.17}}, "at '/image/tag': got number, want string"),
    "text for a switch": ({"telemetry": "no"}, "at '/telemetry': got string, want boolean"),
    "no workers": ({"workers": 0}, "at '/workers': minimum: got 0, want 1"),
    "port out of range": ({"service": {"port": 70000}}, "at '/service/port': maximum: got 70,000, want 65,535"),
    "URI for a host": ({"database": {"host": "postgresql://db/mlflow"}}, "at '/database/host': "),
    "host with a port": ({"database": {"host": "db:5432"}}, "at '/database/host': 'db:5432' does not match pattern"),
    "connection string for a database name": ({"database": {"name": "dbname=x"}}, "at '/database/name': "),
    "unknown TLS mode": (
        {"database": {"sslMode": "on"}},
        "at '/database/sslMode': value must be one of '', 'disable', ",
    ),
    "artifact root that is no bucket": ({"artifacts": {"root": "/mnt/artifacts"}}, "at '/artifacts/root': "),
    "endpoint without scheme": (
        {"artifacts": {"endpointUrl": "s3:8333"}},
        "at '/artifacts/endpointUrl': 's3:8333' does",
    ),
    "keys in the endpoint": ({"artifacts": {"endpointUrl": "http://a:b@s3"}}, "at '/artifacts/endpointUrl': "),
    "every host allowed": ({"allowedHosts": ["*"]}, "at '/allowedHosts/0': '*' does not match pattern"),
    "URL for a host": ({"allowedHosts": ["https://mlflow.example.com"]}, "at '/allowedHosts/0': "),
    "two hosts in one": ({"allowedHosts": ["a,b"]}, "at '/allowedHosts/0': 'a,b' does not match pattern"),
    "Cluster that is no name": (
        {"database": {"cloudNativePG": "Tracking DB"}},
        "at '/database/cloudNativePG': 'Tracking DB' does not match pattern",
    ),
    "URI for its key": ({"database": {"uriKey": "postgresql://u:p@h/d"}}, "at '/database/uriKey': "),
    "unknown way to name a bucket": (
        {"artifacts": {"addressingStyle": "dns"}},
        "at '/artifacts/addressingStyle': value must be one of 'auto', 'path', 'virtual'",
    ),
    "text for the switch of direct access": (
        {"artifacts": {"direct": "yes"}},
        "at '/artifacts/direct': got string, want boolean",
    ),
    "unknown size": ({"size": "huge"}, "at '/size': value must be one of 'small', 'medium', 'large'"),
    "unknown key of the autoscaler": (
        {"autoscaling": {"enabled": True}},
        "at '/autoscaling': additional properties 'enabled' not allowed",
    ),
    "spread over nothing": (
        {"topologySpreadConstraints": [{"maxSkew": 1}]},
        "at '/topologySpreadConstraints/0': missing properties 'topologyKey', 'whenUnsatisfiable'",
    ),
    "unknown kind of Service": ({"service": {"type": "ExternalName"}}, "at '/service/type': value must be one of "),
    "URL for the host of an Ingress": (
        {"ingress": {"hosts": ["https://mlflow.example.com"]}},
        "at '/ingress/hosts/0': 'https://mlflow.example.com' does not match pattern",
    ),
    "any host for an Ingress": ({"ingress": {"hosts": ["*"]}}, "at '/ingress/hosts/0': '*' does not match pattern"),
    "host with a port for a route": (
        {"httpRoute": {"hostnames": ["mlflow.example.com:8443"]}},
        "at '/httpRoute/hostnames/0': 'mlflow.example.com:8443' does not match pattern",
    ),
    "Gateway without a name": (
        {"httpRoute": {"parentRefs": [{"namespace": "gateways"}]}},
        "at '/httpRoute/parentRefs/0': missing property 'name'",
    ),
    "certificate instead of its Secret": (
        {"tls": {"secretName": "-----BEGIN CERTIFICATE-----"}},
        "at '/tls/secretName': ",
    ),
    "every origin allowed": ({"corsAllowedOrigins": ["*"]}, "at '/corsAllowedOrigins/0': '*' does not match pattern"),
    "tag in the repository": (
        {"image": {"repository": "mlflow:3"}},
        "at '/image/repository': 'mlflow:3' does not match",
    ),
    "size that is none": ({"tmp": {"sizeLimit": "big"}}, "at '/tmp/sizeLimit': 'big' does not match pattern"),
    "variable without a name": ({"extraEnv": [{"value": "x"}]}, "at '/extraEnv/0': missing property 'name'"),
    "label that is no text": ({"podLabels": {"tier": 1}}, "at '/podLabels/tier': got number, want string"),
}

BY_TEMPLATE: dict[str, tuple[dict[str, Any], list[str]]] = {
    "three databases": (
        {**EMBEDDED, "database": {"cloudNativePG": "tracking", "host": "db"}},
        ["embedded.postgresql.enabled and database.cloudNativePG and database.host each name a database: set only one"],
    ),
    "URI without its Secret": (
        {"database": {"uriKey": "uri"}, "artifacts": {"existingSecret": "keys"}},
        ["set existingSecret or database.existingSecret to the name of a Secret with the key uri"],
    ),
    "nothing to verify the database by": (
        {**EXTERNAL, "database": {"host": "db", "sslMode": "verify-full"}},
        ["database.sslMode is verify-full but there is no CA to verify by: set database.caSecret"],
    ),
    "TLS towards the embedded database": (
        {"embedded": EMBEDDED["embedded"], "database": {"sslMode": "verify-ca", "caSecret": "ca"}},
        ["database.sslMode is verify-ca but the embedded PostgreSQL has no certificate: leave it empty"],
    ),
    "identity of a cloud for the embedded store": (
        {**EMBEDDED, "artifacts": {"workloadIdentity": True, "root": "s3://mlflow/artifacts"}},
        ["artifacts.workloadIdentity is set but the embedded store knows no cloud"],
    ),
    "identity without a bucket": (
        {**EXTERNAL, "artifacts": {"workloadIdentity": True}},
        ["artifacts.workloadIdentity is set without artifacts.root: set it to s3://bucket/prefix"],
    ),
    "direct access to no bucket": (
        {**EXTERNAL, "artifacts": {"direct": True}},
        ["artifacts.direct is set without artifacts.root: set it to s3://bucket/prefix"],
    ),
    "fewer pods under load than without": (
        {**EXTERNAL, "size": "large", "autoscaling": {"maxReplicas": 2}},
        ["autoscaling.maxReplicas is 2 but there are 3 replicas already: set at least 3, or 0"],
    ),
    "Ingress for no host": (
        {**EXTERNAL, "ingress": {"enabled": True}},
        ["ingress.enabled without a host: set ingress.hosts"],
    ),
    "route for no host": (
        {**EXTERNAL, "httpRoute": {"parentRefs": [{"name": "public"}]}},
        ["httpRoute.parentRefs without a host: set httpRoute.hostnames"],
    ),
    "route to no Gateway": (
        {**EXTERNAL, "httpRoute": {"hostnames": ["mlflow.example.com"]}},
        ["httpRoute.hostnames without a Gateway: set httpRoute.parentRefs"],
    ),
    "port of the nodes without an address of them": (
        {**EXTERNAL, "service": {"type": "NodePort"}},
        ["service.type is NodePort, but the server would refuse who comes that way: set allowedHosts"],
    ),
    "port of the nodes for a Service inside the cluster": (
        {**EXTERNAL, "service": {"nodePort": 30500}},
        ["service.nodePort is 30500 but service.type is ClusterIP: set service.type=NodePort"],
    ),
    "nothing set": (
        {},
        [
            "no database: set database.host to your PostgreSQL server, or embedded.postgresql.enabled=true",
            "set existingSecret or database.existingSecret to the name of a Secret with the keys POSTGRES_USER and",
            "no artifact store: set existingSecret or artifacts.existingSecret to the name of a Secret with the keys "
            "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and MLFLOW_S3_ARTIFACT_ROOT, or embedded.s3.enabled=true",
        ],
    ),
    "database without a Secret": (
        {"database": {"host": "db", "userKey": "username"}, "artifacts": {"existingSecret": "keys"}},
        [
            "no database user and password: set existingSecret or database.existingSecret",
            "keys username and POSTGRES_PASS",
        ],
    ),
    "only the database": (
        {"database": {"host": "db", "existingSecret": "db"}, "artifacts": {"root": "s3://models"}},
        ["no artifact store: ", "with the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or"],
    ),
    "two databases": (
        {**EMBEDDED, "database": {"host": "db"}},
        ["embedded.postgresql.enabled and database.host each name a database: set only one of them"],
    ),
    "two artifact stores": (
        {**EMBEDDED, "artifacts": {"endpointUrl": "http://s3:8333"}},
        ['artifacts.endpointUrl is "http://s3:8333" but embedded.s3.enabled is true: set only one of them'],
    ),
    "bucket that the embedded store lacks": (
        {**EMBEDDED, "artifacts": {"root": "s3://models/x"}},
        ['artifacts.root is "s3://models/x" but the embedded store has only the bucket embedded.s3.bucket=mlflow'],
    ),
    "TLS to the embedded database": (
        {**EMBEDDED, "database": {"sslMode": "require"}},
        ["database.sslMode is require but the embedded PostgreSQL has no certificate"],
    ),
    "MLflow below the floor": (
        {**EXTERNAL, "image": {"tag": "v3.10.1"}},
        ["image.tag is v3.10.1 but MLflow before 3.11 has known holes", "set allowUnsupportedVersion=true"],
    ),
    "moving tag": ({**EXTERNAL, "image": {"tag": "latest"}}, ["image.tag is latest", "name a version"]),
    "webhooks without a key": (
        {**EXTERNAL, "webhooks": {"allowHttp": True}},
        ["webhooks are opened without a key for their secrets", "set webhooks.encryptionKeySecret"],
    ),
    "key of the webhooks given twice": (
        {
            **EXTERNAL,
            "webhooks": {"encryptionKeySecret": "key"},
            "extraEnv": [{"name": "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY", "value": "x"}],
        },
        ["extraEnv sets MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY, which the chart sets from its own values"],
    ),
    "variable of the chart": (
        {**EXTERNAL, "extraEnv": [{"name": "PGPASSWORD", "value": "x"}]},
        ["extraEnv sets PGPASSWORD, which the chart sets from its own values"],
    ),
}


@pytest.mark.parametrize("case", BY_SCHEMA)
def test_schema_refuses_and_names_the_place(case: str) -> None:
    values, message = BY_SCHEMA[case]
    assert message in helm.refusal("mlflow", EXTERNAL | values, release="mlflow")


@pytest.mark.parametrize("case", BY_TEMPLATE)
def test_values_that_do_not_fit_together_are_refused(case: str) -> None:
    values, messages = BY_TEMPLATE[case]
    said = helm.refusal("mlflow", values, release="mlflow")
    assert "these values do not work together:" in said
    for message in messages:
        assert message in said


@pytest.mark.parametrize("tag", ["3.11.0", "3.17.2-team", "dev-0123456789ab", "v4.0", "3.12.0@sha256:" + "0" * 64])
def test_supported_tags_and_tags_that_are_no_version_are_taken(tag: str) -> None:
    helm.render("mlflow", {**EXTERNAL, "image": {"tag": tag}}, release="mlflow")


def test_floor_can_be_overridden() -> None:
    helm.render("mlflow", {**EXTERNAL, "image": {"tag": "2.22.4"}, "allowUnsupportedVersion": True}, release="mlflow")
