"""Judges what all ModelDeployments share: the CRDs, the operator, the registries. Pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from modelvane_cli.doctor.facts import UNSEEN, Facts, Operator, Registry
from modelvane_cli.doctor.findings import Finding, condition, key
from modelvane_cli.seen import Manifest
from modelvane_cli.words import how_long, parse_time

FIELDS = (
    "spec.gateway",
    "spec.strategy.steps",
    "spec.analysis",
    "spec.verification.requests",
    "status.candidate.step",
    "status.handled.answer",
    "status.warm",
)
"""Fields that this tool and the operator of its release use: a CRD without them is older."""

_INSTALL = "helm upgrade --install modelvane charts/modelvane --set crds.install=true"


def check_crds(facts: Facts) -> Iterator[Finding]:
    """Look for the kinds, and for the fields that the operator writes."""
    if facts.fields is UNSEEN:
        return
    if facts.fields is None:
        yield Finding(
            "CRDsMissing",
            "the cluster",
            "it knows no ModelDeployment",
            "the CRDs are not installed",
            f"install them with the chart ({_INSTALL}), or kubectl apply --server-side -f crds/",
        )
        return
    missing = [name for name in FIELDS if name not in facts.fields]
    if missing:
        yield Finding(
            "CRDsOutdated",
            "crd/modeldeployments.serving.modelvane.dev",
            f"it has no field {', '.join(missing)}",
            "the CRDs are of an older release than this tool; the API server drops fields that they do not have",
            "upgrade the chart that installed them, or kubectl apply --server-side -f crds/",
        )


def check_operators(facts: Facts, now: datetime) -> Iterator[Finding]:
    """Look for one operator that runs, watches this namespace and holds its Lease."""
    if facts.operators is UNSEEN:
        yield Finding(
            "OperatorUnseen",
            "the operator",
            "it was not looked at",
            "you may not list Deployments, not even in this namespace",
            "ask who may: kubectl auth can-i list deployments",
            "note",
        )
        return
    watching = [one for one in facts.operators if _watches(one, facts.namespace)]
    if not watching:
        if facts.everywhere:
            others = ", ".join(_place(one) for one in facts.operators)
            yield Finding(
                "NoOperator",
                f"namespace {facts.namespace}",
                "no operator watches it",
                f"there are others: {others}" if others else "none is installed",
                f"add {facts.namespace} to watch.namespaces of one, or leave that empty to watch all"
                if others
                else _INSTALL,
            )
        else:
            yield Finding(
                "OperatorUnseen",
                "the operator",
                "it was not looked at",
                "you may not list Deployments of other namespaces, and it is not in this one",
                "if nothing happens, ask those who installed it",
                "note",
            )
    if len(watching) > 1:
        yield Finding(
            "SeveralOperators",
            f"namespace {facts.namespace}",
            f"{len(watching)} operators watch it: {', '.join(map(_place, watching))}",
            "each undoes what the other does",
            "give each its own namespaces in watch.namespaces",
        )
    for operator in watching:
        yield from _check_operator(operator, now)


def check_registry(registry: Registry) -> Iterator[Finding]:
    """Look whether the registry answers the operator, and whether what its spec names exists."""
    resource, about = registry.resource, key(registry.resource, "modelregistry")
    spec, ready = resource.get("spec") or {}, condition(registry.resource, "Ready")
    if not ready:
        yield Finding(
            "RegistryUnread",
            about,
            "the operator has said nothing about it yet",
            "it is new, or no operator watches this namespace",
            "wait some seconds; then look at the operator's log",
        )
    elif ready.get("status") != "True":
        yield Finding(
            str(ready.get("reason") or "RegistryUnreachable"),
            about,
            f"the operator cannot read {spec.get('uri')}",
            str(ready.get("message", "")),
            "mend that; what serves goes on serving, and the operator asks again by itself",
        )
    yield from _check_credentials(registry, about)
    yield from _check_webhook(registry, about)
    if registry.tried and registry.from_here:
        yield Finding(
            "NotReachableFromHere",
            about,
            "it cannot be used from here",
            registry.from_here,
            "only promote and rollback need that: give them --registry-uri, or run them in the cluster",
            "note",
        )


def _check_credentials(registry: Registry, about: str) -> Iterator[Finding]:
    spec = registry.resource.get("spec") or {}
    namespace = registry.resource["metadata"].get("namespace", "")
    for field, expected in (
        (
            "credentialsSecretRef",
            (("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"), ("MLFLOW_TRACKING_TOKEN",)),
        ),
        ("artifactSecretRef", (("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),)),
    ):
        name = (spec.get(field) or {}).get("name")
        if not name:
            continue
        keys = registry.secrets.get(name)
        if keys is None:
            yield Finding(
                "SecretMissing",
                about,
                f"spec.{field} names the Secret {name}, and namespace {namespace} has none",
                "pods that fetch a model cannot start without it",
                f"kubectl -n {namespace} create secret generic {name} --from-literal={expected[0][0]}=...",
            )
        elif keys is not UNSEEN and (wrong := _wrong_keys(field, keys, expected)):
            yield Finding(
                "SecretKeys",
                about,
                f"the Secret {name} of spec.{field} {wrong}",
                f"its keys are {', '.join(sorted(keys)) or 'none'}; they become environment variables as they are",
                f"give it {' or '.join(' and '.join(pair) for pair in expected)}",
            )
    reference = spec.get("caBundleRef")
    if not reference or registry.bundle is UNSEEN:
        return
    what, wanted = reference.get("kind", "ConfigMap"), reference.get("key", "ca.crt")
    if registry.bundle is None or wanted not in registry.bundle:
        lacks = f"namespace {namespace} has none" if registry.bundle is None else f"it has no key {wanted}"
        yield Finding(
            "CABundleMissing",
            about,
            f"spec.caBundleRef names the {what} {reference['name']}, and {lacks}",
            "without it the registry's certificate is not trusted",
            f"create it with the certificates in key {wanted}, or correct spec.caBundleRef",
        )


def _check_webhook(registry: Registry, about: str) -> Iterator[Finding]:
    webhook = (registry.resource.get("spec") or {}).get("webhook") or {}
    if not webhook.get("enabled"):
        return
    namespace = registry.resource["metadata"].get("namespace", "")
    name = (webhook.get("secretRef") or {}).get("name")
    keys = registry.secrets.get(name) if name else UNSEEN
    if keys is not UNSEEN and "secret" not in (keys or ()):
        lacks = f"namespace {namespace} has none" if keys is None else "it has no key secret"
        yield Finding(
            "SecretMissing" if keys is None else "SecretKeys",
            about,
            f"spec.webhook.secretRef names the Secret {name}, and {lacks}",
            "without it no delivery of MLflow is believed, and a moved alias is found by the next poll",
            'put a random text into its key secret: --from-literal=secret="$(openssl rand -hex 32)"',
        )
        return  # What the condition says follows from it.
    registered = condition(registry.resource, "WebhookRegistered")
    if registered.get("status") == "False":
        yield Finding(
            str(registered.get("reason")),
            about,
            "its webhook is not registered, so a moved alias is found by the next poll",
            str(registered.get("message")),
            "docs/webhooks.md has the reason with its cure",
        )


def _wrong_keys(field: str, keys: frozenset[str], expected: tuple[tuple[str, ...], ...]) -> str | None:
    if any(set(wanted) <= keys for wanted in expected):
        return None
    half = next((wanted for wanted in expected if keys & set(wanted)), None)
    if half:
        return f"has no {' and no '.join(sorted(set(half) - keys))}"
    if field == "credentialsSecretRef" and any(one.startswith(("DATABRICKS_", "MLFLOW_TRACKING_")) for one in keys):
        return None  # Another way to log in, such as MLFLOW_TRACKING_AUTH.
    if field == "artifactSecretRef" and any(one.isupper() for one in keys):
        return None  # An endpoint alone, a profile, or another cloud's variables.
    return "has none of the keys that a client reads"


def _check_operator(operator: Operator, now: datetime) -> Iterator[Finding]:
    about, status = f"operator {_place(operator)}", operator.deployment.get("status") or {}
    wanted, ready = operator.deployment["spec"].get("replicas", 1), status.get("readyReplicas", 0)
    metadata = operator.deployment["metadata"]
    logs = f"kubectl -n {metadata['namespace']} logs deploy/{metadata['name']}"
    if wanted == 0 or ready == 0:
        yield Finding(
            "OperatorDown",
            about,
            "it does not run" if wanted else "it is scaled to zero",
            operator.trouble or "none of its pods is ready",
            f"see {logs}; what serves goes on serving meanwhile",
        )
        return
    lease = operator.lease
    if lease is UNSEEN:
        return
    spec = (lease or {}).get("spec") or {}
    renewed = parse_time(spec.get("renewTime"))
    patience = timedelta(seconds=3 * int(spec.get("leaseDurationSeconds") or 9))
    if lease is None or not spec.get("holderIdentity") or renewed is None:
        why = "the Lease does not exist" if lease is None else "nobody holds the Lease"
    elif now - renewed > patience:
        why = f"{spec['holderIdentity']} renewed it {how_long(now - renewed)} ago"
    else:
        return
    yield Finding("NoLeader", about, "its pods run, and none of them leads", why, f"see {logs}")


def _watches(operator: Operator, namespace: str) -> bool:
    watched = _env(operator.deployment, "MODELVANE_NAMESPACES")
    return not watched or namespace in [name.strip() for name in watched.split(",")]


def _env(deployment: Manifest, name: str) -> str:
    containers = deployment["spec"]["template"]["spec"].get("containers") or ()
    values = (
        one.get("value", "") for container in containers for one in container.get("env") or () if one["name"] == name
    )
    return str(next(values, ""))


def _place(operator: Operator) -> str:
    metadata = operator.deployment["metadata"]
    return f"{metadata['name']} in namespace {metadata['namespace']}"
