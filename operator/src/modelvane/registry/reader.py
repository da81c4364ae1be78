"""pointer -> Found, Absent, NotReady or Unreachable. The only module that knows MLflow; it is synchronous.

Being unable to read is never the same as there being nothing: a listing that omits a model, a gateway's own 404 and an
empty 200 from a proxy all look like "no such model" at first sight, so an absence counts only when the registry says
it in its own words about exactly that model.
"""

import os
import random
import re
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from mlflow.entities.model_registry import ModelVersionTag
from mlflow.exceptions import RestException
from mlflow.store.model_registry.rest_store import RestStore
from mlflow.utils.rest_utils import MlflowHostCreds, http_request
from mlflow.utils.workspace_context import ServerWorkspaceContext

from modelvane.engine.state import Absent, Found, NotReady, Resolution, Unreachable
from modelvane.registry.trouble import REQUEST_TIMEOUT, UnreachableError, explain, unexpected
from modelvane.spec import ModelPointer

PAGE = 1000
LONGEST_FILTER = 3000
"""Characters of a search filter that fit into a URL everywhere on the way."""
BUDGET = 20
"""Seconds after which a reading begins no closer look. Enough is left for one that was just begun."""

_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": str(REQUEST_TIMEOUT),
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
_REASONS_OF_ONE_MODEL = ("Unauthorized", "ServerError")
"""What a registry may say about one model while it has others to show. All else is about the registry."""
_environment_lock = threading.Lock()


class Model(Protocol):
    """A registered model as MLflow describes it."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def aliases(self) -> Mapping[str, object]:
        """The version each alias names."""

    @property
    def latest_versions(self) -> Collection[Any]:
        """The newest version of each stage."""


class Store(Protocol):
    """All that is asked of a registry: MLflow's REST store and its client both answer it, in types of MLflow's own."""

    def search_registered_models(
        self, filter_string: str | None = None, max_results: int = PAGE, *, page_token: str | None = None
    ) -> Any:
        """List models, a page at a time."""

    def get_registered_model(self, name: str) -> Any:
        """Read one model."""

    def get_model_version(self, name: str, version: str) -> Any:
        """Read one version."""

    def set_model_version_tag(self, name: str, version: str, *tag: Any) -> Any:
        """Set a tag on a version: the store takes one object, the client a key and a value."""


@dataclass(frozen=True)
class Access:
    """How to reach one registry. Held apart from the process environment, which all registries share."""

    uri: str
    env: Mapping[str, str] = field(repr=False)
    ca_path: str | None = None
    workspace: str | None = None

    @property
    def is_http(self) -> bool:
        """Say whether it is an MLflow server, and not a hosted registry that a plug-in of MLflow reaches."""
        return self.uri.startswith(("http://", "https://"))


def configure() -> None:
    """Tell MLflow's client to give up early: the poller does the waiting, and a dead registry must hold no thread."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)


