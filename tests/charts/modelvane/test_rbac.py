"""The operator's rights: exactly these, in exactly the namespaces that it watches."""

from typing import Any

import pytest

from tests.charts import helm

GROUP = "serving.modelvane.dev"
READ = {"get", "list", "watch"}

IN_A_NAMESPACE = {
    f"{GROUP}/modeldeployments": READ,
    f"{GROUP}/modelregistries": READ,
    f"{GROUP}/modeldeployments/status": {"patch"},
    f"{GROUP}/modelregistries/status": {"patch"},
    f"{GROUP}/modeldeployments/finalizers": {"update"},
    "apps/deployments": {"list", "watch", "create", "patch", "delete"},
    "/services": {"get", "list", "watch", "create", "patch", "delete"},
    "gateway.networking.k8s.io/httproutes": {"get", "create", "patch", "delete"},
    "policy/poddisruptionbudgets": {"get", "list", "watch", "create", "patch", "delete"},
    "/pods": {"list", "watch"},
    "/events": {"create"},
    "/secrets": {"get"},
    "/configmaps": {"get"},
}
GATEWAYS = {
    "gateway.networking.k8s.io/gateways": {"get"},
    "gateway.networking.k8s.io/gatewayclasses": {"get"},
}
IN_THE_CLUSTER = {"apiextensions.k8s.io/customresourcedefinitions": {"list", "watch"}} | GATEWAYS


def rights(role: helm.Manifest) -> dict[str, set[str]]:
    """Return the verbs by group and resource."""
    return {
        f"{group}/{name}": set(rule["verbs"])
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for name in rule["resources"]
    }


def rendered(values: dict[str, Any]) -> list[helm.Manifest]:
    return helm.manifests("modelvane", values, release="modelvane", namespace="ml")


@pytest.fixture(scope="module")
def cluster_wide() -> list[helm.Manifest]:
    return rendered({})


@pytest.fixture(scope="module")
def namespaced() -> list[helm.Manifest]:
    return rendered({"watch": {"namespaces": ["team-a", "team-b"]}})


def test_cluster_wide_rights_are_these_and_no_others(cluster_wide: list[helm.Manifest]) -> None:
    assert rights(helm.one(cluster_wide, "ClusterRole", "modelvane")) == IN_A_NAMESPACE | IN_THE_CLUSTER
    assert [item["metadata"]["name"] for item in cluster_wide if item["kind"] == "Role"] == ["modelvane-election"]


def test_namespaced_rights_are_these_and_no_others(namespaced: list[helm.Manifest]) -> None:
    roles = {item["metadata"]["namespace"]: item for item in namespaced if item["kind"] == "Role"}
    assert roles.keys() == {"team-a", "team-b", "ml"}
    assert rights(roles["team-a"]) == rights(roles["team-b"]) == IN_A_NAMESPACE
    assert roles["ml"]["metadata"]["name"] == "modelvane-election"


def test_namespaced_operator_has_no_right_in_the_cluster(namespaced: list[helm.Manifest]) -> None:
    assert [item["kind"] for item in namespaced if item["kind"].startswith("ClusterRole")] == []


def test_a_namespaced_operator_may_read_what_gateways_can_do_when_asked() -> None:
    objects = rendered({"watch": {"namespaces": ["team-a"], "gateways": True}})
    assert rights(helm.one(objects, "ClusterRole")) == GATEWAYS
    # Another release, confined to another namespace, may have the same name.
    assert helm.one(objects, "ClusterRoleBinding")["roleRef"]["name"] == "modelvane-ml-gateways"
    assert helm.one(objects, "ClusterRole")["metadata"]["name"] == "modelvane-ml-gateways"


@pytest.mark.parametrize("mode", ["cluster_wide", "namespaced"])
def test_election_is_about_one_lease(mode: str, request: pytest.FixtureRequest) -> None:
    objects: list[helm.Manifest] = request.getfixturevalue(mode)
    role = helm.one(objects, "Role", "modelvane-election")
    lease = helm.one(objects, "Lease")
    assert role["rules"] == [
        {
            "apiGroups": ["coordination.k8s.io"],
            "resources": ["leases"],
            "resourceNames": [lease["metadata"]["name"]],
            "verbs": ["get", "update"],
        }
    ]
    # Without a spec an upgrade leaves the elected leader alone.
    assert "spec" not in lease


@pytest.mark.parametrize("mode", ["cluster_wide", "namespaced"])
def test_every_role_is_bound_to_the_operator_alone(mode: str, request: pytest.FixtureRequest) -> None:
    objects: list[helm.Manifest] = request.getfixturevalue(mode)
    account = helm.one(objects, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"]
    bound = {
        (item["roleRef"]["kind"], item["roleRef"]["name"], item["metadata"].get("namespace"))
        for item in objects
        if item["kind"].endswith("RoleBinding")
        and item["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": "ml"}]
    }
    roles = {
        (item["kind"], item["metadata"]["name"], item["metadata"].get("namespace"))
        for item in objects
        if item["kind"] in {"Role", "ClusterRole"} and not item["metadata"]["name"].endswith(("-view", "-edit"))
    }
    assert bound == roles


def test_roles_of_people_are_aggregated(cluster_wide: list[helm.Manifest]) -> None:
    view, edit = (helm.one(cluster_wide, "ClusterRole", f"modelvane-{role}") for role in ("view", "edit"))
    assert view["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-view"] == "true"
    assert edit["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-edit"] == "true"
    assert set().union(*rights(view).values()) == READ
    assert rights(edit).keys() == {
        f"{GROUP}/modeldeployments",
        f"{GROUP}/modeldeployments/scale",
        f"{GROUP}/modelregistries",
    }


def test_no_right_is_a_wildcard(cluster_wide: list[helm.Manifest]) -> None:
    rules = [rule for item in cluster_wide if item["kind"] in {"Role", "ClusterRole"} for rule in item["rules"]]
    assert [rule for rule in rules for values in rule.values() if "*" in values] == []
