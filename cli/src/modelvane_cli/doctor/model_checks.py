"""Judges one ModelDeployment: the operator's word, its pods, and the way that requests take to them. Pure."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from modelvane_cli.doctor.facts import UNSEEN, Model, Registry
from modelvane_cli.doctor.findings import Finding, condition, condition_in, key
from modelvane_cli.words import count, parse_time

UNANSWERED = timedelta(seconds=30)
"""How long the operator may take to see a resource before that is a finding."""

_TROUBLESHOOTING = "docs/troubleshooting.md has the reason with its cure"
_GATEWAY = "check listeners, allowedRoutes and hostnames of the Gateway"


def check_model(model: Model, registries: dict[str, Registry], now: datetime) -> Iterator[Finding]:
    """Judge all about one ModelDeployment."""
    yield from _check_seen(model, now)
    yield from _check_registry_ref(model, registries)
    if not model.seen.status:
        return
    for check in _CHECKS:
        yield from check(model)


def _check_seen(model: Model, now: datetime) -> Iterator[Finding]:
    made = parse_time(model.seen.resource["metadata"].get("creationTimestamp"))
    if model.seen.is_current or (made and now - made < UNANSWERED):
        return
    seen = bool(model.seen.status)
    yield Finding(
        "NotSeen",
        _about(model),
        "its status is about an older spec" if seen else "it has no status",
        "the operator has not looked at it since it was changed" if seen else "the operator has never looked at it",
        "see what this command says about the operator; right after a change, look again",
    )


def _check_registry_ref(model: Model, registries: dict[str, Registry]) -> Iterator[Finding]:
    name = (model.seen.spec.get("registryRef") or {}).get("name", "default")
    if name in registries:
        yield from _check_registry(model, registries[name])
        return
    others = ", ".join(sorted(registries)) or "none"
    yield Finding(
        "RegistryNotFound",
        _about(model),
        f"it names the ModelRegistry {name}, and namespace {model.seen.namespace} has none of that name",
        f"it has: {others}",
        "create it, or name another in spec.registryRef.name",
    )


def _check_registry(model: Model, registry: Registry) -> Iterator[Finding]:
    """Say that a registry which answers has something against this model: what is refused to all is told of it."""
    reachable = model.seen.condition("RegistryReachable")
    if reachable.get("status") == "False" and condition(registry.resource, "Ready").get("status") == "True":
        yield Finding(
            str(reachable.get("reason")),
            _about(model),
            "its registry answers, and not about this model",
            str(reachable.get("message")),
            _TROUBLESHOOTING,
        )


def _check_pointer(model: Model) -> Iterator[Finding]:
    resolved = model.seen.condition("ModelResolved")
    if resolved.get("status") == "False":
        yield Finding(
            str(resolved.get("reason")),
            _about(model),
            "its pointer leads to no version that could be served",
            str(resolved.get("message")),
            "promote a version (modelvane promote), or correct spec.model",
        )


def _check_stalled(model: Model) -> Iterator[Finding]:
    stalled, name = model.seen.condition("Stalled"), model.seen.name
    if stalled.get("status") != "True":
        return
    serving = model.seen.part("stable").get("version")
    yield Finding(
        str(stalled.get("reason")),
        _about(model),
        "it goes no further; " + (f"version {serving} serves on" if serving else "nothing serves"),
        str(stalled.get("message")),
        f"{_TROUBLESHOOTING}; then promote a mended version, or modelvane retry {name}, or modelvane rollback {name}"
        if model.seen.is_rejected
        else f"{_TROUBLESHOOTING}; correct what the message names; the operator tries again by itself",
    )


def _check_paused(model: Model) -> Iterator[Finding]:
    paused, name = model.seen.part("candidate").get("paused"), model.seen.name
    why = {"Step": "the step says so", "Request": "someone asked for it", "Inconclusive": "too few requests to judge"}
    if paused:
        yield Finding(
            "Paused",
            _about(model),
            "its rollout waits for a person",
            why.get(paused, str(paused)),
            f"modelvane resume {name}, or modelvane abort {name}",
            "note",
        )
    if model.seen.spec.get("suspend"):
        yield Finding(
            "Suspended",
            _about(model),
            "it follows its pointer no more",
            "spec.suspend is true",
            "set it to false to go on",
            "note",
        )


def _check_pods(model: Model) -> Iterator[Finding]:
    for pod in model.seen.pods:
        if pod.trouble and not pod.ending:
            yield Finding(
                "PodTrouble",
                f"pod/{pod.name}",
                f"it does not serve version {pod.version}",
                pod.trouble,
                f"{_TROUBLESHOOTING}; kubectl -n {model.seen.namespace} logs {pod.name} --all-containers",
            )


def _check_refused(model: Model) -> Iterator[Finding]:
    if model.deployments is UNSEEN:
        return
    for deployment in model.deployments:
        failure = condition_in((deployment.get("status") or {}).get("conditions"), "ReplicaFailure")
        if failure.get("status") == "True":
            message = str(failure.get("message", failure.get("reason")))
            quota = "quota" in message
            yield Finding(
                "QuotaExceeded" if quota else "PodRefused",
                key(deployment, "deployment"),
                "the cluster lets none of its pods be made",
                message,
                "raise the quota, or lower resources in spec.template: a rollout needs room for both versions"
                if quota
                else "correct spec.template, or what refuses the pods (admission, Pod Security)",
            )


def _check_service(model: Model) -> Iterator[Finding]:
    seen = model.seen
    if not seen.part("stable") or model.service is UNSEEN:
        return
    if model.service is None:
        yield Finding(
            "ServiceMissing",
            _about(model),
            f"there is no Service {seen.name}",
            "someone deleted it, or its name is taken",
            "the operator makes it again within a minute; if not, see its log",
        )
        return
    if seen.spec.get("replicas", 1) == 0 or model.endpoints is UNSEEN or model.endpoints > 0:
        return
    yield Finding(
        "NoEndpoints",
        f"service/{seen.name}",
        "no pod behind it is ready, so every request fails",
        f"it selects {_selector(model.service.get('spec', {}).get('selector') or {})}",
        "see what this command says about the pods",
    )


def _check_route(model: Model) -> Iterator[Finding]:
    if not model.seen.spec.get("gateway"):
        return
    if model.route is UNSEEN:
        accepted = model.seen.condition("RouteAccepted")
        if accepted.get("status") == "False":
            yield Finding(
                "RouteAccepted",
                _about(model),
                "a gateway does not take its route",
                str(accepted.get("message")),
                _GATEWAY,
            )
        return
    if model.route is None:
        if model.seen.part("stable"):
            yield Finding(
                "RouteMissing",
                _about(model),
                f"there is no HTTPRoute {model.seen.name}",
                "the cluster does not know HTTPRoutes, or the operator may not make one",
                "install the Gateway API's CRDs and a controller; see the operator's log",
            )
        return
    about, parents = key(model.route, "httproute"), (model.route.get("status") or {}).get("parents") or ()
    if not parents:
        yield Finding(
            "RouteIgnored",
            about,
            "no gateway has said anything about it",
            "no controller looks after the Gateways of spec.gateway.parentRefs, or they do not exist",
            "kubectl get gateways -A; correct spec.gateway.parentRefs",
        )
    for parent in parents:
        name = (parent.get("parentRef") or {}).get("name")
        for kind in ("Accepted", "ResolvedRefs"):
            said = condition_in(parent.get("conditions"), kind)
            if said.get("status") == "False":
                yield Finding(
                    f"Route{kind}",
                    about,
                    f"gateway {name} does not take it ({said.get('reason')})",
                    str(said.get("message")),
                    _GATEWAY,
                )


def _check_budget(model: Model) -> Iterator[Finding]:
    if model.seen.spec.get("replicas", 1) < 2 or not model.seen.part("stable") or model.budget is UNSEEN:
        return
    if model.budget is None:
        yield Finding(
            "BudgetMissing",
            _about(model),
            f"there is no PodDisruptionBudget {model.seen.name}",
            "someone deleted it, so a drained node may take all pods at once",
            "the operator makes it again within a minute; if not, see its log",
        )


def _check_ready(model: Model) -> Iterator[Finding]:
    """Say that too few pods serve: the pods themselves may be what this user may not read.

    Where nothing serves at all the reason is that of another condition, or a first rollout that goes its way.
    """
    ready, stable = model.seen.condition("Ready"), model.seen.part("stable")
    if ready.get("status") == "False" and stable:
        yield Finding(
            str(ready.get("reason")),
            _about(model),
            f"{stable.get('readyReplicas', 0)} of {count(model.seen.spec.get('replicas', 1), 'wanted pod')} serve",
            str(ready.get("message")),
            f"modelvane status {model.seen.name} --watch",
        )


def _about(model: Model) -> str:
    return key(model.seen.resource, "modeldeployment")


def _selector(labels: dict[str, str]) -> str:
    return ", ".join(f"{name.rpartition('/')[2]}={value}" for name, value in labels.items()) or "nothing"


_CHECKS: tuple[Callable[[Model], Iterator[Finding]], ...] = (
    _check_pointer,
    _check_stalled,
    _check_paused,
    _check_ready,
    _check_pods,
    _check_refused,
    _check_service,
    _check_route,
    _check_budget,
)
