"""What each runtime gets in its pod, and what is done for it."""

from collections.abc import Mapping
from typing import Any

import pytest
from modelvane.cluster.manifests import build_deployment, build_service
from modelvane.cluster.snapshot import read_pod
from modelvane.engine.decide import decide
from modelvane.engine.state import Revision, Traffic
from modelvane.engine.status import build_status

from tests.unit.operator.builder import HASH, NOW, a_deployment, revision

CUSTOM = {"type": "Custom", "image": "mine:7"}


def pod_of(runtime: Mapping[str, object], **spec: object) -> dict[str, Any]:
    """Build the pod of a version that follows one that serves."""
    o = a_deployment().serving("1").with_spec(runtime=runtime, **spec).observed()
    pod: dict[str, Any] = build_deployment(o, Revision("2", HASH), 1, "ours:1")["spec"]["template"]["spec"]
    return pod


def containers(pod: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    return pod["initContainers"][0], pod["containers"][0]


def env_of(container: Mapping[str, Any]) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in container["env"]}


def test_workers_that_are_not_named_are_left_to_the_runtime() -> None:
    assert "MODELVANE_WORKERS" not in env_of(containers(pod_of({}))[1])
    assert env_of(containers(pod_of({"workers": 3}))[1])["MODELVANE_WORKERS"] == "3"


def test_the_plain_runtime_is_not_named_so_that_an_older_image_serves_too() -> None:
    fetch, serve = containers(pod_of({}))
    assert "MODELVANE_RUNTIME" not in {**env_of(fetch), **env_of(serve)}
    assert env_of(serve)["MODELVANE_ENGINE"] == "Auto"


def test_mlflow_is_served_from_the_same_image_by_another_runtime() -> None:
    fetch, serve = containers(pod_of({"type": "MLflow", "environment": "FromModel"}))
    assert (fetch["image"], serve["image"], serve["args"]) == ("ours:1", "ours:1", ["serve"])
    assert env_of(serve)["MODELVANE_RUNTIME"] == "MLflow"
    assert {env_of(container)["MODELVANE_ENVIRONMENT"] for container in (fetch, serve)} == {"FromModel"}
    assert "MODELVANE_ENGINE" not in env_of(serve)
    assert env_of(serve)["MODELVANE_VERIFY_INPUT_EXAMPLE"] == "true"


def test_a_custom_image_serves_what_ours_has_fetched() -> None:
    fetch, serve = containers(pod_of(CUSTOM))
    assert (fetch["image"], fetch["args"]) == ("ours:1", ["fetch"])
    assert (serve["image"], "args" in serve, "command" in serve) == ("mine:7", False, False)
    assert serve["securityContext"] == fetch["securityContext"]
    assert {"name": "model", "mountPath": "/model", "readOnly": True} in serve["volumeMounts"]


def test_a_custom_image_is_told_what_it_can_use_and_nothing_that_only_ours_knows() -> None:
    fetch, serve = containers(pod_of(CUSTOM))
    assert set(env_of(serve)) == {
        "MODELVANE_MODEL_DIR",
        "MODELVANE_MODEL_NAME",
        "MODELVANE_MODEL_VERSION",
        "MODELVANE_MODEL_STAGE",
        "MODELVANE_REVISION",
        "MODELVANE_PORT",
        "MODELVANE_RUNTIME",
    }
    # Neither the packages of our image nor the signature of stable say anything about it.
    assert env_of(fetch)["MODELVANE_RUNTIME"] == "Custom"
    assert not {"MODELVANE_ENVIRONMENT", "MODELVANE_STABLE_MODEL_URI"} & set(env_of(fetch))


def test_a_custom_image_needs_one_path_and_hears_of_its_end_when_nobody_comes_any_more() -> None:
    _, serve = containers(pod_of(CUSTOM))
    assert serve["readinessProbe"]["httpGet"] == {"path": "/v2/health/ready", "port": "http"}
    assert serve["startupProbe"]["tcpSocket"] == serve["livenessProbe"]["tcpSocket"] == {"port": "http"}
    assert serve["lifecycle"]["preStop"]["sleep"]["seconds"] < pod_of(CUSTOM)["terminationGracePeriodSeconds"] / 2


def test_what_starts_a_custom_image_and_where_it_is_asked_is_said_in_the_template() -> None:
    changes = {"name": "serve", "command": ["serve-it"], "args": ["--port=8080"]}
    probe = {"readinessProbe": {"httpGet": {"path": "/healthz"}}}
    _, serve = containers(pod_of(CUSTOM, template={"spec": {"containers": [{**changes, **probe}]}}))
    assert (serve["image"], serve["command"], serve["args"]) == ("mine:7", ["serve-it"], ["--port=8080"])
    assert serve["readinessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}


@pytest.mark.parametrize("runtime", [{}, CUSTOM], ids=["Modelvane", "Custom"])
def test_only_the_container_that_fetches_sees_the_cache(runtime: dict[str, object]) -> None:
    cache = {"persistentVolumeClaim": {"claimName": "models"}, "maxSize": "1Gi"}
    pod = pod_of({**runtime, "cache": cache})
    fetch, serve = containers(pod)
    assert {"name": "model-cache", "persistentVolumeClaim": {"claimName": "models"}} in pod["volumes"]
    assert {"name": "model-cache", "mountPath": "/cache"} in fetch["volumeMounts"]
    assert env_of(fetch)["MODELVANE_CACHE_DIR"] == "/cache"
    assert env_of(fetch)["MODELVANE_CACHE_MAX_BYTES"] == str(2**30)
    assert "cache" not in str(serve).lower()


def test_a_directory_of_the_node_is_never_made_for_root_alone() -> None:
    pod = pod_of({"cache": {"hostPath": {"path": "/var/cache/modelvane"}}})
    assert {"name": "model-cache", "hostPath": {"path": "/var/cache/modelvane", "type": "Directory"}} in pod["volumes"]
    assert "MODELVANE_CACHE_MAX_BYTES" not in env_of(containers(pod)[0])


@pytest.mark.parametrize("kind", ["Modelvane", "MLflow"])
def test_with_tls_pods_and_probes_and_the_service_speak_https(kind: str) -> None:
    runtime = {"type": kind, "tls": {"secretName": "iris-tls"}}
    pod = pod_of(runtime)
    fetch, serve = containers(pod)
    probes = [serve[probe]["httpGet"]["scheme"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")]
    assert probes == ["HTTPS"] * 3
    assert env_of(serve)["MODELVANE_TLS_CERT"] == "/etc/modelvane/tls/tls.crt"
    assert env_of(serve)["MODELVANE_TLS_KEY"] == "/etc/modelvane/tls/tls.key"
    assert {"name": "serving-tls", "mountPath": "/etc/modelvane/tls", "readOnly": True} in serve["volumeMounts"]
    assert "tls" not in str(fetch)
    o = a_deployment().wants("1").serving("1").with_spec(runtime=runtime, service={"port": 443}).observed()
    assert build_service(o, Traffic(revision("1")))["spec"]["ports"][0]["name"] == "https"
    assert build_status(o, decide(o, NOW), None, NOW)["url"] == "https://iris.ns.svc"


def test_a_pod_is_asked_as_its_own_template_says_whatever_the_spec_says_now() -> None:
    metadata = {"name": "p", "creationTimestamp": "2026-01-01T12:00:00Z"}
    secure, plain = pod_of({"tls": {"secretName": "iris-tls"}}), pod_of({})
    assert read_pod({"metadata": metadata, "spec": secure}).tls
    assert not read_pod({"metadata": metadata, "spec": plain}).tls