class Reader:
    """Reads one registry."""

    def __init__(self, access: Access, store: Store | None = None) -> None:
        self._access = access
        self._store = store or _open(access)
        self._looked_at: set[ModelPointer] = set()
        self._doubt: ModelPointer | None = None
        self._end = 0.0

    def read(
        self, wanted: Collection[ModelPointer], known: Mapping[ModelPointer, Resolution]
    ) -> dict[ModelPointer, Resolution]:
        """Resolve every pointer with one search, and look closer only where that leaves a doubt.

        What there was no time to look at is left out.
        """
        self._end = time.monotonic() + BUDGET
        with _explained(self._access.uri), self._context():
            names = {pointer.name for pointer in wanted if pointer.version is None}
            listed = _list(self._store, names)
            doubts = [pointer for pointer in wanted if isinstance(known.get(pointer), Unreachable)]
            self._doubt = random.choice(doubts) if doubts else None  # noqa: S311 - no secret
            # In another order each time, so that it is not always the same ones that there is no time for.
            found = ((p, self._resolve(p, listed, known.get(p))) for p in random.sample(list(wanted), len(wanted)))
            read = {pointer: resolution for pointer, resolution in found if resolution is not None}
            return {**read, **self._look_again(read)}

    def set_tag(self, model: str, version: str, key: str, value: str) -> bool:
        """Set a tag on a version, and say whether there still is such a version."""
        tag = (ModelVersionTag(key, value),) if self._access.is_http else (key, value)  # type: ignore[no-untyped-call]
        with _explained(self._access.uri), self._context():
            try:
                self._store.set_model_version_tag(model, version, *tag)
            except RestException as error:
                if _says_missing(error):
                    return False
                raise
        return True

    def server_version(self) -> str | None:
        """Ask an MLflow server for its version; a hosted registry has none."""
        if not self._access.is_http:
            return None
        with _explained(self._access.uri), self._context():
            response = http_request(host_creds(self._access), "/version", "GET")  # type: ignore[no-untyped-call]
            text = str(response.text).strip()
            return text if response.status_code == 200 and re.fullmatch(r"[\w.+-]{1,40}", text) else None

    def _resolve(
        self, pointer: ModelPointer, listed: Mapping[str, Model], known: Resolution | None
    ) -> Resolution | None:
        if pointer.version is not None:
            # A version never changes into another, so once found it is only looked for again now and then.
            if isinstance(known, Found):
                return known
            self._looked_at.add(pointer)
            fixed = pointer.version
            return self._closer(pointer, known, lambda: self._find_version(pointer, fixed))
        seen = listed.get(pointer.name)
        resolution = resolve(pointer, seen) if seen else Absent(f"{pointer} does not exist")
        if isinstance(resolution, Found):
            if isinstance(known, Found) and known.version == resolution.version:
                return known
            if seen is not None and _entry(seen, resolution.version) is None:
                return self._closer(pointer, known, lambda: self._find_version(pointer, resolution.version))
        if not isinstance(resolution, Absent):
            return resolution
        if self._access.is_http and isinstance(known, Absent):
            # Confirmed when it went missing. Hosted registries may list no aliases at all.
            return resolution if seen else known
        return self._closer(pointer, known, lambda: self._confirm(pointer))

    def _closer(
        self, pointer: ModelPointer, known: Resolution | None, look: Callable[[], Resolution]
    ) -> Resolution | None:
        """Look closer at one pointer. What is refused or fails for it alone leaves the others as they are.

        Of those that failed before, one is tried in a reading: there may be many, and a listing that has them again
        tells it sooner.
        """
        if isinstance(known, Unreachable) and pointer != self._doubt:
            return known
        if time.monotonic() > self._end:
            return None
        try:
            with _explained(self._access.uri):
                return look()
        except UnreachableError as error:
            if error.why.reason not in _REASONS_OF_ONE_MODEL:
                raise
            return error.why

    def _look_again(self, read: Mapping[ModelPointer, Resolution]) -> dict[ModelPointer, Resolution]:
        """Look whether a fixed version is still there: one in a reading, and each but once in the life of a reader.

        A reader lives too short to see many, so none may have its turn before the others in each of them.
        """
        fixed = [(p, p.version) for p, known in read.items() if p.version is not None and isinstance(known, Found)]
        left = [(pointer, number) for pointer, number in fixed if pointer not in self._looked_at]
        if not left:
            return {}
        pointer, number = random.choice(left)  # noqa: S311 - no secret
        self._looked_at.add(pointer)
        seen = self._closer(pointer, read[pointer], lambda: self._find_version(pointer, number))
        return {} if seen is None or isinstance(seen, Unreachable) else {pointer: seen}

    def _confirm(self, pointer: ModelPointer) -> Resolution:
        try:
            model = self._store.get_registered_model(pointer.name)
        except RestException as error:
            if _says_missing(error):
                return Absent(f"registered model {pointer.name} does not exist")
            raise
        if model.name != pointer.name:
            raise unexpected(self._access.uri)
        return resolve(pointer, model)

    def _find_version(self, pointer: ModelPointer, number: str) -> Resolution:
        """Read one version: a fixed one, or one that an alias names and the listing does not describe."""
        try:
            version = self._store.get_model_version(pointer.name, number)
        except RestException as error:
            if _says_missing(error):
                return Absent(f"{pointer} does not exist")
            raise
        if version.name != pointer.name or str(version.version) != number:
            raise unexpected(self._access.uri)
        return _ready_or_not(version)

    @contextmanager
    def _context(self) -> Iterator[None]:
        if self._access.is_http:
            with ServerWorkspaceContext(self._access.workspace):
                yield
            return
        # A plug-in reads its credentials from the process environment, so these registries take turns.
        with _environment_lock:
            before = {name: os.environ.get(name) for name in self._access.env}
            os.environ.update(self._access.env)
            try:
                yield
            finally:
                # Only these: other threads read their own settings there at the same time.
                for name, value in before.items():
                    if value is None:
                        os.environ.pop(name, None)
                    else:
                        os.environ[name] = value


