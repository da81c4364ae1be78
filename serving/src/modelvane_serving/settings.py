"""The environment of a serving pod, read once into frozen values.

Everything comes by environment because that is what the operator writes into the pod. A value that cannot be used ends
the program with `InvalidSettings` before any work is done.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modelvane_serving.cgroup import threads_of_each, worker_count
from modelvane_serving.checks.expectations import VARIABLE, VerificationRequest, read_requests
from modelvane_serving.failure import INVALID_SETTINGS, StartError

DEFAULT_MAX_BODY_BYTES: Final = 64 * 1024 * 1024
DEFAULT_CACHE_MAX_BYTES: Final = 10 * 1024**3


@dataclass(frozen=True, kw_only=True)
class FetchSettings:
    """What `fetch` needs to know. Where the registry is, and as whom, is MLflow's own environment."""

    model_name: str
    model_version: str
    model_dir: Path
    registry_uri: str
    stable_model_uri: str | None
    environment: str | None
    cache_dir: Path | None
    cache_max_bytes: int
    max_model_bytes: int | None


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """What `serve` needs to know."""

    model_name: str
    model_version: str
    model_dir: Path
    model_stage: str | None
    model_alias: str | None
    revision: str
    host: str | None
    port: int
    workers: int
    threads: int
    runtime: str
    engine: str
    compile_seconds: float
    batch_rows: int
    waiting: int
    queue_seconds: float
    request_seconds: float
    receive_seconds: float
    access_log_sample: float
    tls: tuple[Path, Path] | None
    verify_input_example: bool
    verify_signature: bool
    verify_requests: tuple[VerificationRequest, ...]
    drain_seconds: float
    max_body_bytes: int


def read_fetch_settings(env: Mapping[str, str]) -> FetchSettings:
    """Read the environment of the init container."""
    return FetchSettings(
        model_name=_required(env, "MODELVANE_MODEL_NAME"),
        model_version=_required(env, "MODELVANE_MODEL_VERSION"),
        model_dir=Path(env.get("MODELVANE_MODEL_DIR") or "/model"),
        registry_uri=env.get("MLFLOW_REGISTRY_URI") or _required(env, "MLFLOW_TRACKING_URI"),
        stable_model_uri=_model_uri(env, "MODELVANE_STABLE_MODEL_URI"),
        # None: a limit that fits every model is no limit, and the room there is is looked at anyway.
        max_model_bytes=_integer(env, "MODELVANE_MAX_MODEL_BYTES", default=0, low=1, high=2**60) or None,
        cache_max_bytes=_integer(env, "MODELVANE_CACHE_MAX_BYTES", default=DEFAULT_CACHE_MAX_BYTES, low=1, high=2**60),
        # What a custom image has installed is not seen from here.
        environment=None
        if env.get("MODELVANE_RUNTIME") == "Custom"
        else _choice(env, "MODELVANE_ENVIRONMENT", ("Image", "FromModel")),
        cache_dir=Path(env["MODELVANE_CACHE_DIR"]) if env.get("MODELVANE_CACHE_DIR") else None,
    )


