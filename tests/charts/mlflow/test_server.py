"""What single values do to the rendered server, Service and stores."""

import fnmatch
from typing import Any

import pytest

from tests.charts import helm

EXTERNAL: dict[str, Any] = {"existingSecret": "stores", "database": {"host": "db.example.com"}}
EMBEDDED: dict[str, Any] = {"embedded": {"postgresql": {"enabled": True}, "s3": {"enabled": True}}}


def render(values: dict[str, Any], release: str = "mlflow", namespace: str = "ml") -> list[helm.Manifest]:
    return helm.manifests("mlflow", values, release=release, namespace=namespace)


def server(objects: list[helm.Manifest]) -> helm.Manifest:
    container: helm.Manifest = helm.one(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    return container


def environment(container: helm.Manifest) -> dict[str, Any]:
    names = [variable["name"] for variable in container["env"]]
    assert len(names) == len(set(names)), "a variable is set twice"
    return {variable["name"]: variable.get("value", variable.get("valueFrom")) for variable in container["env"]}


def config(objects: list[helm.Manifest], name: str = "mlflow") -> dict[str, str]:
    data: dict[str, str] = helm.one(objects, "ConfigMap", name)["data"]
    return data


def secret_key(name: str, key: str) -> dict[str, Any]:
    return {"secretKeyRef": {"name": name, "key": key}}


def answers(host: str, objects: list[helm.Manifest]) -> bool:
    """Match as mlflow/server/security_utils.py does."""
    allowed = environment(server(objects))["MLFLOW_SERVER_ALLOWED_HOSTS"].replace("$(POD_IP)", "10.244.0.7").split(",")
    return any(fnmatch.fnmatch(host, entry) if "*" in entry else host == entry for entry in allowed)


@pytest.mark.parametrize(
    "host",
    [
        "mlflow:5000",
        "mlflow.ml:5000",
        "mlflow.ml.svc:5000",
        "mlflow.ml.svc.cluster.local:5000",
        "10.244.0.7:5000",
        "localhost",
        "localhost:5000",
        "localhost:38111",
        "127.0.0.1:5000",
    ],
)
def test_server_answers_to_its_names(host: str) -> None:
    assert answers(host, render(EXTERNAL))


@pytest.mark.parametrize(
    "host",
    [
        "mlflow.example.com",
        "mlflow.ml.example.com:5000",
        "mlflow.ml.svc.example.com:5000",
        "mlflow:5001",
        "mlflow.other:5000",
        "10.244.0.8:5000",
        "10.96.0.12:5000",
        "localhost.example.com",
    ],
)
def test_server_refuses_other_names(host: str) -> None:
    assert not answers(host, render(EXTERNAL))


def test_hosts_follow_release_namespace_port_and_domain() -> None:
    values = {**EXTERNAL, "service": {"port": 80}, "clusterDomain": "corp.internal", "allowedHosts": ["ml.example.com"]}
    objects = render(values, release="team", namespace="research")
    for host in ("team-mlflow", "team-mlflow.research.svc.corp.internal:80", "ml.example.com"):
        assert answers(host, objects), host
    for host in ("mlflow:5000", "team-mlflow.research.svc.cluster.local:80", "ml.example.com:8443"):
        assert not answers(host, objects), host


def test_five_keys_of_one_secret_are_enough() -> None:
    found = environment(server(render(EXTERNAL)))
    assert found["PGUSER"] == secret_key("stores", "POSTGRES_USER")
    assert found["PGPASSWORD"] == secret_key("stores", "POSTGRES_PASSWORD")
    assert found["AWS_ACCESS_KEY_ID"] == secret_key("stores", "AWS_ACCESS_KEY_ID")
    assert found["AWS_SECRET_ACCESS_KEY"] == secret_key("stores", "AWS_SECRET_ACCESS_KEY")
    assert found["MLFLOW_ARTIFACTS_DESTINATION"] == secret_key("stores", "MLFLOW_S3_ARTIFACT_ROOT")
    assert (found["PGHOST"], found["PGPORT"], found["PGDATABASE"]) == ("db.example.com", "5432", "mlflow")


def test_each_store_can_have_its_own_secret_and_keys() -> None:
    values = {
        "existingSecret": "both",
        "database": {"host": "db", "existingSecret": "app", "userKey": "username", "passwordKey": "password"},
        "artifacts": {
            "existingSecret": "bucket",
            "accessKeyIdKey": "id",
            "secretAccessKeyKey": "key",
            "root": "s3://models/x",
        },
    }
    found = environment(server(render(values)))
    assert found["PGUSER"] == secret_key("app", "username")
    assert found["PGPASSWORD"] == secret_key("app", "password")
    assert found["AWS_ACCESS_KEY_ID"] == secret_key("bucket", "id")
    assert found["AWS_SECRET_ACCESS_KEY"] == secret_key("bucket", "key")
    assert found["MLFLOW_ARTIFACTS_DESTINATION"] == "s3://models/x"


def test_server_migration_and_wait_use_the_same_database() -> None:
    objects = render({**EXTERNAL, "database": {"host": "db", "port": 6432, "name": "tracking", "sslMode": "require"}})
    found = [
        {k: v for k, v in environment(container).items() if k.startswith("PG")}
        for _, pod in helm.pods(objects)
        for container in helm.containers(pod)
        if container["name"] in {"mlflow", "migrate", "wait-for-schema"}
    ]
    assert len(found) == 3
    assert found[0]["PGSSLMODE"] == "require"
    assert found == [found[0]] * 3


def test_defaults_are_quiet_and_proxied() -> None:
    found = config(render(EXTERNAL))
    assert found["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert found["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert found["MLFLOW_SERVE_ARTIFACTS"] == "true"
    assert (
        not {"MLFLOW_EXPOSE_PROMETHEUS", "MLFLOW_S3_ENDPOINT_URL", "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"} & found.keys()
    )
    assert [name for name in found.keys() | environment(server(render(EXTERNAL))).keys() if "WEBHOOK" in name] == []


@pytest.mark.parametrize(
    ("values", "name", "value"),
    [
        ({"workers": 5}, "MLFLOW_WORKERS", "5"),
        ({"jobExecution": True}, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "true"),
        ({"telemetry": True}, "MLFLOW_DISABLE_TELEMETRY", "false"),
        ({"metrics": {"enabled": True}}, "MLFLOW_EXPOSE_PROMETHEUS", "/tmp/prometheus"),  # noqa: S108 - inside the pod
        ({"artifacts": {"endpointUrl": "https://minio:9000"}}, "MLFLOW_S3_ENDPOINT_URL", "https://minio:9000"),
        ({"artifacts": {"region": "eu-west-1"}}, "AWS_DEFAULT_REGION", "eu-west-1"),
        (
            {"corsAllowedOrigins": ["https://a.com", "https://*.b.com"]},
            "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS",
            "https://a.com,https://*.b.com",
        ),
        ({"modelSourcePattern": "^s3://"}, "MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX", "^s3://"),
    ],
)
def test_value_reaches_the_server_and_replaces_its_pods(values: dict[str, Any], name: str, value: str) -> None:
    before, after = render(EXTERNAL), render(EXTERNAL | values)
    assert config(before).get(name) != value
    assert config(after)[name] == value
    checksums = [
        helm.one(objects, "Deployment")["spec"]["template"]["metadata"]["annotations"]["checksum/config"]
        for objects in (before, after)
    ]
    assert checksums[0] != checksums[1]


def test_pods_are_replaced_one_by_one_without_a_gap() -> None:
    spec = helm.one(render(EXTERNAL), "Deployment")["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    pause = spec["template"]["spec"]["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pause < spec["template"]["spec"]["terminationGracePeriodSeconds"]


def test_readiness_asks_the_database_and_liveness_does_not() -> None:
    container = server(render(EXTERNAL))
    assert container["readinessProbe"]["httpGet"]["path"].startswith("/api/2.0/mlflow/experiments/search")
    assert container["livenessProbe"]["httpGet"]["path"] == "/health"
    assert container["startupProbe"]["httpGet"]["path"] == "/health"


@pytest.mark.parametrize(("replicas", "budgets"), [(1, 0), (2, 1)])
def test_disruption_budget_comes_with_the_second_replica(replicas: int, budgets: int) -> None:
    kinds = [o["kind"] for o in render({**EXTERNAL, "replicas": replicas})]
    assert kinds.count("PodDisruptionBudget") == budgets


def test_webhooks_are_opened_with_a_key_for_their_secrets() -> None:
    values = {**EXTERNAL, "webhooks": {"encryptionKeySecret": "key", "allowHttp": True, "allowPrivateAddresses": True}}
    found = config(render(values))
    assert found["MLFLOW_WEBHOOK_ALLOWED_SCHEMES"] == "https,http"
    assert found["MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS"] == "true"
    name = "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY"
    assert environment(server(render(values)))[name] == secret_key("key", name)


def test_extra_environment_follows_that_of_the_chart() -> None:
    values = {
        **EXTERNAL,
        "extraEnv": [{"name": "MLFLOW_WORKERS", "value": "7"}],
        "extraEnvFrom": [{"configMapRef": {"name": "more"}}],
    }
    container = server(render(values))
    assert environment(container)["MLFLOW_WORKERS"] == "7"
    assert [source["configMapRef"]["name"] for source in container["envFrom"]] == ["mlflow", "more"]


def test_embedded_stores_bring_their_services_and_secret_maker() -> None:
    objects = render(EMBEDDED)
    found = environment(server(objects))
    assert found["PGHOST"] == helm.one(objects, "Service", "mlflow-postgresql")["metadata"]["name"]
    assert config(objects)["MLFLOW_S3_ENDPOINT_URL"] == "http://mlflow-s3:8333"
    assert found["PGPASSWORD"] == secret_key("mlflow-embedded", "POSTGRES_PASSWORD")
    hook = helm.one(objects, "Job", "mlflow-make-secret")
    assert hook["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    # Just enough to make a Secret: it can neither read nor change one.
    assert helm.one(objects, "Role")["rules"] == [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]}]


def test_external_stores_bring_none_of_that() -> None:
    kinds = {o["kind"] for o in render(EXTERNAL)}
    assert kinds == {"ConfigMap", "Deployment", "Job", "Pod", "Service", "ServiceAccount"}


def test_embedded_store_with_an_existing_secret_makes_none() -> None:
    objects = render({**EMBEDDED, "existingSecret": "mine"})
    assert "Role" not in {o["kind"] for o in objects}
    postgresql = helm.one(objects, "StatefulSet", "mlflow-postgresql")["spec"]["template"]["spec"]["containers"][0]
    assert environment(postgresql)["POSTGRES_PASSWORD"] == secret_key("mine", "POSTGRES_PASSWORD")
    s3 = helm.one(objects, "StatefulSet", "mlflow-s3")["spec"]["template"]["spec"]["containers"][0]
    assert environment(s3)["AWS_SECRET_ACCESS_KEY"] == secret_key("mine", "AWS_SECRET_ACCESS_KEY")


def test_data_outlives_the_release() -> None:
    for item in render(EMBEDDED):
        if item["kind"] == "StatefulSet":
            assert item["spec"]["persistentVolumeClaimRetentionPolicy"] == {
                "whenDeleted": "Retain",
                "whenScaled": "Retain",
            }
            assert item["spec"]["volumeClaimTemplates"]


def test_storage_values_reach_the_claims() -> None:
    values = {"embedded": {"postgresql": {"enabled": True, "storage": {"size": "7Gi", "className": "fast"}}}}
    objects = render({**values, "existingSecret": "stores"})
    claim = helm.one(objects, "StatefulSet")["spec"]["volumeClaimTemplates"][0]["spec"]
    assert (claim["storageClassName"], claim["resources"]["requests"]["storage"]) == ("fast", "7Gi")


def test_placement_reaches_every_pod() -> None:
    placement = {"nodeSelector": {"disk": "ssd"}, "tolerations": [{"key": "ml", "operator": "Exists"}]}
    for name, pod in helm.pods(render({**EMBEDDED, **placement, "imagePullSecrets": [{"name": "login"}]})):
        assert pod["nodeSelector"] == {"disk": "ssd"}, name
        assert pod["tolerations"] == [{"key": "ml", "operator": "Exists"}], name
        assert pod["imagePullSecrets"] == [{"name": "login"}], name


INGRESS = {"enabled": True, "hosts": ["mlflow.example.com"]}
ROUTE = {"parentRefs": [{"name": "public", "namespace": "gateways"}], "hostnames": ["models.example.com"]}


def kinds(objects: list[helm.Manifest]) -> set[str]:
    return {item["kind"] for item in objects}


def test_nothing_leads_in_from_outside_by_default() -> None:
    objects = render(EXTERNAL)
    assert not kinds(objects) & {"Ingress", "HTTPRoute"}
    assert helm.one(objects, "Service")["spec"]["type"] == "ClusterIP"
    assert "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS" not in config(objects)


@pytest.mark.parametrize(
    ("values", "host", "origin"),
    [
        ({"ingress": INGRESS}, "mlflow.example.com", "http://mlflow.example.com"),
        ({"ingress": {**INGRESS, "tlsSecret": "cert"}}, "mlflow.example.com", "https://mlflow.example.com"),
        ({"httpRoute": ROUTE}, "models.example.com", "https://models.example.com"),
        ({"httpRoute": {**ROUTE, "https": False}}, "models.example.com", "http://models.example.com"),
    ],
)
def test_who_comes_by_a_host_name_is_let_in_with_the_ui(values: dict[str, Any], host: str, origin: str) -> None:
    objects = render({**EXTERNAL, **values})
    assert answers(host, objects)
    # A page over plain http at a host with a certificate is somebody else's.
    assert config(objects)["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"] == origin


def test_a_host_that_nothing_leads_to_is_not_let_in() -> None:
    objects = render({**EXTERNAL, "ingress": {**INGRESS, "enabled": False}})
    assert not answers("mlflow.example.com", objects)
    assert "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS" not in config(objects)


def test_origins_of_all_ways_and_the_users_own_are_allowed_once_each() -> None:
    own = ["https://notebooks.example.com", "https://models.example.com"]
    objects = render({**EXTERNAL, "ingress": INGRESS, "httpRoute": ROUTE, "corsAllowedOrigins": own})
    assert config(objects)["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"].split(",") == [
        "http://mlflow.example.com",
        "https://models.example.com",
        "https://notebooks.example.com",
    ]


def test_ingress_leads_to_the_service_by_name() -> None:
    values = {"ingress": {**INGRESS, "className": "nginx", "tlsSecret": "cert", "annotations": {"a": "b"}}}
    ingress = helm.one(render({**EXTERNAL, **values}), "Ingress")
    assert ingress["metadata"]["annotations"] == {"a": "b"}
    spec = ingress["spec"]
    assert (spec["ingressClassName"], spec["tls"]) == (
        "nginx",
        [{"secretName": "cert", "hosts": ["mlflow.example.com"]}],
    )
    backend = {"service": {"name": "mlflow", "port": {"name": "http"}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    assert spec["rules"] == [{"host": "mlflow.example.com", "http": {"paths": [path]}}]


def test_ingress_without_a_class_or_a_certificate_names_none() -> None:
    spec = helm.one(render({**EXTERNAL, "ingress": INGRESS}), "Ingress")["spec"]
    assert spec.keys() == {"rules"}


def test_route_attaches_to_the_gateway_and_leads_to_the_service() -> None:
    route = helm.one(render({**EXTERNAL, "httpRoute": ROUTE, "service": {"port": 80}}), "HTTPRoute")
    assert route["spec"] == {
        "parentRefs": [{"name": "public", "namespace": "gateways"}],
        "hostnames": ["models.example.com"],
        "rules": [{"backendRefs": [{"name": "mlflow", "port": 80}]}],
    }


def test_nodes_open_a_port_when_asked_to() -> None:
    values = {"service": {"type": "NodePort", "nodePort": 30500}, "allowedHosts": ["203.0.113.7:30500"]}
    objects = render({**EXTERNAL, **values})
    spec = helm.one(objects, "Service")["spec"]
    assert (spec["type"], spec["ports"][0]["nodePort"]) == ("NodePort", 30500)
    assert answers("203.0.113.7:30500", objects)
    assert not answers("203.0.113.7:30501", objects)


def test_pods_speak_https_with_the_secrets_certificate_and_everybody_who_asks_them_does() -> None:
    objects = render({**EXTERNAL, "tls": {"secretName": "own", "caKey": "issuer.crt"}})
    container, pod = server(objects), helm.one(objects, "Deployment")["spec"]["template"]["spec"]
    assert config(objects)["MLFLOW_UVICORN_OPTS"] == "--ssl-certfile=/tls/tls.crt --ssl-keyfile=/tls/tls.key"
    keys = [{"key": "tls.crt", "path": "tls.crt"}, {"key": "tls.key", "path": "tls.key"}]
    assert {"name": "tls", "secret": {"secretName": "own", "items": keys}} in pod["volumes"]
    assert {"name": "tls", "mountPath": "/tls", "readOnly": True} in container["volumeMounts"]
    probes = [container[f"{kind}Probe"]["httpGet"]["scheme"] for kind in ("startup", "readiness", "liveness")]
    assert probes == ["HTTPS"] * 3
    assert helm.one(objects, "Service")["spec"]["ports"][0]["appProtocol"] == "https"
    test = helm.one(objects, "Pod")["spec"]
    variables = environment(test["containers"][0])
    assert variables["MLFLOW_TRACKING_URI"] == "https://mlflow:5000"
    assert variables["MLFLOW_TRACKING_SERVER_CERT_PATH"] == "/tls/ca.crt"
    ca = [{"key": "issuer.crt", "path": "ca.crt"}]
    assert {"name": "tls", "secret": {"secretName": "own", "items": ca}} in test["volumes"]


def test_pods_speak_plain_http_without_a_certificate() -> None:
    objects = render(EXTERNAL)
    container = server(objects)
    assert container["readinessProbe"]["httpGet"]["scheme"] == "HTTP"
    assert "MLFLOW_UVICORN_OPTS" not in config(objects)
    assert [volume["name"] for volume in helm.one(objects, "Pod")["spec"]["volumes"]] == ["scripts", "tmp"]