def resolve(pointer: ModelPointer, model: Model) -> Resolution:
    """Follow a stage or an alias within what the registry says about the model."""
    if pointer.alias is not None:
        version = dict(model.aliases).get(pointer.alias)
        if version is None:
            return Absent(f"model {pointer.name} has no alias {pointer.alias}")
        entry = _entry(model, str(version))
        return _ready_or_not(entry) if entry else Found(str(version))
    # Several versions may be in one stage; MLflow's own answer is the highest number, not the last one moved.
    staged = [v for v in model.latest_versions if v.current_stage == pointer.stage]
    if not staged:
        return Absent(f"model {pointer.name} has no version in stage {pointer.stage}")
    return _ready_or_not(max(staged, key=lambda v: int(v.version)))


def _entry(model: Model, number: str) -> Any:
    return next((v for v in model.latest_versions if str(v.version) == number), None)


def _ready_or_not(version: Any) -> Resolution:
    number = str(version.version)
    if version.status not in (None, "READY"):
        return NotReady(number, f"version {number} of model {version.name} is {version.status}, not READY")
    return Found(number, version.run_id or None)


def _list(store: Store, names: Collection[str]) -> dict[str, Model]:
    if not names:
        store.search_registered_models(max_results=1)  # Nobody asks for a model, but the registry should be there.
        return {}
    text = "name IN (" + ",".join(f"'{name}'" for name in sorted(names)) + ")"
    quotable = not any(set(name) & set("'\"\\") for name in names)
    chosen = text if quotable and len(text) <= LONGEST_FILTER else None
    found: dict[str, Model] = {}
    token: str | None = None
    while True:
        page = store.search_registered_models(chosen, PAGE, page_token=token)
        found.update({model.name: model for model in page if model.name in names})
        token = page.token
        if not token or len(found) == len(names):
            return found


def _open(access: Access) -> Store:
    if access.is_http:
        store: Store = RestStore(lambda: host_creds(access))  # type: ignore[no-untyped-call]
        return store
    from mlflow.tracking.client import MlflowClient  # noqa: PLC0415 - heavy, and only hosted registries need it

    client: Store = MlflowClient(tracking_uri=access.uri, registry_uri=access.uri)
    return client


def host_creds(access: Access) -> MlflowHostCreds:
    """Return what MLflow's HTTP client needs to reach a server."""
    env = access.env
    return MlflowHostCreds(  # type: ignore[no-untyped-call]
        host=access.uri,
        username=env.get("MLFLOW_TRACKING_USERNAME"),
        password=env.get("MLFLOW_TRACKING_PASSWORD"),
        token=env.get("MLFLOW_TRACKING_TOKEN"),
        auth=env.get("MLFLOW_TRACKING_AUTH"),
        aws_sigv4=env.get("MLFLOW_TRACKING_AWS_SIGV4", "").lower() == "true",
        ignore_tls_verification=env.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() == "true",
        server_cert_path=access.ca_path,
    )


def _says_missing(error: RestException) -> bool:
    """Say whether MLflow itself, and no proxy before it, says that there is no such thing."""
    return bool(error.json.get("error_code") == "RESOURCE_DOES_NOT_EXIST")


@contextmanager
def _explained(uri: str) -> Iterator[None]:
    """Turn whatever a client may raise into one sentence that does not change from one try to the next."""
    try:
        yield
    except UnreachableError:
        raise
    except Exception as error:
        raise explain(error, uri) from error
