"""What a snapshot is made of, where an API server, a registry and pods answer at once."""

import asyncio
from datetime import datetime
from typing import Any, cast

import pytest
from modelvane.analysis.analyst import Analyst, Trial
from modelvane.cluster.kube import DEPLOYMENT, GATEWAY, MODEL_REGISTRY, POD, Kind, Kube
from modelvane.cluster.observe import Observer
from modelvane.engine.state import Found, Key, Observed
from modelvane.registry.poller import Poller
from modelvane.spec import ModelDeploymentSpec

from tests.unit.operator.builder import NOW
from tests.unit.operator.test_snapshot import deployment, pod

KEY = Key("ModelDeployment", "ns", "iris")
STARTED = NOW.isoformat()
CANDIDATE = {"version": "1", "revision": "v1-a", "since": STARTED, "step": 1, "stepStartedAt": STARTED}


class Cluster:
    """Has one revision's Deployment with its pod, or several, and notes what is asked for."""

    def __init__(self, revisions: int = 1) -> None:
        self.revisions = revisions
        self.asked: list[Kind] = []

    async def get(self, kind: Kind, _namespace: str, _name: str) -> dict[str, Any] | None:
        self.asked.append(kind)
        return {"spec": {"uri": "http://mlflow:5000"}} if kind == MODEL_REGISTRY else None

    async def list(self, kind: Kind, _namespace: str, _selector: str) -> list[dict[str, Any]]:
        owned = deployment(ownerReferences=[{"uid": "uid", "controller": True}])
        return {DEPLOYMENT: [owned] * self.revisions, POD: [pod()]}.get(kind, [])


class Registry:
    def follow(self, *_: object) -> tuple[Found, datetime]:
        return Found("1"), NOW


class Clock:
    """An analyst that notes at what time it is asked."""

    asked: datetime | None = None

    async def measure(self, _trial: Trial, now: datetime) -> None:
        self.asked = now

    def forget(self, _key: Key) -> None:
        """There is nothing to judge."""


def observe(cluster: Cluster, analyst: Clock, spec: dict[str, Any], status: dict[str, Any]) -> Observed:
    observer = Observer(cast(Kube, cluster), cast(Poller, Registry()), cast(Analyst, analyst))
    whole = {"model": {"name": "iris", "stage": "Production"}, **spec}
    metadata = {"name": "iris", "uid": "uid", "generation": 1, "resourceVersion": "1"}
    resource = {"metadata": metadata, "spec": whole, "status": status}
    return asyncio.run(observer.observe(KEY, resource, ModelDeploymentSpec.model_validate(whole), NOW))


def test_a_check_has_the_time_of_the_decision_that_it_is_made_for() -> None:
    analyst = Clock()
    seen = observe(Cluster(), analyst, {"analysis": {"maxErrorRate": "1%"}}, {"candidate": CANDIDATE})
    assert [w.revision for w in seen.workloads] == ["v1-a"]
    assert analyst.asked == NOW


@pytest.mark.parametrize(
    ("revisions", "status", "asked"), [(1, {}, False), (2, {}, True), (1, {"candidate": CANDIDATE}, True)]
)
def test_a_gateway_is_asked_what_it_can_while_there_may_be_a_candidate(
    revisions: int, status: dict[str, Any], asked: bool
) -> None:
    cluster = Cluster(revisions)
    spec = {"gateway": {"parentRefs": [{"name": "edge"}]}, "strategy": {"mirror": {"percent": 20, "duration": "1m"}}}
    seen = observe(cluster, Clock(), spec, status)
    assert (GATEWAY in cluster.asked) == asked
    assert seen.mirror_problem == ("Gateway ns/edge does not exist" if asked else None)
