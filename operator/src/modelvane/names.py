"""Labels, annotations and object names, and how a revision gets its hash.

Everything that other programs may rely on is named here once. Pure.
"""

import hashlib
import json
from collections.abc import Mapping

GROUP = "serving.modelvane.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
FIELD_MANAGER = "modelvane"
COMPONENT = "modelvane"

LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
LABEL_NAME = "app.kubernetes.io/name"
LABEL_MODEL_DEPLOYMENT = f"{GROUP}/modeldeployment"
LABEL_REVISION = f"{GROUP}/revision"
LABEL_MODEL_VERSION = f"{GROUP}/model-version"

ANNOTATION_MODEL_URI = f"{GROUP}/model-uri"
ANNOTATION_IMAGE = f"{GROUP}/image"
ANNOTATION_APPLIED = f"{GROUP}/applied"
ANNOTATION_RESUME = f"{GROUP}/resume"
ANNOTATION_ABORT = f"{GROUP}/abort"
ANNOTATION_PAUSE = f"{GROUP}/pause"
ANNOTATION_RETRY = f"{GROUP}/retry"
ANNOTATION_RESTART = f"{GROUP}/restart"

CONDITION_READY = "Ready"
CONDITION_RECONCILING = "Reconciling"
CONDITION_STALLED = "Stalled"
CONDITION_REGISTRY = "RegistryReachable"
CONDITION_RESOLVED = "ModelResolved"
CONDITION_ROUTE = "RouteAccepted"
CONDITION_WEBHOOK = "WebhookRegistered"


def canonical_json(value: object) -> str:
    """Return the one JSON text of a value, whatever the order its keys came in."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def short_hash(value: object, length: int = 8) -> str:
    """Return the first characters of the SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:length]


def revision_name(version: str, template_hash: str) -> str:
    """Name a revision after the model version it serves and the pod template it serves it with."""
    return f"v{version}-{template_hash}"


def deployment_name(name: str, revision: str) -> str:
    """Name the Deployment of one revision."""
    return f"{name}-{revision}"


def model_labels(name: str) -> dict[str, str]:
    """Return the labels that every child of a ModelDeployment carries."""
    return {LABEL_MANAGED_BY: "modelvane", LABEL_NAME: name, LABEL_MODEL_DEPLOYMENT: name}


def revision_labels(name: str, version: str, revision: str) -> dict[str, str]:
    """Return the labels of one revision's Deployment and pods."""
    return {**model_labels(name), LABEL_MODEL_VERSION: version, LABEL_REVISION: revision}


def service_selector(name: str, revision: str | None) -> dict[str, str]:
    """Return the selector of the Service: the pods of one revision, or of all of them when it is None."""
    selector = {LABEL_MODEL_DEPLOYMENT: name}
    return selector if revision is None else {**selector, LABEL_REVISION: revision}


def label_selector(labels: Mapping[str, str]) -> str:
    """Return labels in the text form that the API and `status.selector` use."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
