"""The pod template of a revision: one container fetches the model, another serves it. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from modelvane.engine.state import Observed, Revision
from modelvane.names import ANNOTATION_MODEL_URI, canonical_json, revision_labels, service_selector
from modelvane.spec import ModelDeploymentSpec, ModelRegistrySpec

Manifest = dict[str, Any]

PORT = 8080
MODEL_DIR = "/model"
CA_DIR = "/etc/modelvane/ca"
USER = 65532
DRAIN_SECONDS = 5
GRACE_SECONDS = 30

# What identifies an item of these lists, as in Kubernetes' own strategic merge. Other lists are replaced whole.
_MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "volumes": "name",
    "env": "name",
    "imagePullSecrets": "name",
    "volumeMounts": "mountPath",
    "ports": "containerPort",
}
_RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}


def build_pod_template(o: Observed, registry: ModelRegistrySpec, revision: Revision, image: str) -> Manifest:
    """Build what every pod of a revision is made from: ours, with the user's own template merged over it."""
    labels = revision_labels(o.name, revision.version, revision.name)
    annotations = {ANNOTATION_MODEL_URI: model_uri(o, revision)}
    pod: Manifest = {
        "metadata": {"labels": labels, "annotations": annotations},
        "spec": _pod_spec(o, registry, revision, image),
    }
    merged = merge(pod, {"metadata": o.spec.template.metadata, "spec": o.spec.template.spec})
    # The labels choose the pods: a template that repeats one with another value would cut the revision loose.
    merged["metadata"]["labels"] = {**merged["metadata"]["labels"], **labels}
    return merged


def model_uri(o: Observed, revision: Revision) -> str:
    """Name the model version as MLflow does."""
    return f"models:/{o.spec.model.name}/{revision.version}"


def merge(base: Mapping[str, Any], patch: Mapping[str, Any]) -> Manifest:
    """Merge a partial object over a whole one the way `kubectl patch` does; null removes a field."""
    merged = dict(base)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = merge(merged[key], value)
        elif key in _MERGE_KEYS and isinstance(value, Sequence) and isinstance(merged.get(key), Sequence):
            merged[key] = _merge_list(merged[key], value, _MERGE_KEYS[key])
        else:
            merged[key] = value
    return merged


def _merge_list(base: Sequence[Any], patch: Sequence[Any], key: str) -> list[Any]:
    items = {item.get(key): item for item in base}
    for item in patch:
        items[item.get(key)] = merge(items.get(item.get(key), {}), item)
    return list(items.values())


def _pod_spec(o: Observed, registry: ModelRegistrySpec, revision: Revision, image: str) -> Manifest:
    volumes: list[Manifest] = [{"name": "model", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}]
    if registry.ca_bundle_ref is not None:
        reference = registry.ca_bundle_ref
        kind, field = ("secret", "secretName") if reference.kind == "Secret" else ("configMap", "name")
        volumes.append({"name": "registry-ca", kind: {field: reference.name}})
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": service_selector(o.name, revision.name)},
            }
        ],
        "initContainers": [_fetch_container(o, registry, revision, image)],
        "containers": [_serve_container(o.spec, revision, image)],
        "volumes": volumes,
    }


def _fetch_container(o: Observed, registry: ModelRegistrySpec, revision: Revision, image: str) -> Manifest:
    """Build the only container that knows the registry: it has the credentials and no model code runs in it."""
    env = {
        "MODELVANE_MODEL_NAME": o.spec.model.name,
        "MODELVANE_MODEL_VERSION": revision.version,
        "MODELVANE_MODEL_DIR": MODEL_DIR,
        "MLFLOW_TRACKING_URI": registry.uri,
        "MLFLOW_REGISTRY_URI": registry.uri,
    }
    mounts: list[Manifest] = [{"name": "model", "mountPath": MODEL_DIR}, {"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 - inside the pod
    stable = o.workload(o.memory.stable.revision) if o.memory.stable else None
    if stable and stable.model_uri and stable.revision != revision.name and o.spec.verification.signature != "Ignore":
        env["MODELVANE_STABLE_MODEL_URI"] = stable.model_uri
    if registry.workspace is not None:
        env["MLFLOW_WORKSPACE"] = registry.workspace
    if registry.ca_bundle_ref is not None:
        path = f"{CA_DIR}/{registry.ca_bundle_ref.key}"
        env.update(dict.fromkeys(("REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE", "SSL_CERT_FILE"), path))
        mounts.append({"name": "registry-ca", "mountPath": CA_DIR, "readOnly": True})
    secrets = [ref for ref in (registry.credentials_secret_ref, registry.artifact_secret_ref) if ref is not None]
    container: Manifest = {**_container("fetch", image), "env": _env(env), "volumeMounts": mounts}
    if secrets:
        container["envFrom"] = [{"secretRef": {"name": ref.name}} for ref in secrets]
    return container


def _serve_container(spec: ModelDeploymentSpec, revision: Revision, image: str) -> Manifest:
    """Build the container that answers. It listens only after it has verified the model, so Ready means verified."""
    env = {
        "MODELVANE_MODEL_DIR": MODEL_DIR,
        "MODELVANE_MODEL_NAME": spec.model.name,
        "MODELVANE_MODEL_VERSION": revision.version,
        "MODELVANE_REVISION": revision.name,
        "MODELVANE_PORT": str(PORT),
        "MODELVANE_WORKERS": str(spec.runtime.workers),
        "MODELVANE_VERIFY_INPUT_EXAMPLE": "true" if spec.verification.input_example else "false",
        "MODELVANE_VERIFY_SIGNATURE": spec.verification.signature,
        "MODELVANE_DRAIN_SECONDS": str(DRAIN_SECONDS),
    }
    if spec.verification.requests:
        env["MODELVANE_VERIFY_REQUESTS"] = canonical_json([dict(request) for request in spec.verification.requests])
    if spec.model.stage is not None:
        env["MODELVANE_MODEL_STAGE"] = spec.model.stage
    if spec.model.alias is not None:
        env["MODELVANE_MODEL_ALIAS"] = spec.model.alias
    deadline = max(1, round(spec.progress_deadline.total_seconds()))
    container: Manifest = {
        **_container("serve", image),
        "env": [*_env(env), *map(dict, spec.runtime.env)],
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "startupProbe": {**_probe("live"), "periodSeconds": 1, "failureThreshold": deadline},
        "readinessProbe": {**_probe("ready"), "periodSeconds": 1, "failureThreshold": 3},
        "livenessProbe": {**_probe("live"), "periodSeconds": 10},
        "volumeMounts": [
            {"name": "model", "mountPath": MODEL_DIR, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - inside the pod
        ],
    }
    if spec.runtime.env_from:
        container["envFrom"] = [dict(source) for source in spec.runtime.env_from]
    return container


def _container(name: str, image: str) -> Manifest:
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": [name],
        "securityContext": _RESTRICTED,
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    }


def _probe(endpoint: str) -> Manifest:
    # A node that is starved of CPU is slow for every pod at once: a short timeout would take them all out of traffic.
    return {"httpGet": {"path": f"/v2/health/{endpoint}", "port": "http"}, "timeoutSeconds": 5}


def _env(values: Mapping[str, str]) -> list[Manifest]:
    return [{"name": name, "value": value} for name, value in values.items()]
