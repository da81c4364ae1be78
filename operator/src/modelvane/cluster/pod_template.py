"""The pod template of a revision: one container fetches the model, another serves it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelvane.engine.state import Observed, Revision
from modelvane.names import ANNOTATION_MODEL_URI, canonical_json, revision_labels, service_selector
from modelvane.spec import ModelCache, ModelDeploymentSpec, ModelRegistrySpec

Manifest = dict[str, Any]

PORT = 8080
MODEL_DIR = "/model"
CACHE_DIR = "/cache"
CA_DIR = "/etc/modelvane/ca"
TLS_DIR = "/etc/modelvane/tls"
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
# Ours drains by itself. Others mostly stop at once, when proxies still send them requests: they hear of it later.
_LEAVE_FIRST = {"preStop": {"sleep": {"seconds": DRAIN_SECONDS}}}
_RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}


@dataclass(frozen=True)
class Images:
    """What the two containers are made from: the same image, unless the user's own serves."""

    fetch: str
    serve: str


def choose_images(spec: ModelDeploymentSpec, default_image: str) -> Images:
    """Choose them. Only an image made from ours can fetch."""
    serve = spec.runtime.image or default_image
    return Images(default_image if spec.runtime.type == "Custom" else serve, serve)


def build_pod_template(o: Observed, registry: ModelRegistrySpec, revision: Revision, images: Images) -> Manifest:
    """Build what every pod of a revision is made from: ours, with the user's own template merged over it."""
    labels = revision_labels(o.name, revision.version, revision.name)
    annotations = {ANNOTATION_MODEL_URI: model_uri(o, revision)}
    pod: Manifest = {
        "metadata": {"labels": labels, "annotations": annotations},
        "spec": _pod_spec(o, registry, revision, images),
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


def _pod_spec(o: Observed, registry: ModelRegistrySpec, revision: Revision, images: Images) -> Manifest:
    runtime = o.spec.runtime
    volumes: list[Manifest] = [{"name": "model", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}]
    if registry.ca_bundle_ref is not None:
        reference = registry.ca_bundle_ref
        kind, field = ("secret", "secretName") if reference.kind == "Secret" else ("configMap", "name")
        volumes.append({"name": "registry-ca", kind: {field: reference.name}})
    if runtime.cache is not None:
        volumes.append({"name": "model-cache", **_cache_source(runtime.cache)})
    if runtime.tls is not None:
        volumes.append({"name": "serving-tls", "secret": {"secretName": runtime.tls.secret_name, "defaultMode": 0o440}})
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
        "initContainers": [_fetch_container(o, registry, revision, images.fetch)],
        "containers": [_serve_container(o.spec, revision, images.serve)],
        "volumes": volumes,
    }


def _cache_source(cache: ModelCache) -> Manifest:
    if cache.persistent_volume_claim is not None:
        return {"persistentVolumeClaim": {"claimName": cache.persistent_volume_claim.claim_name}}
    # The kubelet would make a missing directory for root alone, and the pod could not write there.
    return {"hostPath": {"path": cache.host_path.path if cache.host_path else "", "type": "Directory"}}


