"""`modelvane-serving serve`: load what was fetched, try it, and only then listen.

So a pod that is Ready has answered its own input example and the user's requests, whoever watches.
"""

import datetime
import gc
import importlib
import logging
import os
import socket
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from modelvane_serving import tracing
from modelvane_serving.app import App, Identity, Options
from modelvane_serving.checks.verification import SchemaCheck, read_schemas, verify_requests
from modelvane_serving.engines.loading import Choice, is_plain_flavor, load_engine
from modelvane_serving.fetched import FetchedModel
from modelvane_serving.formats.tables import Table
from modelvane_serving.freed_memory import keep_freed_memory
from modelvane_serving.input_example import read_example_table
from modelvane_serving.lanes import Admission, Cost, measure_cost
from modelvane_serving.metrics import Metrics
from modelvane_serving.model import Model, verify_input_example
from modelvane_serving.server import DrainingServer
from modelvane_serving.settings import ServeSettings
from modelvane_serving.signature import Signature, UnknownFormError, read_signature
from modelvane_serving.workers import Gate, run_workers

_log = logging.getLogger(__name__)

MLFLOW: Final = "MLflow"
# New objects between two looks of the collector; Python's own default is 700, ten requests.
GARBAGE_THRESHOLD: Final = 20_000


def serve(settings: ServeSettings, listener: socket.socket, fetched: FetchedModel) -> None:
    """Serve until SIGTERM."""
    keep_freed_memory()
    schemas = read_schemas(settings.verify_requests)
    load = load_mlflow_app if settings.runtime == MLFLOW else load_app
    if settings.workers == 1:
        _serve_one(load(settings, fetched)(schemas), settings, listener, None)
        return
    # Once for all workers, which then share its memory, where nothing in the model minds to be forked.
    shared = load(settings, fetched) if _can_be_forked(settings, fetched) else None
    gc.freeze()

    def work(gate: Gate) -> None:
        build = shared if shared is not None else load(settings, fetched)
        _serve_one(build(schemas), settings, listener, gate)

    run_workers(settings.workers, work)


# Verifies a loaded model and puts it behind HTTP.
Build = Callable[[list[SchemaCheck | None]], Any]


def load_app(settings: ServeSettings, fetched: FetchedModel) -> Build:
    """Load the model and prepare to serve it."""
    return app_of(load_model(settings, fetched), settings, fetched)


def load_model(settings: ServeSettings, fetched: FetchedModel) -> Model:
    """Load the model by the fastest engine that is right for it."""
    signature = _read_signature(fetched)
    choice = Choice(engine=settings.engine, threads=settings.threads, compile_seconds=settings.compile_seconds)
    engine = load_engine(fetched, signature, choice)
    return Model(engine, fetched.artifacts, signature, (settings.model_name, settings.model_version))


def app_of(model: Model, settings: ServeSettings, fetched: FetchedModel) -> Build:
    """Return what verifies a loaded model and puts it behind HTTP."""

    def build(schemas: list[SchemaCheck | None]) -> App:
        if settings.verify_input_example:
            verify_input_example(model, fetched.input_example)
        engine = model.engine
        app = App(
            model=model,
            identity=Identity(
                name=settings.model_name,
                version=settings.model_version,
                platform=f"mlflow_{fetched.mlmodel.flavor}",
                info={
                    **describe(settings, fetched, engine.name),
                    "engine_reason": engine.reason,
                    "engine_details": engine.details,
                },
            ),
            metrics=_metrics(settings, fetched, engine.name),
            options=Options(
                body_bytes=settings.max_body_bytes,
                batch_rows=settings.batch_rows,
                admission=Admission(
                    waiting=settings.waiting,
                    queue_seconds=settings.queue_seconds,
                    request_seconds=settings.request_seconds,
                ),
                cost=_measure(model, fetched),
                access_log_sample=settings.access_log_sample,
            ),
            input_example=fetched.input_example,
        )
        verify_requests(app, settings.verify_requests, schemas)
        return app

    return build


def load_mlflow_app(settings: ServeSettings, fetched: FetchedModel) -> Build:
    """Load the model as MLflow's own server does, and put that behind HTTP."""
    scoring: Any = importlib.import_module("modelvane_serving.mlflow_scoring")
    pyfunc = scoring.load_model(fetched.artifacts)

    def build(schemas: list[SchemaCheck | None]) -> Any:
        app = scoring.MlflowApp(
            model=pyfunc,
            info=describe(settings, fetched, scoring.ENGINE),
            metrics=_metrics(settings, fetched, scoring.ENGINE),
            input_example=fetched.input_example,
        )
        if settings.verify_input_example:
            scoring.verify_input_example(app, fetched.input_example)
        verify_requests(app, settings.verify_requests, schemas)
        return app

    return build


def describe(settings: ServeSettings, fetched: FetchedModel, engine: str) -> dict[str, Any]:
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
        "engine": engine,
        "environment": fetched.facts.get("environment"),
        "loaded_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        "revision": settings.revision,
    }


def _can_be_forked(settings: ServeSettings, fetched: FetchedModel) -> bool:
    """Tell whether the model has neither threads nor connections of its own: a flavor's object run by one thread."""
    return settings.runtime != MLFLOW and settings.threads == 1 and is_plain_flavor(fetched, settings.engine)


def _serve_one(app: Any, settings: ServeSettings, listener: socket.socket, gate: Gate | None) -> None:
    """Wait for the other workers if there are any, serve."""
    traced = None
    if tracing.is_configured(os.environ):
        app = traced = tracing.TracedApp(
            app, model=settings.model_name, version=settings.model_version, revision=settings.revision
        )
    server = DrainingServer(app, settings, parent_pipe=gate.start if gate is not None else None)
    if gate is not None:
        gate.wait()
    # What is there now stays, and what a request leaves behind is few cycles: the collector need not look so often.
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)
    server.run(sockets=[listener])
    if traced is not None:
        traced.close()


def _read_signature(fetched: FetchedModel) -> Signature | None:
    """Read the signature; MLflow deals with one of a form that is not known here."""
    if not fetched.mlmodel.signature:
        return None
    try:
        return read_signature(fetched.mlmodel.signature)
    except UnknownFormError as error:
        _log.warning("the signature has a form that is not known here", extra={"fields": {"error": str(error)}})
        return None


def _metrics(settings: ServeSettings, fetched: FetchedModel, engine: str) -> Metrics:
    metrics = Metrics(model=settings.model_name, version=settings.model_version, revision=settings.revision)
    metrics.describe_model(run_id=fetched.facts.get("run_id") or "", digest=fetched.digest, engine=engine)
    return metrics


def _measure(model: Model, fetched: FetchedModel) -> Cost | None:
    """Time a model whose requests may share a call; None for one that is called for each."""
    engine = model.engine
    plan = engine.plan
    if not engine.row_wise or plan is None:
        return None
    if not plan.is_numeric:
        # Nothing is known of its texts, so it is not held to be quick.
        return Cost(fixed=1.0, row=0.0)
    example = read_example_table(fetched.mlmodel, fetched.artifacts, plan)
    row = np.zeros((1, len(plan.names))) if example is None or example.matrix is None else example.matrix[:1]

    def run(rows: int) -> None:
        engine.predict(Table(rows=rows, matrix=np.repeat(row, rows, axis=0)))

    try:
        return measure_cost(run)
    except Exception:
        # Zeros need not mean anything to it; its requests will.
        return Cost(fixed=1.0, row=0.0)
