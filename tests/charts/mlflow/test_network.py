"""NetworkPolicies: read as a network would, to see who reaches whom."""

from __future__ import annotations

from typing import Any

import pytest

from tests.charts import helm
from tests.charts.mlflow.test_server import EMBEDDED, EXTERNAL, render

MAINTAINED: dict[str, Any] = {
    "backup": {"schedule": "@daily", "destination": "s3://safe/mlflow"},
    "gc": {"schedule": "@weekly"},
}
STRANGER = {"app.kubernetes.io/name": "other"}
DNS = [(53, "UDP"), (53, "TCP")]


class Network:
    """The policies of a release, and the labels of its pods by component."""

    def __init__(self, values: dict[str, Any]) -> None:
        objects = render(values)
        self.policies: list[dict[str, Any]] = [item["spec"] for item in objects if item["kind"] == "NetworkPolicy"]
        self.pods = {
            labels["app.kubernetes.io/component"]: labels for labels in filter(None, map(_pod_labels, objects))
        }

    def policy(self, component: str) -> dict[str, Any]:
        (found,) = [one for one in self.policies if _selects(one["podSelector"], self.pods[component])]
        assert found["policyTypes"] == ["Ingress", "Egress"]
        return found

    def lets_out(self, component: str, to: dict[str, str], port: int) -> bool:
        """Tell whether pods of a component may ask pods with these labels, in the same namespace."""
        return any(_allows(rule, "to", to, port) for rule in self.policy(component).get("egress", []))

    def lets_in(self, component: str, source: dict[str, str], port: int) -> bool:
        return any(_allows(rule, "from", source, port) for rule in self.policy(component).get("ingress", []))

    def joins(self, one: str, other: str, port: int) -> bool:
        """Tell whether one component reaches another: both sides have to agree."""
        out = self.lets_out(one, self.pods[other], port)
        assert out == self.lets_in(other, self.pods[one], port) or other == "server", (one, other)
        return out and self.lets_in(other, self.pods[one], port)


def _pod_labels(item: helm.Manifest) -> dict[str, str] | None:
    if item["kind"] == "Pod":
        metadata = item["metadata"]
    elif item["kind"] == "CronJob":
        metadata = item["spec"]["jobTemplate"]["spec"]["template"]["metadata"]
    elif item["kind"] in {"Deployment", "StatefulSet", "Job"}:
        metadata = item["spec"]["template"]["metadata"]
    else:
        return None
    labels: dict[str, str] = metadata["labels"]
    return labels


def _selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    expressions = selector.get("matchExpressions", [])
    assert {one["operator"] for one in expressions} <= {"In"}
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        labels.get(one["key"]) in one["values"] for one in expressions
    )


def _allows(rule: dict[str, Any], side: str, labels: dict[str, str], port: int) -> bool:
    ports = [(one["port"], one.get("protocol", "TCP")) for one in rule.get("ports", [])]
    if ports and (port, "TCP") not in ports:
        return False
    peers = rule.get(side)
    return peers is None or any(_selects(one["podSelector"], labels) for one in peers if set(one) == {"podSelector"})


def test_each_pod_reaches_what_it_needs_and_no_other() -> None:
    network = Network({**EMBEDDED, **MAINTAINED})
    stores = {"postgresql": 5432, "s3": 8333, "server": 5000}
    reached = {
        component: {name for name, port in stores.items() if name != component and network.joins(component, name, port)}
        for component in network.pods
    }
    assert reached == {
        "server": {"postgresql", "s3"},
        "migration": {"postgresql"},
        "test": {"server"},
        "backup": {"postgresql", "s3"},
        "restore": {"postgresql", "s3"},
        "gc": {"postgresql", "s3", "server"},
        "make-secret": set(),
        "postgresql": set(),
        "s3": set(),
    }
    # The API server, whose address nobody knows beforehand.
    assert network.lets_out("make-secret", STRANGER, 6443)


