"""`modelvane-serving serve`: load what was fetched, try it, and only then listen.

So a pod that is Ready has answered its own input example and the user's requests, whoever watches.
"""

import datetime
import socket
from typing import Any

from modelvane_serving.app import App, Identity
from modelvane_serving.fetched import FetchedModel
from modelvane_serving.metrics import Metrics
from modelvane_serving.model import ENGINE, load_model, verify_input_example
from modelvane_serving.server import DrainingServer
from modelvane_serving.settings import ServeSettings
from modelvane_serving.verification import read_schemas, verify_requests
from modelvane_serving.workers import Gate, run_workers


def serve(settings: ServeSettings, listener: socket.socket, fetched: FetchedModel) -> None:
    """Serve until SIGTERM."""
    if settings.workers == 1:
        _serve_one(settings, listener, fetched, None)
    else:
        run_workers(settings.workers, lambda gate: _serve_one(settings, listener, fetched, gate))


def _serve_one(settings: ServeSettings, listener: socket.socket, fetched: FetchedModel, gate: Gate | None) -> None:
    """Load, verify, wait for the other workers if there are any, serve."""
    schemas = read_schemas(settings.verify_requests)
    model = load_model(fetched.artifacts)
    if settings.verify_input_example:
        verify_input_example(model, fetched.input_example)
    metrics = Metrics(model=settings.model_name, version=settings.model_version, revision=settings.revision)
    metrics.describe_model(run_id=fetched.facts.get("run_id") or "", digest=fetched.digest, engine=ENGINE)
    identity = Identity(
        name=settings.model_name,
        version=settings.model_version,
        platform=f"mlflow_{fetched.mlmodel.flavor}",
        info=_describe(settings, fetched),
    )
    app = App(
        model=model,
        identity=identity,
        metrics=metrics,
        max_body_bytes=settings.max_body_bytes,
        input_example=fetched.input_example,
    )
    verify_requests(app, settings.verify_requests, schemas)
    server = DrainingServer(
        app,
        drain_seconds=settings.drain_seconds,
        headers={"Modelvane-Model-Version": settings.model_version, "Modelvane-Revision": settings.revision},
        parent_pipe=gate.start if gate is not None else None,
    )
    if gate is not None:
        gate.wait()
    server.run(sockets=[listener])


def _describe(settings: ServeSettings, fetched: FetchedModel) -> dict[str, Any]:
    """Build the answer of /model-info: what is live, as a fact that can be read."""
    return {
        "model_name": settings.model_name,
        "stage": settings.model_stage,
        "alias": settings.model_alias,
        "version": settings.model_version,
        "run_id": fetched.facts.get("run_id"),
        "model_uri": fetched.facts.get("model_uri"),
        "digest": fetched.digest,
        "signature": fetched.mlmodel.signature,
        "flavor": fetched.mlmodel.flavor,
        "engine": ENGINE,
        "loaded_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        "revision": settings.revision,
    }
