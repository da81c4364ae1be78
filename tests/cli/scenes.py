"""ModelDeployments to look at: the statuses are written by the operator's own code."""

from datetime import timedelta
from math import inf
from typing import Any

from modelvane.analysis.figures import Comparison, Figures, Measurement
from modelvane.analysis.verdict import check, compare, describe, describe_queries
from modelvane.engine.decide import decide
from modelvane.engine.memory import AnalysisSeen, HistoryEntry, PredictionsSeen
from modelvane.engine.state import Failure, Plan, Workload
from modelvane.engine.status import build_status
from modelvane.names import revision_labels
from modelvane.spec import ModelDeploymentSpec
from modelvane_cli.seen import Event, Seen, read_pods

from tests.unit.operator.builder import LONG_AGO, NOW, Builder, a_deployment

CANARY: dict[str, Any] = {
    "type": "Canary",
    "steps": [
        {"weight": 10, "pause": {"duration": "2m"}},
        {"weight": 25, "pause": {"duration": "5m"}},
        {"weight": 50, "pause": {}},
        {"weight": 100},
    ],
}
LIMITS = {
    "maxErrorRate": "1%",
    "prometheus": {"address": "http://prometheus:9090", "queries": [{"name": "conversion", "query": "c", "min": 0.2}]},
    "predictions": {"maxDifferent": "5%"},
}
BROKEN = Failure("ModelLoadFailed", "no module named xgboost", permanent=True)


def resource(builder: Builder, *, decided: bool = False) -> dict[str, Any]:
    """Return the ModelDeployment as the API server would; decided, the operator has just looked at it."""
    observed = builder.observed()
    plan = decide(observed, NOW) if decided else Plan(observed.memory, progress=_progress(builder))
    metadata = {"name": "iris", "namespace": "ml", "generation": 1, "creationTimestamp": "2026-01-01T09:00:00Z"}
    return {"metadata": metadata, "spec": builder.spec, "status": build_status(observed, plan, None, NOW)}


def seen(builder: Builder, *events: Event, decided: bool = False) -> Seen:
    """Return all that the tool would see of a cluster."""
    return Seen(resource(builder, decided=decided), read_pods(map_pods(builder.workloads)), events)


def map_pods(workloads: list[Workload]) -> list[dict[str, Any]]:
    """Return the pods of the workloads as the API server would."""
    return [_pod(workload, number) for workload in workloads for number in range(len(workload.pods))]


def at_rest() -> Builder:
    history = HistoryEntry(
        version="3",
        started_at=LONG_AGO - timedelta(minutes=6),
        finished_at=LONG_AGO,
        outcome="Promoted",
        message="in place of version 2",
    )
    return a_deployment().wants("3").serving("3").remembers(history=(history,)).but(namespace="ml")


def canary() -> Builder:
    """Return a Canary in its second step, analysed, with the version before last still warm."""
    builder = at_rest().with_spec(strategy=CANARY, analysis=LIMITS, replicas=4)
    builder.workloads.clear()
    builder.serving("3", ready=4, replicas=4).wants("4").rolling("4", replicas=1, ready=1, shifting=True)
    measured = Measurement(
        NOW - timedelta(seconds=14), NOW, figures(412, 1, 4), figures(1287, 1, 3), {"conversion": 0.31}, None
    )
    limits = ModelDeploymentSpec.model_validate(builder.spec).analysis
    assert limits
    assert limits.predictions
    found, compared = (
        check(limits, measured),
        compare(limits.predictions, Comparison(200, 3, "input 17", None)),
    )
    analysis = AnalysisSeen(
        since=measured.since,
        checked_at=NOW - timedelta(seconds=4),
        verdict="Passed",
        message=found.message,
        candidate=describe(measured.candidate),
        stable=describe(measured.stable),
        queries=describe_queries(measured),
    )
    return candidate(
        builder,
        since=NOW - timedelta(seconds=412),
        weight=25,
        replicas=1,
        message="step 2 of 4: weight 25 for 5m",
        step=2,
        steps=4,
        step_started_at=NOW - timedelta(seconds=108),
        waiting_since=None,
        failed_checks=1,
        analysis=analysis,
        predictions=PredictionsSeen(compared=200, different=3, message=compared.message),
    )


def figures(requests: int, errors: int, slow: int) -> Figures:
    """Return figures of a model that takes some milliseconds, but for a few answers."""
    buckets = (
        (0.002, 0),
        (0.005, requests - 5 * slow),
        (0.01, requests - 3 * slow),
        (0.025, requests),
        (inf, requests),
    )
    return Figures(requests, errors, buckets)


def candidate(builder: Builder, **changes: object) -> Builder:
    """Change fields of the candidate."""
    assert builder.memory.candidate
    return builder.remembers(candidate=builder.memory.candidate.model_copy(update=changes))


def stalled() -> Builder:
    return at_rest().wants("4").rejecting("4")


def event(seconds_ago: float, reason: str, message: str, *, warning: bool = False) -> Event:
    return Event(f"{NOW - timedelta(seconds=seconds_ago):%Y-%m-%dT%H:%M:%SZ}", warning, reason, message)


def _progress(builder: Builder) -> str | None:
    return f"rolling out version {builder.memory.candidate.version}" if builder.memory.candidate else None


def _pod(workload: Workload, number: int) -> dict[str, Any]:
    pod = workload.pods[number]
    metadata = {
        "name": f"iris-{workload.revision}-5f6c{number}",
        "labels": revision_labels("iris", workload.version, workload.revision),
        "creationTimestamp": "2026-01-01T11:59:00Z",
    }
    ready = {"type": "Ready", "status": "True" if pod.ready_since else "False"}
    if pod.ready_since:
        ready["lastTransitionTime"] = pod.ready_since.isoformat()
    container: dict[str, Any] = {"name": "serve", "ready": bool(pod.ready_since), "state": {"running": {}}}
    if pod.failure:
        said = f'{{"reason": "{pod.failure.reason}", "message": "{pod.failure.message}"}}'
        container["state"] = {"terminated": {"exitCode": 1, "message": said}}
    return {"metadata": metadata, "status": {"conditions": [ready], "containerStatuses": [container]}}
