"""What the analyst makes of what pods show, where real ones would be hard to bring to it."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from modelvane.analysis.analyst import Analyst, Trial
from modelvane.analysis.figures import Measurement
from modelvane.analysis.pods import Answer, Pods
from modelvane.analysis.verdict import Check, Verdict, check
from modelvane.cluster.snapshot import read_pod
from modelvane.engine.memory import format_time
from modelvane.engine.state import Key, Pod
from modelvane.spec import Analysis
from modelvane_serving.metrics import Metrics

from tests.unit.operator.builder import NOW, workload

STEP = timedelta(seconds=10)


def test_a_container_that_restarted_is_noticed_though_it_has_counted_further(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of its 60 answers since, 6 are errors, where the one before had given 50 answers and no error."""
    trial = Trial(Key("ModelDeployment", "ns", "iris"), Analysis(), workload("2"), None, NOW)
    page = _page(50)

    async def get(self: Pods, pod: Pod, path: str, within: float) -> Answer:
        return Answer(200, page)

    monkeypatch.setattr(Pods, "get", get)

    async def story() -> Measurement | None:
        nonlocal page
        analyst = Analyst(lambda _: None)
        first = replace(trial, candidate=replace(trial.candidate, pods=(_pod("a", -60),)))
        assert await analyst.measure(first, NOW) is None
        page = _page(54, 6)
        second = replace(trial, candidate=replace(trial.candidate, pods=(_pod("b", 5),)))
        return await analyst.measure(second, NOW + STEP)

    measured = asyncio.run(story())
    assert measured is not None
    assert (measured.candidate.requests, measured.candidate.errors) == (60, 6)


def test_an_image_without_metrics_cannot_be_judged_and_the_message_says_where_they_were_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wanted = Analysis.model_validate({"maxErrorRate": "1%"})
    candidate = replace(workload("2"), pods=(_pod("a", -60),))
    trial = Trial(Key("ModelDeployment", "ns", "iris"), wanted, candidate, None, NOW)

    async def get(self: Pods, pod: Pod, path: str, within: float) -> Answer:
        return Answer(404, b"")

    monkeypatch.setattr(Pods, "get", get)

    async def story() -> Measurement | None:
        analyst = Analyst(lambda _: None)
        await analyst.measure(trial, NOW)
        return await analyst.measure(trial, NOW + STEP)

    measured = asyncio.run(story())
    assert measured is not None
    few = "0 of the 50 requests that minRequests asks for"
    said = f"{few}; no pod of version 2 shows its metrics: p: status 404 at /metrics"
    assert check(wanted, measured) == Check(Verdict.INCONCLUSIVE, said)


def _page(good: int, bad: int = 0) -> bytes:
    metrics = Metrics(model="iris", version="2", revision="v2")
    for code in [200] * good + [500] * bad:
        metrics.count(code, "/invocations")
        metrics.duration.observe(0.01)
    return metrics.render()


def _pod(container: str, ready_since: int) -> Pod:
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": format_time(NOW + timedelta(seconds=ready_since))}
    containers = [{"name": "sidecar", "containerID": "same"}, {"name": "serve", "containerID": container}]
    status = {"podIP": "127.0.0.1", "conditions": [ready], "containerStatuses": containers}
    return read_pod({"metadata": {"name": "p"}, "status": status})
