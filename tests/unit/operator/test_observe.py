"""What a snapshot is made of, where an API server, a registry and pods answer at once."""

import asyncio
from datetime import datetime
from typing import Any, cast

from modelvane.analysis.analyst import Analyst, Trial
from modelvane.cluster.kube import DEPLOYMENT, MODEL_REGISTRY, POD, Kind, Kube
from modelvane.cluster.observe import Observer
from modelvane.engine.state import Found, Key
from modelvane.registry.poller import Poller
from modelvane.spec import ModelDeploymentSpec

from tests.unit.operator.builder import NOW
from tests.unit.operator.test_snapshot import deployment, pod

KEY = Key("ModelDeployment", "ns", "iris")


class Cluster:
    """Has one revision's Deployment with its pod."""

    async def get(self, kind: Kind, _namespace: str, _name: str) -> dict[str, Any] | None:
        return {"spec": {"uri": "http://mlflow:5000"}} if kind == MODEL_REGISTRY else None

    async def list(self, kind: Kind, _namespace: str, _selector: str) -> list[dict[str, Any]]:
        owned = deployment(ownerReferences=[{"uid": "uid", "controller": True}])
        return {DEPLOYMENT: [owned], POD: [pod()]}.get(kind, [])


class Registry:
    def follow(self, *_: object) -> tuple[Found, datetime]:
        return Found("1"), NOW


class Clock:
    """An analyst that notes at what time it is asked."""

    asked: datetime | None = None

    async def measure(self, _trial: Trial, now: datetime) -> None:
        self.asked = now


def test_a_check_has_the_time_of_the_decision_that_it_is_made_for() -> None:
    analyst = Clock()
    observer = Observer(cast(Kube, Cluster()), cast(Poller, Registry()), cast(Analyst, analyst))
    raw = {"model": {"name": "iris", "stage": "Production"}, "analysis": {"maxErrorRate": "1%"}}
    started = NOW.isoformat()
    candidate = {"version": "1", "revision": "v1-a", "since": started, "step": 1, "stepStartedAt": started}
    resource = {
        "metadata": {"name": "iris", "uid": "uid", "generation": 1, "resourceVersion": "1"},
        "spec": raw,
        "status": {"candidate": candidate},
    }
    seen = asyncio.run(observer.observe(KEY, resource, ModelDeploymentSpec.model_validate(raw), NOW))
    assert [w.revision for w in seen.workloads] == ["v1-a"]
    assert analyst.asked == NOW