def _fetch_container(o: Observed, registry: ModelRegistrySpec, revision: Revision, image: str) -> Manifest:
    """Build the only container that knows the registry: it has the credentials and no model code runs in it."""
    runtime = o.spec.runtime
    env = {
        "MODELVANE_MODEL_NAME": o.spec.model.name,
        "MODELVANE_MODEL_VERSION": revision.version,
        "MODELVANE_MODEL_DIR": MODEL_DIR,
        "MLFLOW_TRACKING_URI": registry.uri,
        "MLFLOW_REGISTRY_URI": registry.uri,
        **_runtime_env(o.spec),
    }
    mounts: list[Manifest] = [{"name": "model", "mountPath": MODEL_DIR}, {"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 - inside the pod
    if stable := _comparable(o, revision):
        env["MODELVANE_STABLE_MODEL_URI"] = stable
    if runtime.max_model_size is not None:
        env["MODELVANE_MAX_MODEL_BYTES"] = str(runtime.max_model_size)
    if runtime.cache is not None:
        env["MODELVANE_CACHE_DIR"] = CACHE_DIR
        mounts.append({"name": "model-cache", "mountPath": CACHE_DIR})
        if runtime.cache.max_size is not None:
            env["MODELVANE_CACHE_MAX_BYTES"] = str(runtime.cache.max_size)
    if registry.workspace is not None:
        env["MLFLOW_WORKSPACE"] = registry.workspace
    if registry.ca_bundle_ref is not None:
        path = f"{CA_DIR}/{registry.ca_bundle_ref.key}"
        env.update(dict.fromkeys(("REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE", "SSL_CERT_FILE"), path))
        mounts.append({"name": "registry-ca", "mountPath": CA_DIR, "readOnly": True})
    secrets = [ref for ref in (registry.credentials_secret_ref, registry.artifact_secret_ref) if ref is not None]
    container: Manifest = {**_container("fetch", image, ["fetch"]), "env": _env(env), "volumeMounts": mounts}
    if secrets:
        container["envFrom"] = [{"secretRef": {"name": ref.name}} for ref in secrets]
    return container


def _comparable(o: Observed, revision: Revision) -> str | None:
    """Name the model version whose signature is compared; the runtimes of our image do that, no other."""
    stable = o.workload(o.memory.stable.revision) if o.memory.stable else None
    if stable is None or stable.revision == revision.name or o.spec.runtime.type == "Custom":
        return None
    return None if o.spec.verification.signature == "Ignore" else stable.model_uri


def _serve_container(spec: ModelDeploymentSpec, revision: Revision, image: str) -> Manifest:
    """Build the container that answers. Ours listens only after it has verified the model, so Ready means verified."""
    runtime = spec.runtime
    mounts: list[Manifest] = [
        {"name": "model", "mountPath": MODEL_DIR, "readOnly": True},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - inside the pod
    ]
    if runtime.tls is not None:
        mounts.append({"name": "serving-tls", "mountPath": TLS_DIR, "readOnly": True})
    container: Manifest = {
        **_container("serve", image, None if runtime.type == "Custom" else ["serve"]),
        "env": [*_env(_serve_env(spec, revision)), *map(dict, runtime.env)],
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        **_probes(spec),
        "volumeMounts": mounts,
    }
    if runtime.env_from:
        container["envFrom"] = [dict(source) for source in runtime.env_from]
    return container


def _serve_env(spec: ModelDeploymentSpec, revision: Revision) -> dict[str, str]:
    runtime, verification = spec.runtime, spec.verification
    env = {
        "MODELVANE_MODEL_DIR": MODEL_DIR,
        "MODELVANE_MODEL_NAME": spec.model.name,
        "MODELVANE_MODEL_VERSION": revision.version,
        "MODELVANE_REVISION": revision.name,
        "MODELVANE_PORT": str(PORT),
        **_runtime_env(spec),
    }
    if runtime.type == "Modelvane":
        env["MODELVANE_ENGINE"] = runtime.engine
    if runtime.type != "Custom":
        if runtime.workers is not None:
            env["MODELVANE_WORKERS"] = str(runtime.workers)
        env["MODELVANE_VERIFY_INPUT_EXAMPLE"] = "true" if verification.input_example else "false"
        env["MODELVANE_VERIFY_SIGNATURE"] = verification.signature
        env["MODELVANE_DRAIN_SECONDS"] = str(DRAIN_SECONDS)
        if verification.requests:
            env["MODELVANE_VERIFY_REQUESTS"] = canonical_json([dict(request) for request in verification.requests])
    if runtime.tls is not None:
        env["MODELVANE_TLS_CERT"] = f"{TLS_DIR}/tls.crt"
        env["MODELVANE_TLS_KEY"] = f"{TLS_DIR}/tls.key"
    if spec.model.stage is not None:
        env["MODELVANE_MODEL_STAGE"] = spec.model.stage
    if spec.model.alias is not None:
        env["MODELVANE_MODEL_ALIAS"] = spec.model.alias
    return env


def _runtime_env(spec: ModelDeploymentSpec) -> dict[str, str]:
    """Name for both containers what serves, and whose packages it uses. A custom image brings its own."""
    runtime = spec.runtime
    kind: dict[str, str] = {} if runtime.type == "Modelvane" else {"MODELVANE_RUNTIME": runtime.type}
    return kind if runtime.type == "Custom" else {**kind, "MODELVANE_ENVIRONMENT": runtime.environment}


def _container(name: str, image: str, args: list[str] | None) -> Manifest:
    """Build what both have in common. Without arguments of ours an image is somebody else's, and starts itself."""
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        **({"lifecycle": _LEAVE_FIRST} if args is None else {"args": args}),
        "securityContext": _RESTRICTED,
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    }


def _probes(spec: ModelDeploymentSpec) -> Manifest:
    """Build the probes. A custom image need know of one path, which says that it may get requests."""
    live = {"tcpSocket": {"port": "http"}} if spec.runtime.type == "Custom" else _get("/v2/health/live", spec)
    deadline = max(1, round(spec.progress_deadline.total_seconds()))
    # A node that is starved of CPU is slow for every pod at once: a short timeout would take them all out of traffic.
    return {
        "startupProbe": {**live, "timeoutSeconds": 5, "periodSeconds": 1, "failureThreshold": deadline},
        "readinessProbe": {
            **_get("/v2/health/ready", spec),
            "timeoutSeconds": 5,
            "periodSeconds": 1,
            "failureThreshold": 3,
        },
        "livenessProbe": {**live, "timeoutSeconds": 5, "periodSeconds": 10},
    }


def _get(path: str, spec: ModelDeploymentSpec) -> Manifest:
    scheme = {"scheme": "HTTPS"} if spec.runtime.tls is not None else {}
    return {"httpGet": {"path": path, "port": "http", **scheme}}


def _env(values: Mapping[str, str]) -> list[Manifest]:
    return [{"name": name, "value": value} for name, value in values.items()]
