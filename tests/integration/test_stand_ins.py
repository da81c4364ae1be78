"""What the operator builds on, asked of the real programs that stand in the test cluster: gateways and Prometheus."""

import json
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from examples.demo.kube import CommandFailedError, Namespace
from images.build import ensure
from tests.cluster import prometheus

# Answers with its name, counts what it was asked, and tells Prometheus.
BACKEND = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # One packet for an answer: with two, each would wait 40 ms for an acknowledgement.
    wbufsize = -1
    asked = 0
    def do_GET(self):
        Handler.asked += self.path == "/"
        body = (os.environ["NAME"] if self.path == "/" else f"asked_total {Handler.asked}\\n").encode()
        self.send_response(200)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
"""
# Prints the status and the body of each of a number of answers, one connection for all.
CLIENT = """
import http.client, json, sys
_, address, host, path, number = sys.argv
connection = http.client.HTTPConnection(address, timeout=10)
answers = []
for _ in range(int(number)):
    connection.request("GET", path, headers={"Host": host})
    response = connection.getresponse()
    answers.append((response.status, response.read().decode()))
print(json.dumps(answers))
"""
ADDRESSES = {"modelvane": "gateway.gateway-system", "envoy": "envoy.gateway-system"}


@pytest.fixture(scope="module")
def namespace() -> Iterator[Namespace]:
    """Give a namespace with two backends, `stable` and `candidate`."""
    missing = [name for name in ADDRESSES if Namespace("gateway-system").find("gateway", name) is None]
    assert not missing, f"gateway-system has no Gateway {', '.join(missing)}: make up extras"
    made = Namespace(f"mv-stand-ins-{secrets.token_hex(2)}")
    made.create()
    try:
        image = ensure(["base"])["base"].ref
        made.apply(*(part for name in ("stable", "candidate") for part in backend(name, image)))
        made.kubectl("wait", "pod/stable", "pod/candidate", "--for=condition=Ready", "--timeout=60s")
        yield made
    finally:
        made.delete(wait=False)


def backend(name: str, image: str) -> list[dict[str, Any]]:
    container = {
        "name": "backend",
        "image": image,
        "imagePullPolicy": "Never",
        "command": ["python3", "-c", BACKEND],
        "env": [{"name": "NAME", "value": name}],
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    security = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"containers": [container], "securityContext": security, "terminationGracePeriodSeconds": 0}
    metadata = {"name": name, "labels": {"app": name, "kind": "backend"}}
    service = {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]}
    return [
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": service},
    ]


def route(gateway: str, host: str, *backends: dict[str, Any], mirror: dict[str, Any] | None = None) -> dict[str, Any]:
    rule: dict[str, Any] = {"backendRefs": list(backends)}
    if mirror:
        rule["filters"] = [{"type": "RequestMirror", "requestMirror": mirror}]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": host.split(".", maxsplit=1)[0]},
        "spec": {
            "parentRefs": [{"name": gateway, "namespace": "gateway-system"}],
            "hostnames": [host],
            "rules": [rule],
        },
    }


def ask(namespace: Namespace, address: str, host: str, number: int, path: str = "/") -> list[tuple[int, str]]:
    command = ["exec", "stable", "--", "python3", "-c", CLIENT, address, host, path, str(number)]
    return [(status, body) for status, body in json.loads(namespace.kubectl(*command))]


def asked(namespace: Namespace, name: str) -> int:
    # Its name alone is, inside the pod that asks, the pod itself.
    ((_, body),) = ask(namespace, f"{name}.{namespace.name}", name, 1, "/metrics")
    return int(body.removeprefix("asked_total "))


def until_answered(namespace: Namespace, gateway: str, host: str, unwanted: int = 404) -> None:
    """Wait until a gateway has heard of a route, which takes it a moment."""
    for _ in range(100):
        if ask(namespace, ADDRESSES[gateway], host, 1)[0][0] != unwanted:
            return
        time.sleep(0.1)
    raise AssertionError(f"Gateway {gateway} never took the route of {host}")


def conditions(namespace: Namespace, name: str) -> dict[str, str]:
    (parent,) = namespace.get("httproute", name)["status"]["parents"]
    return {condition["type"]: condition["status"] for condition in parent["conditions"]}


@pytest.mark.parametrize("gateway", ADDRESSES)
def test_a_gateway_splits_the_requests_exactly_by_weight(namespace: Namespace, gateway: str) -> None:
    host = f"split-{gateway}.example"
    stable, candidate = ({"name": name, "port": 80} for name in ("stable", "candidate"))
    namespace.apply(route(gateway, host, {**stable, "weight": 80}, {**candidate, "weight": 20}))
    until_answered(namespace, gateway, host)

    answers = Counter(ask(namespace, ADDRESSES[gateway], host, 500))

    assert answers.keys() == {(200, "stable"), (200, "candidate")}
    # Envoy's workers each count on their own, so it is out by a few.
    assert answers[(200, "candidate")] == pytest.approx(100, abs=0 if gateway == "modelvane" else 10)


def test_envoy_copies_a_share_of_the_requests_and_answers_all_from_stable(namespace: Namespace) -> None:
    host, before = "mirror.example", asked(namespace, "candidate")
    mirror = {"backendRef": {"name": "candidate", "port": 80}, "percent": 20}
    namespace.apply(route("envoy", host, {"name": "stable", "port": 80}, mirror=mirror))
    until_answered(namespace, "envoy", host)

    answers = ask(namespace, ADDRESSES["envoy"], host, 1000)

    assert Counter(answers) == {(200, "stable"): 1000}
    # By chance: 20 % of 1,000 is within 100 of 200 but for one time in 10^14.
    assert 100 < asked(namespace, "candidate") - before < 300


def test_traefik_accepts_a_mirror_that_it_does_not_know_and_answers_no_request(namespace: Namespace) -> None:
    """The reason why the operator looks at a GatewayClass' features before it asks for a mirror."""
    host = "mirror-traefik.example"
    mirror = {"backendRef": {"name": "candidate", "port": 80}}
    namespace.apply(route("modelvane", host, {"name": "stable", "port": 80}, mirror=mirror))
    until_answered(namespace, "modelvane", host)

    assert Counter(ask(namespace, ADDRESSES["modelvane"], host, 10)) == {(500, ""): 10}
    assert conditions(namespace, "mirror-traefik") == {"Accepted": "True", "ResolvedRefs": "True"}
    listed = json.loads(namespace.kubectl("get", "gatewayclass", "traefik", "--output=json"))["status"]
    assert "HTTPRouteRequestMirror" not in {feature["name"] for feature in listed["supportedFeatures"]}


def test_prometheus_finds_pods_by_their_labels_and_keeps_these(namespace: Namespace) -> None:
    jobs = [prometheus.pods("backends", {"kind": "backend"}, 8080)]
    namespace.apply(*prometheus.build(namespace.name, jobs))
    namespace.kubectl("rollout", "status", "deployment/prometheus", "--timeout=60s", seconds=90)

    found: dict[str, int] = {}
    for _ in range(100):
        if len(found) == 2:
            break
        path = "/api/v1/query?query=asked_total"
        try:
            ((_, body),) = ask(namespace, "prometheus:9090", "prometheus", 1, path)
        except CommandFailedError:
            continue
        found = {one["metric"]["app"]: int(one["value"][1]) for one in json.loads(body)["data"]["result"]}
        time.sleep(0.1)

    assert found == {name: asked(namespace, name) for name in ("stable", "candidate")}