def read_serve_settings(env: Mapping[str, str]) -> ServeSettings:
    """Read the environment of the main container."""
    workers = _integer(env, "MODELVANE_WORKERS", default=worker_count(), low=1, high=64)
    return ServeSettings(
        model_name=_required(env, "MODELVANE_MODEL_NAME"),
        model_version=_token("MODELVANE_MODEL_VERSION", _required(env, "MODELVANE_MODEL_VERSION")),
        model_dir=Path(env.get("MODELVANE_MODEL_DIR") or "/model"),
        model_stage=env.get("MODELVANE_MODEL_STAGE") or None,
        model_alias=env.get("MODELVANE_MODEL_ALIAS") or None,
        revision=_token("MODELVANE_REVISION", env.get("MODELVANE_REVISION") or ""),
        host=env.get("MODELVANE_HOST") or None,
        port=_integer(env, "MODELVANE_PORT", default=8080, low=0, high=65535),
        workers=workers,
        threads=_integer(env, "MODELVANE_THREADS", default=threads_of_each(workers), low=1, high=1024),
        runtime=_choice(env, "MODELVANE_RUNTIME", ("Modelvane", "MLflow")),
        engine=_choice(env, "MODELVANE_ENGINE", ("Auto", "Native", "Pyfunc")),
        compile_seconds=_seconds(env, "MODELVANE_COMPILE_SECONDS", default=60.0),
        batch_rows=_integer(env, "MODELVANE_BATCH_ROWS", default=4096, low=1, high=2**20),
        waiting=_integer(env, "MODELVANE_MAX_WAITING", default=1024, low=1, high=2**20),
        queue_seconds=_seconds(env, "MODELVANE_QUEUE_SECONDS", default=0.5),
        request_seconds=_seconds(env, "MODELVANE_REQUEST_SECONDS", default=60.0),
        receive_seconds=_seconds(env, "MODELVANE_RECEIVE_SECONDS", default=30.0),
        access_log_sample=_fraction(env, "MODELVANE_ACCESS_LOG_SAMPLE", default=0.0),
        tls=_tls(env),
        verify_input_example=_boolean(env, "MODELVANE_VERIFY_INPUT_EXAMPLE", default=True),
        verify_signature=_choice(env, "MODELVANE_VERIFY_SIGNATURE", ("Compatible", "Ignore")) == "Compatible",
        verify_requests=read_requests(env.get(VARIABLE)),
        drain_seconds=_seconds(env, "MODELVANE_DRAIN_SECONDS", default=5.0),
        max_body_bytes=_integer(env, "MODELVANE_MAX_BODY_BYTES", default=DEFAULT_MAX_BODY_BYTES, low=1, high=2**40),
    )


def _tls(env: Mapping[str, str]) -> tuple[Path, Path] | None:
    """Read the certificate's file and the key's: both or neither, and both there."""
    names = ("MODELVANE_TLS_CERT", "MODELVANE_TLS_KEY")
    if not any(env.get(name) for name in names):
        return None
    cert, key = (Path(_required(env, name)) for name in names)
    for name, path in zip(names, (cert, key), strict=True):
        if not path.is_file():
            raise StartError(INVALID_SETTINGS, f"{name} must be a file, there is none at {path}")
    return cert, key


def _required(env: Mapping[str, str], name: str) -> str:
    value = env.get(name)
    if not value:
        raise StartError(INVALID_SETTINGS, f"{name} is not set")
    return value


def _token(name: str, value: str) -> str:
    """Check a value that goes into a header of every answer."""
    if not re.fullmatch(r"[A-Za-z0-9._-]*", value):
        raise StartError(INVALID_SETTINGS, f"{name} may have letters, digits, '.', '_' and '-', got {value!r}")
    return value


def _integer(env: Mapping[str, str], name: str, *, default: int, low: int, high: int) -> int:
    text = env.get(name)
    if not text:
        return default
    try:
        value = int(text)
    except ValueError:
        raise StartError(INVALID_SETTINGS, f"{name} must be a whole number, got {text!r}") from None
    if not low <= value <= high:
        raise StartError(INVALID_SETTINGS, f"{name} must be between {low} and {high}, got {value}")
    return value


def _seconds(env: Mapping[str, str], name: str, *, default: float) -> float:
    text = env.get(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        raise StartError(INVALID_SETTINGS, f"{name} must be a number of seconds, got {text!r}") from None
    if not 0 <= value <= 3600:
        raise StartError(INVALID_SETTINGS, f"{name} must be between 0 and 3600 seconds, got {text}")
    return value


def _fraction(env: Mapping[str, str], name: str, *, default: float) -> float:
    text = env.get(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise StartError(INVALID_SETTINGS, f"{name} must be a number from 0 to 1, got {text!r}")
    return value


def _choice(env: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    """Read one of several words; the first is the default."""
    value = env.get(name) or choices[0]
    if value not in choices:
        raise StartError(INVALID_SETTINGS, f"{name} must be {' or '.join(choices)}, got {value!r}")
    return value


def _model_uri(env: Mapping[str, str], name: str) -> str | None:
    uri = env.get(name)
    if uri and not re.fullmatch(r"models:/[^/]+/[0-9]+", uri):
        raise StartError(INVALID_SETTINGS, f"{name} must be models:/NAME/VERSION, got {uri!r}")
    return uri or None


def _boolean(env: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = (env.get(name) or "").lower()
    if not text:
        return default
    if text not in {"true", "false"}:
        raise StartError(INVALID_SETTINGS, f"{name} must be true or false, got {text!r}")
    return text == "true"
