"""kopf's side: an event becomes a key on the queue, and nothing else happens here.

kopf never retries an event handler, so a handler must not do anything that can fail. Only event handlers are used:
others would put finalizers and annotations on the user's objects.
"""

from collections.abc import Callable
from typing import Any, Literal

import kopf

from modelvane.engine.state import Key
from modelvane.names import GROUP, LABEL_MODEL_DEPLOYMENT, VERSION


def build_handlers(enqueue: Callable[[Key], None]) -> kopf.OperatorRegistry:
    """Watch both resources and the children that belong to them."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    def login(**arguments: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**arguments) or kopf.login_with_kubeconfig(**arguments)

    @kopf.on.event(GROUP, VERSION, "modeldeployments", registry=registry)
    async def model_deployment_changed(name: str, namespace: str | None, **_: Any) -> None:
        enqueue(Key("ModelDeployment", namespace or "", name))

    @kopf.on.event(GROUP, VERSION, "modelregistries", registry=registry)
    async def model_registry_changed(name: str, namespace: str | None, **_: Any) -> None:
        enqueue(Key("ModelRegistry", namespace or "", name))

    async def child_changed(namespace: str | None, labels: kopf.Labels, **_: Any) -> None:
        enqueue(Key("ModelDeployment", namespace or "", labels[LABEL_MODEL_DEPLOYMENT]))

    children: tuple[tuple[Literal["apps/v1", "v1", "policy/v1"], str], ...] = (
        ("apps/v1", "deployments"),
        ("v1", "pods"),
        ("v1", "services"),
        ("policy/v1", "poddisruptionbudgets"),
    )
    for version, plural in children:
        mine = {LABEL_MODEL_DEPLOYMENT: kopf.PRESENT}
        kopf.on.event(version, plural, labels=mine, registry=registry)(child_changed)
    return registry


def build_kopf_settings(namespaced: bool) -> kopf.OperatorSettings:
    """Set kopf up so that it only watches: no events of its own, no peering, nothing written to any object."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    # Without the right to list namespaces and CRDs, which only a cluster-wide installation has, kopf would not start.
    settings.scanning.disabled = namespaced
    settings.persistence.finalizer = f"{GROUP}/finalizer"
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP)
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=GROUP)
    # One task an object otherwise. Handlers only enqueue, so a few tasks are plenty; no index is used, which is what
    # such a limit would deadlock.
    settings.queueing.worker_limit = 20
    settings.queueing.exit_timeout = 0.5
    settings.watching.server_timeout = 300
    for plural in ("deployments.apps", "pods", "services", "poddisruptionbudgets.policy"):
        settings.watching.label_selectors[plural] = LABEL_MODEL_DEPLOYMENT
    return settings
