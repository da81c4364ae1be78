"""`modelvane-serving serve`: check what was fetched, load it, try it, and only then listen.

So a pod that is Ready has answered its own input example, whoever watches.
"""

import datetime
import json
import socket
from typing import Any

from modelvane_serving.app import App, Identity
from modelvane_serving.failure import INVALID_MODEL, INVALID_SETTINGS, StartError
from modelvane_serving.manifest import ARTIFACTS_DIR, FACTS_FILE, verify_manifest
from modelvane_serving.metrics import Metrics
from modelvane_serving.mlmodel import MlModel, read_mlmodel
from modelvane_serving.model import ENGINE, load_model, verify_input_example
from modelvane_serving.server import DrainingServer
from modelvane_serving.settings import ServeSettings
from modelvane_serving.sockets import bind
from modelvane_serving.workers import Gate, run_workers


def serve(settings: ServeSettings) -> None:
    """Serve until SIGTERM."""
    try:
        listener = bind(settings.host, settings.port)
    except OSError as error:
        raise StartError(INVALID_SETTINGS, f"port {settings.port} cannot be bound: {error.strerror}") from None
    digest = verify_manifest(settings.model_dir)
    mlmodel = read_mlmodel(settings.model_dir / ARTIFACTS_DIR)
    facts = {**_read_facts(settings), "digest": digest}
    if settings.workers == 1:
        _serve_one(settings, listener, mlmodel, facts, None)
    else:
        run_workers(settings.workers, lambda gate: _serve_one(settings, listener, mlmodel, facts, gate))


def _read_facts(settings: ServeSettings) -> dict[str, Any]:
    try:
        facts: dict[str, Any] = json.loads((settings.model_dir / FACTS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StartError(INVALID_MODEL, f"{FACTS_FILE} cannot be read: {type(error).__name__}") from None
    return facts


def _serve_one(
    settings: ServeSettings, listener: socket.socket, mlmodel: MlModel, facts: dict[str, Any], gate: Gate | None
) -> None:
    """Load, verify, wait for the other workers, serve."""
    artifacts = settings.model_dir / ARTIFACTS_DIR
    model = load_model(artifacts)
    if settings.verify_input_example:
        verify_input_example(model, artifacts, mlmodel)
    metrics = Metrics(model=settings.model_name, version=settings.model_version, revision=settings.revision)
    metrics.describe_model(run_id=facts.get("run_id") or "", digest=facts["digest"], engine=ENGINE)
    info = {
        "model_name": settings.model_name,
        "stage": settings.model_stage,
        "alias": settings.model_alias,
        "version": settings.model_version,
        "run_id": facts.get("run_id"),
        "model_uri": facts.get("model_uri"),
        "digest": facts["digest"],
        "signature": mlmodel.signature,
        "flavor": mlmodel.flavor,
        "engine": ENGINE,
        "loaded_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        "revision": settings.revision,
    }
    identity = Identity(
        name=settings.model_name,
        version=settings.model_version,
        platform=f"mlflow_{mlmodel.flavor}",
        info=info,
    )
    app = App(model=model, identity=identity, metrics=metrics, max_body_bytes=settings.max_body_bytes)
    server = DrainingServer(
        app,
        drain_seconds=settings.drain_seconds,
        headers={"Modelvane-Model-Version": settings.model_version, "Modelvane-Revision": settings.revision},
        parent_pipe=gate.start if gate is not None else None,
    )
    if gate is not None:
        gate.wait()
    server.run(sockets=[listener])
