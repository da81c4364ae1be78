"""The only module that knows MLflow: reads and writes one registry, and turns its errors into sentences."""

from __future__ import annotations

import contextlib
import math
import os
import re
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from modelvane_cli.access import hide_user
from modelvane_cli.exits import Exit, StopError
from modelvane_cli.pointer import Held, Move

if TYPE_CHECKING:
    from mlflow import MlflowClient

_PATIENCE = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}

_WITHOUT_SCHEME = frozenset({"databricks", "databricks-uc", "uc"})
"""What MLflow takes for a registry although it is no address."""


class Models:
    """One registry, as the user of the credentials in the environment."""

    def __init__(self, uri: str, tracking: str | None = None) -> None:
        self._uri = hide_user(uri)
        for name, value in _PATIENCE.items():
            os.environ.setdefault(name, value)
        self._client = _open(uri, tracking or uri)

    def held(self, model: str) -> Held:
        """Read where the pointers of a model stand."""
        with self._explained(f"registered model {model}"):
            found = self._client.get_registered_model(model)
        stages: dict[str, str] = {}
        for version in found.latest_versions:
            before = stages.get(version.current_stage)
            if before is None or int(version.version) > int(before):
                stages[version.current_stage] = str(version.version)
        return Held(stages, {alias: str(version) for alias, version in dict(found.aliases).items()})

    def answers(self) -> None:
        """Make sure that the registry answers."""
        with self._explained("list of registered models"):
            self._client.search_registered_models(max_results=1)

    def check(self, model: str, version: str) -> None:
        """Make sure that a version exists and can be used."""
        found = self._version(model, version)
        if found.status not in (None, "READY"):
            raise StopError(Exit.FAILED, f"Version {version} of {model} is {found.status}, not READY; wait for it.")

    def metrics(self, model: str, version: str) -> dict[str, float]:
        """Read the metrics of the run that made a version."""
        run_id = self._version(model, version).run_id
        if not run_id:
            raise StopError(
                Exit.NOT_FOUND, f"Version {version} of {model} was registered without a run, so it has no metrics."
            )
        with self._explained(f"run {run_id} of version {version} of {model}"):
            found = self._client.get_run(run_id).data.metrics
        return {name: float(value) for name, value in found.items() if math.isfinite(value)}

    def carry_out(self, move: Move) -> None:
        """Write a move, if there is anything to write."""
        if not move.is_needed:
            return
        model, version = move.pointer.model, move.version
        with self._explained(f"version {version} of {model}"):
            if move.pointer.alias:
                self._client.set_registered_model_alias(model, move.pointer.alias, version)
                return
            with warnings.catch_warnings():
                # MLflow prefers aliases now; stages are what most registries still live by.
                warnings.simplefilter("ignore", FutureWarning)
                self._client.transition_model_version_stage(
                    model, version, str(move.pointer.stage), archive_existing_versions=move.archives
                )

    def _version(self, model: str, version: str) -> Any:
        with self._explained(f"version {version} of {model}"):
            return self._client.get_model_version(model, version)

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise explain(error, self._uri, what) from None


def _open(uri: str, tracking: str) -> MlflowClient:
    import logging  # noqa: PLC0415

    from mlflow import MlflowClient  # noqa: PLC0415 - a second or more, which only the registry's commands need

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    for one in (uri, tracking):
        if "://" not in one and one not in _WITHOUT_SCHEME:
            # To MLflow it is a folder or a typing mistake, and what it says of those is about neither.
            raise _no_address(one, "it lacks a scheme or a host")
    try:
        return MlflowClient(tracking_uri=tracking, registry_uri=uri)
    except Exception as error:
        said = str(error).strip().splitlines()[0].rstrip(".")
        raise _no_address(uri, said) from None


def _no_address(uri: str, why: str) -> StopError:
    return StopError(
        Exit.USAGE,
        f"{hide_user(uri)} is no address of an MLflow registry: {why}. Write one such as http://mlflow:5000.",
    )


def explain(error: BaseException, uri: str, what: str) -> StopError:
    """Say what is wrong with the registry, or with what was asked of it."""
    code, status = getattr(error, "error_code", None), _status(error)
    text = " ".join(str(cause) for cause in _causes(error))
    if code == "RESOURCE_DOES_NOT_EXIST":
        return StopError(Exit.NOT_FOUND, f"The registry at {uri} has no {what}.")
    if status in (401, 403):
        return StopError(
            Exit.NOT_ALLOWED,
            f"The registry at {uri} answers {status}: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD (or "
            "MLFLOW_TRACKING_TOKEN) of a user who may edit the model. MLflow also answers 403 to a host name that it "
            "does not know (allowedHosts of charts/mlflow).",
        )
    if "NameResolution" in text or "getaddrinfo" in text or "Name or service not known" in text:
        why = "its host is not known here"
    elif "refused" in text:
        why = "it refuses connections: it is down, or the port is wrong"
    elif "certificate" in text.lower():
        why = "its certificate is not trusted: name the CA in MLFLOW_TRACKING_SERVER_CERT_PATH"
    elif status == 429 or "too many 429" in text:
        why = "it answers 429, which means too many requests; try again later"
    elif "timed out" in text.lower() or "timeout" in text.lower():
        why = "it gives no answer in time"
    elif (status is not None and status >= 500) or "too many 5" in text:
        why = "it answers with an error of its own; see the log of the MLflow server"
    elif getattr(error, "json", None):
        return StopError(Exit.FAILED, f"The registry at {uri} refuses it: {_first_line(error)}.")
    else:
        why = f"what answers there is no MLflow registry ({_first_line(error)})"
    return StopError(Exit.UNREACHABLE, f"The registry at {uri} cannot be used: {why}.")


def _status(error: BaseException) -> int | None:
    """Find the HTTP status: MLflow's own errors carry it, a stranger's answer only in the text."""
    match = re.search(r"failed with error code (\d{3})", str(error))
    if match:
        return int(match[1])
    found = getattr(error, "get_http_status_code", None)
    return int(found()) if found and getattr(error, "json", None) else None


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:300].rstrip(".")


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    todo: list[object] = [error]
    while todo:
        current = todo.pop()
        if isinstance(current, BaseException) and id(current) not in seen:
            seen.add(id(current))
            yield current
            todo += [current.__cause__, current.__context__, getattr(current, "reason", None), *current.args]
