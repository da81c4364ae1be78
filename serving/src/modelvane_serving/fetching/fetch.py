"""`modelvane-serving fetch`: one version of a registered model, from the registry into a directory.

Runs as the pod's init container, the only one with credentials. It tells "there is no such version" from "the registry
cannot be reached" from "the files are gone", because the operator treats them differently: the second is waited for,
the others reject the version.
"""

import json
import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException, RestException
from mlflow.tracking import get_tracking_uri
from mlflow.utils.workspace_context import get_request_workspace
from requests import HTTPError

from modelvane_serving.failure import (
    ARTIFACT_MISSING,
    FETCH_FAILED,
    INVALID_MODEL,
    MODEL_NOT_FOUND,
    StartError,
    explain,
    redact,
)
from modelvane_serving.fetching.download import download_model
from modelvane_serving.fetching.node_cache import NodeCache
from modelvane_serving.fetching.stable_signature import reading_stable_signature
from modelvane_serving.manifest import ARTIFACTS_DIR, FACTS_FILE, Manifest, read_tree, write_manifest
from modelvane_serving.mlmodel import MlModel, read_mlmodel
from modelvane_serving.settings import FetchSettings

_log = logging.getLogger(__name__)

# Error codes by which MLflow says that there is no such thing, and that a name is not acceptable.
ABSENT: Final = frozenset({"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"})
REFUSED: Final = "INVALID_PARAMETER_VALUE"


def fetch(settings: FetchSettings) -> str:
    """Download, check and describe the model; return the digest of its files."""
    started = time.monotonic()
    version = read_version(settings)
    artifacts = settings.model_dir / ARTIFACTS_DIR
    cache = NodeCache(settings.cache_dir, settings.cache_max_bytes)
    with reading_stable_signature(settings):
        manifest, from_cache = cache.fetch(
            cache_key(settings, version),
            artifacts,
            settings.max_model_bytes,
            lambda: download(settings, version, artifacts),
        )
    model = read_mlmodel(artifacts)
    write_facts(settings, version, model, manifest)
    write_manifest(manifest, settings.model_dir)
    fields = {
        "model_uri": model_uri(settings),
        "digest": manifest.digest,
        "files": len(manifest.files),
        "from_node_cache": from_cache,
        "seconds": round(time.monotonic() - started, 3),
    }
    _log.info("model fetched", extra={"fields": fields})
    return manifest.digest


def read_version(settings: FetchSettings) -> ModelVersion:
    """Ask the registry for the version."""
    with failures_as(FETCH_FAILED, f"the registry at {redact(settings.registry_uri)} gave no answer"):
        try:
            version = MlflowClient(registry_uri=settings.registry_uri).get_model_version(
                settings.model_name, settings.model_version
            )
        except RestException as error:
            if error.error_code in ABSENT or error.error_code == REFUSED:
                raise StartError(
                    MODEL_NOT_FOUND,
                    f"the registry has no version {settings.model_version} of model {settings.model_name!r}",
                ) from None
            raise
    if version.status != "READY":
        raise StartError(FETCH_FAILED, f"{model_uri(settings)} is {version.status}, not READY")
    return version


def download(settings: FetchSettings, version: ModelVersion, artifacts: Path) -> Manifest:
    """Download the files into an empty directory and hash them."""
    # An earlier run of this container may have left half a model.
    shutil.rmtree(artifacts, ignore_errors=True)
    artifacts.mkdir(parents=True)
    with failures_as(FETCH_FAILED, f"the files of {model_uri(settings)} could not be downloaded"):
        try:
            download_model(model_uri(settings), artifacts, settings.max_model_bytes)
        except MlflowException as error:
            if error.error_code in ABSENT:
                raise missing(settings, error) from None
            if error.error_code == REFUSED:
                # MLflow found a name that leads out of the directory.
                message = f"{model_uri(settings)} has a file that is refused: {explain(error)}"
                raise StartError(INVALID_MODEL, message) from None
            raise
        except HTTPError as error:
            if error.response is not None and error.response.status_code == 404:
                raise missing(settings, error) from None
            raise
    manifest = read_tree(artifacts)
    if not manifest.files:
        raise StartError(
            ARTIFACT_MISSING,
            f"{model_uri(settings)} exists, but there is no file at its source {redact(str(version.source))}",
        )
    return manifest


def cache_key(settings: FetchSettings, version: ModelVersion) -> dict[str, str]:
    """Name what the files are of. A version that was deleted and made anew is another one: by its time."""
    return {
        "registry": redact(settings.registry_uri),
        "tracking": redact(get_tracking_uri()),
        "workspace": get_request_workspace() or "",
        "model": settings.model_name,
        "version": settings.model_version,
        "source": redact(str(version.source)),
        "created": str(version.creation_timestamp),
    }


def missing(settings: FetchSettings, error: Exception) -> StartError:
    """Build the failure of a version whose files are gone."""
    return StartError(ARTIFACT_MISSING, f"{model_uri(settings)} exists, but not its files: {explain(error)}")


def write_facts(settings: FetchSettings, version: ModelVersion, model: MlModel, manifest: Manifest) -> None:
    """Write facts.json: what `serve` answers on /model-info without asking the registry."""
    facts: dict[str, Any] = {
        "model_name": settings.model_name,
        "model_version": settings.model_version,
        "run_id": version.run_id or None,
        "model_uri": model_uri(settings),
        "source": redact(str(version.source)),
        "flavors": list(model.flavors),
        "signature": model.signature,
        "has_input_example": model.serving_input_example in manifest.files,
    }
    (settings.model_dir / FACTS_FILE).write_text(json.dumps(facts, indent=1), encoding="utf-8")


def model_uri(settings: FetchSettings) -> str:
    """Name the version as MLflow does."""
    return f"models:/{settings.model_name}/{settings.model_version}"


@contextmanager
def failures_as(reason: str, what: str) -> Iterator[None]:
    """Turn any error into a failure with this reason. A plug-in or a store may raise anything."""
    try:
        yield
    except StartError:
        raise
    except Exception as error:
        raise StartError(reason, f"{what}: {explain(error)}") from None
