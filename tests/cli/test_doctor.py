"""Every finding from the facts that lead to it, and none from facts that are in order."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from modelvane_cli.cluster import MODEL_REGISTRY, Cluster, Kind
from modelvane_cli.doctor.cluster_checks import FIELDS
from modelvane_cli.doctor.facts import UNSEEN, Facts, Model, Operator, Registry
from modelvane_cli.doctor.findings import Finding
from modelvane_cli.doctor.gather import gather, paths
from modelvane_cli.doctor.report import diagnose, document, draw, is_healthy
from modelvane_cli.screen import plain_lines
from modelvane_cli.seen import Seen
from rich.console import Console

from tests.cli.scenes import BROKEN, at_rest, canary, candidate, resource, seen, stalled
from tests.unit.operator.builder import NOW, Builder, a_deployment

CRD = Path(__file__).parents[2] / "crds" / "modeldeployments.yaml"


def deployment(name: str = "modelvane", watches: str = "", ready: int = 1, replicas: int = 1) -> dict[str, Any]:
    env = [{"name": "MODELVANE_NAMESPACES", "value": watches}]
    spec = {"replicas": replicas, "template": {"spec": {"containers": [{"env": env}]}}}
    return {"metadata": {"name": name, "namespace": "system"}, "spec": spec, "status": {"readyReplicas": ready}}


def lease(holder: str = "modelvane-x", seconds_ago: float = 2) -> dict[str, Any]:
    renewed = (NOW - timedelta(seconds=seconds_ago)).isoformat()
    return {"spec": {"holderIdentity": holder, "renewTime": renewed, "leaseDurationSeconds": 9}}


def registry(ready: str = "True", reason: str = "Reachable", **spec: Any) -> dict[str, Any]:
    condition = {"type": "Ready", "status": ready, "reason": reason, "message": f"{reason} is why"}
    metadata = {"name": "default", "namespace": "ml"}
    return {"metadata": metadata, "spec": {"uri": "http://mlflow:5000", **spec}, "status": {"conditions": [condition]}}


def model(builder: Builder | None = None, *, decided: bool = False, **facts: Any) -> Model:
    service = {"spec": {"selector": {"serving.modelvane.dev/modeldeployment": "iris"}}}
    whole: dict[str, Any] = {"deployments": (), "service": service, "endpoints": 2, "budget": {}, **facts}
    return Model(seen(builder or at_rest(), decided=decided), **whole)


HEALTHY = Facts(
    "ml", NOW, frozenset(FIELDS), (Operator(deployment(), lease()),), True, (Registry(registry()),), (model(),)
)


def but(**changes: Any) -> Facts:
    return replace(HEALTHY, **changes)


def operated(*operators: Operator) -> Facts:
    return but(operators=operators)


def credentials(keys: Any, field: str = "credentialsSecretRef") -> Facts:
    spec: dict[str, Any] = {field: {"name": "s"}}
    return but(registries=(Registry(registry(**spec), {"s": keys}),))


def bundle(keys: Any) -> Facts:
    return but(registries=(Registry(registry(caBundleRef={"name": "ca"}), bundle=keys),))


def routed(status: Any) -> Facts:
    builder = at_rest().with_spec(gateway={"parentRefs": [{"name": "web"}]})
    route = {"metadata": {"name": "iris"}, "status": status} if status is not None else None
    return but(models=(model(builder, route=route),))


def conditioned(kind: str, status: str, reason: str, builder: Builder | None = None) -> Facts:
    """Return what a user sees who may read nothing but the resource: a condition of its status."""
    bare = resource(builder or at_rest())
    said = {"type": kind, "status": status, "reason": reason, "message": f"{reason} is why"}
    others = [one for one in bare["status"]["conditions"] if one["type"] != kind]
    bare["status"]["conditions"] = [*others, said]
    return but(models=(Model(Seen(bare)),))


def webhook(keys: Any, status: str = "True", reason: str = "Registered", *, enabled: bool = True) -> Facts:
    made = registry(webhook={"enabled": enabled, "secretRef": {"name": "w"}})
    made["status"]["conditions"] += [
        {"type": "WebhookRegistered", "status": status, "reason": reason, "message": f"{reason} is why"}
    ]
    return but(registries=(Registry(made, {"w": keys}),))


def parent(**statuses: str) -> dict[str, Any]:
    conditions = [{"type": kind, "status": status, "reason": "R", "message": "m"} for kind, status in statuses.items()]
    return {"parents": [{"parentRef": {"name": "web"}, "conditions": conditions}]}


def refused(message: str) -> Facts:
    condition = {"type": "ReplicaFailure", "status": "True", "message": message}
    return but(models=(model(deployments=({"metadata": {"name": "iris-v4"}, "status": {"conditions": [condition]}},)),))


def unseen_model(**metadata: Any) -> Facts:
    bare = resource(at_rest())
    return but(models=(Model(Seen({**bare, "metadata": {**bare["metadata"], **metadata}, "status": {}})),))


USER, PASSWORD, TOKEN = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"
PROBLEMS = [
    (but(fields=None), "CRDsMissing", "the CRDs are not installed"),
    (but(fields=frozenset(FIELDS[1:])), "CRDsOutdated", "no field spec.gateway"),
    (operated(), "NoOperator", "none is installed"),
    (
        operated(Operator(deployment(watches="web,shop"), lease())),
        "NoOperator",
        "others: modelvane in namespace system",
    ),
    (
        operated(Operator(deployment("a"), lease()), Operator(deployment("b", "shop,ml"), lease())),
        "SeveralOperators",
        "each undoes what the other does",
    ),
    (operated(Operator(deployment(ready=0), None, "ErrImagePull: no image")), "OperatorDown", "ErrImagePull: no image"),
    (operated(Operator(deployment(replicas=0, ready=0))), "OperatorDown", "it is scaled to zero"),
    (operated(Operator(deployment(), None)), "NoLeader", "the Lease does not exist"),
    (operated(Operator(deployment(), lease(""))), "NoLeader", "nobody holds the Lease"),
    (operated(Operator(deployment(), lease(seconds_ago=100))), "NoLeader", "modelvane-x renewed it 100s ago"),
    (
        but(registries=(Registry(registry("False", "Timeout")),)),
        "Timeout",
        "the operator cannot read http://mlflow:5000",
    ),
    (but(registries=(Registry({**registry(), "status": {}}),)), "RegistryUnread", "said nothing about it yet"),
    (but(registries=()), "RegistryNotFound", "it names the ModelRegistry default"),
    (credentials(None), "SecretMissing", "names the Secret s, and namespace ml has none"),
    (credentials(frozenset({USER})), "SecretKeys", f"has no {PASSWORD}"),
    (credentials(frozenset({"username", "password"})), "SecretKeys", "has none of the keys that a client reads"),
    (credentials(frozenset({"AWS_ACCESS_KEY_ID"}), "artifactSecretRef"), "SecretKeys", "has no AWS_SECRET_ACCESS_KEY"),
    (bundle(None), "CABundleMissing", "names the ConfigMap ca, and namespace ml has none"),
    (bundle(frozenset({"tls.crt"})), "CABundleMissing", "it has no key ca.crt"),
    (webhook(None), "SecretMissing", "names the Secret w, and namespace ml has none"),
    (webhook(frozenset({"token"})), "SecretKeys", "it has no key secret"),
    (webhook(UNSEEN, "False", "NotAdmin"), "NotAdmin", "its webhook is not registered"),
    (unseen_model(), "NotSeen", "the operator has never looked at it"),
    (but(models=(model(stalled(), decided=True),)), "ModelLoadFailed", "version 3 serves on"),
    (but(models=(model(stalled(), decided=True),)), "ModelLoadFailed", "promote a mended version"),
    *(
        (conditioned("Stalled", "True", reason, stalled()), reason, "the operator tries again by itself")
        for reason in ("InvalidSpec", "NameTaken", "RouteRefused", "ServiceRefused", "DeploymentRefused")
    ),
    (conditioned("RegistryReachable", "False", "Unauthorized"), "Unauthorized", "and not about this model"),
    (conditioned("Ready", "False", "OOMKilled"), "OOMKilled", "2 of 2 wanted pods serve; OOMKilled is why"),
    (but(models=(model(at_rest().wants("4").rolling("4", failure=BROKEN)),)), "PodTrouble", "no module named xgboost"),
    (refused('pods "x" is forbidden: exceeded quota: mem'), "QuotaExceeded", "room for both versions"),
    (refused("violates PodSecurity"), "PodRefused", "violates PodSecurity"),
    (but(models=(model(service=None),)), "ServiceMissing", "there is no Service iris"),
    (but(models=(model(endpoints=0),)), "NoEndpoints", "it selects modeldeployment=iris"),
    (but(models=(model(budget=None),)), "BudgetMissing", "there is no PodDisruptionBudget iris"),
    (
        conditioned("RouteAccepted", "False", "NotAccepted", at_rest().with_spec(gateway={"parentRefs": []})),
        "RouteAccepted",
        "NotAccepted is why",
    ),
    (routed(None), "RouteMissing", "there is no HTTPRoute iris"),
    (routed({}), "RouteIgnored", "no gateway has said anything about it"),
    (routed(parent(Accepted="False")), "RouteAccepted", "gateway web does not take it (R)"),
    (routed(parent(Accepted="True", ResolvedRefs="False")), "RouteResolvedRefs", "gateway web does not take it (R)"),
]


@pytest.mark.parametrize(("facts", "code", "words"), PROBLEMS, ids=lambda one: one if isinstance(one, str) else "")
def test_what_is_wrong_is_found_with_its_reason(facts: Facts, code: str, words: str) -> None:
    findings = diagnose(facts)
    found = next(finding for finding in findings if finding.code == code)
    assert found.level == "problem"
    assert words in f"{found.what}; {found.why}; {found.do}"
    assert not is_healthy(findings)


@pytest.mark.parametrize(
    "facts",
    [
        HEALTHY,
        but(operators=(Operator(deployment(watches="shop, ml"), lease()),)),
        but(operators=(Operator(deployment(), UNSEEN),)),
        but(fields=UNSEEN),
        credentials(frozenset({USER, PASSWORD})),
        credentials(frozenset({TOKEN})),
        credentials(frozenset({"MLFLOW_TRACKING_AUTH"})),
        credentials(UNSEEN),
        credentials(frozenset({"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}), "artifactSecretRef"),
        credentials(frozenset({"AWS_PROFILE"}), "artifactSecretRef"),
        bundle(frozenset({"ca.crt"})),
        bundle(UNSEEN),
        webhook(frozenset({"secret"})),
        webhook(UNSEEN),
        webhook(UNSEEN, "Unknown", "Timeout"),
        webhook(None, "False", "SecretMissing", enabled=False),
        conditioned("Ready", "False", "RollingOut", a_deployment().wants("1")),
        routed(parent(Accepted="True", ResolvedRefs="True")),
        unseen_model(creationTimestamp=NOW.isoformat()),
        but(models=(model(endpoints=UNSEEN, service=UNSEEN, budget=UNSEEN, deployments=UNSEEN),)),
        but(models=(model(canary()),)),
    ],
)
def test_what_is_in_order_or_may_not_be_seen_is_no_finding(facts: Facts) -> None:
    assert diagnose(facts) == []


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        (but(operators=UNSEEN), "OperatorUnseen"),
        (but(operators=(), everywhere=False), "OperatorUnseen"),
        (but(models=(model(candidate(canary(), paused="Step")),)), "Paused"),
        (but(models=(model(at_rest().with_spec(suspend=True)),)), "Suspended"),
        (but(registries=(Registry(registry(), tried=True, from_here="no way"),)), "NotReachableFromHere"),
    ],
)
def test_what_is_worth_knowing_is_a_note_and_no_failure(facts: Facts, code: str) -> None:
    findings = diagnose(facts)
    assert [(finding.code, finding.level) for finding in findings] == [(code, "note")]
    assert is_healthy(findings)


def test_without_crds_nothing_else_is_said() -> None:
    assert [finding.code for finding in diagnose(but(fields=None, operators=(), registries=()))] == ["CRDsMissing"]


def test_the_fields_that_are_looked_for_are_in_the_crd() -> None:
    (version,) = yaml.safe_load(CRD.read_text())["spec"]["versions"]
    assert set(FIELDS) <= set(paths(version["schema"]["openAPIV3Schema"]))


class OneRegistry:
    """A cluster with nothing but a ModelRegistry and the Secrets that it names."""

    namespace = "ml"

    def get_path(self, _: str) -> dict[str, Any]:
        return {"components": {"schemas": {"dev.ModelDeployment": {"properties": {"spec": {}}}}}}

    def list(self, kind: Kind, *_: object, **_by: object) -> list[dict[str, Any]]:
        named: dict[str, Any] = {f"{field}SecretRef": {"name": field} for field in ("credentials", "artifact")}
        return [registry(**named, webhook={"secretRef": {"name": "webhook"}})] if kind == MODEL_REGISTRY else []

    def find(self, _kind: Kind, _namespace: str, name: str) -> dict[str, Any]:
        return {"data": {f"key of {name}": ""}}


def test_every_secret_that_a_registry_names_is_looked_at() -> None:
    (found,) = gather(cast("Cluster", OneRegistry()), None, try_registries=False).registries
    assert found.secrets == {name: frozenset({f"key of {name}"}) for name in ("credentials", "artifact", "webhook")}


def test_problems_are_drawn_before_notes() -> None:
    facts = but(operators=(), registries=(Registry(registry(), tried=True, from_here="its host is unknown"),))
    assert list(plain_lines(Console(width=150), draw(facts, diagnose(facts)))) == [
        "✗ namespace ml: no operator watches it",
        "    why  none is installed",
        "    do   helm upgrade --install modelvane charts/modelvane --set crds.install=true",
        "… modelregistry/default: it cannot be used from here",
        "    why  its host is unknown",
        "    do   only promote and rollback need that: give them --registry-uri, or run them in the cluster",
        "1 problem in namespace ml (1 ModelDeployment, 1 ModelRegistry)",
    ]


def test_health_is_said_with_what_was_looked_at() -> None:
    assert list(plain_lines(Console(width=100), draw(HEALTHY, []))) == [
        "✓ nothing is wrong in namespace ml (1 ModelDeployment, 1 ModelRegistry)"
    ]
    assert document(HEALTHY, [Finding("C", "a", "b", "c", "d")]) == {
        "namespace": "ml",
        "healthy": False,
        "checked": {"modelDeployments": ["iris"], "modelRegistries": ["default"]},
        "findings": [{"level": "problem", "code": "C", "about": "a", "what": "b", "why": "c", "do": "d"}],
    }