def test_the_embedded_stores_are_for_the_release_alone() -> None:
    network = Network(EMBEDDED)
    assert not network.lets_in("postgresql", STRANGER, 5432)
    assert not network.lets_in("s3", STRANGER, 8333)
    # SeaweedFS leaves a port open that asks for no keys.
    assert not network.lets_in("s3", network.pods["server"], 18333)
    assert "egress" not in network.policy("postgresql")
    assert "egress" not in network.policy("s3")


def test_clients_of_the_bucket_reach_it_where_they_have_keys() -> None:
    direct = {"artifacts": {"direct": True, "root": "s3://mlflow/artifacts"}}
    network = Network({**EMBEDDED, **direct})
    assert network.lets_in("s3", STRANGER, 8333)
    assert network.joins("test", "s3", 8333)


@pytest.mark.parametrize(
    ("values", "ports"),
    [
        ({}, [5432, 443]),
        ({"database": {"host": "db", "port": 6432}}, [6432, 443]),
        ({"artifacts": {"endpointUrl": "https://s3.example.com:9000"}}, [5432, 9000]),
        ({"artifacts": {"endpointUrl": "http://s3.example.com"}}, [5432, 80]),
        ({"artifacts": {"endpointUrl": "https://s3.example.com/"}}, [5432, 443]),
    ],
)
def test_stores_elsewhere_are_reached_at_their_ports(values: dict[str, Any], ports: list[int]) -> None:
    rules = Network({**EXTERNAL, **values}).policy("server")["egress"]
    assert [(one["port"], one["protocol"]) for one in rules[0]["ports"]] == DNS
    assert rules[1:] == [{"ports": [{"port": port}]} for port in ports]


def test_stores_are_where_they_are_said_to_be() -> None:
    database, artifacts = {"ipBlock": {"cidr": "10.20.0.5/32"}}, {"ipBlock": {"cidr": "10.20.1.0/24"}}
    operator = {"to": [{"namespaceSelector": {}}], "ports": [{"port": 8090}]}
    policy = {"database": [database], "artifacts": [artifacts], "extraEgress": [operator]}
    network = Network({**EXTERNAL, "networkPolicy": policy})
    assert [rule.get("to") for rule in network.policy("server")["egress"]] == [
        None,
        [database],
        [artifacts],
        [{"namespaceSelector": {}}],
    ]
    # What receives webhooks is nothing to the migration.
    assert [rule.get("to") for rule in network.policy("migration")["egress"]] == [None, [database]]


def test_the_pods_of_a_cluster_of_cloudnativepg_are_known() -> None:
    values = {"database": {"cloudNativePG": "tracking"}, "artifacts": {"existingSecret": "keys"}}
    network = Network(values)
    assert network.lets_out("server", {"cnpg.io/cluster": "tracking"}, 5432)
    assert not network.lets_out("server", {"cnpg.io/cluster": "another"}, 5432)


def test_the_keys_of_the_cloud_are_asked_for_where_it_gives_them_to_pods() -> None:
    artifacts = {"workloadIdentity": True, "root": "s3://models/mlflow"}
    link_local = {"to": [{"ipBlock": {"cidr": "169.254.0.0/16"}}]}
    assert link_local in Network({**EXTERNAL, "artifacts": artifacts}).policy("server")["egress"]
    assert link_local not in Network(EXTERNAL).policy("server")["egress"]


def test_clients_can_be_limited() -> None:
    clients = [{"podSelector": {"matchLabels": {"team": "ml"}}}]
    network = Network({**EMBEDDED, **MAINTAINED, "networkPolicy": {"clients": clients}})
    assert network.lets_in("server", {"team": "ml"}, 5000)
    assert not network.lets_in("server", STRANGER, 5000)
    for component in ("test", "gc"):
        assert network.joins(component, "server", 5000)
    assert Network(EMBEDDED).lets_in("server", STRANGER, 5000)


def test_they_can_be_left_out() -> None:
    assert Network({**EMBEDDED, "networkPolicy": {"enabled": False}}).policies == []
