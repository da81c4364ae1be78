"""What is judged by more than the requests that come: a quiet service, recorded inputs, and what Prometheus knows."""

from __future__ import annotations

import json
from typing import Any

from tests.cluster import prometheus
from tests.e2e.models import QUESTION, Trait
from tests.e2e.scene import NAME, Scene, candidate

CANARY = {"type": "Canary", "steps": [{"weight": 50, "pause": {"duration": "4s"}}], "scaleDownDelay": "2s"}


def analysis(**fields: Any) -> dict[str, Any]:
    return {"interval": "2s", "minRequests": 10, "failureLimit": 2, **fields}


def test_a_service_that_nobody_asks_is_judged_by_its_input_example(scene: Scene) -> None:
    scene.serve(strategy=CANARY, analysis=analysis(maxLatencyP95="200ms"))
    better = scene.add_version(Trait.BETTER)
    scene.promote(better)
    seen = scene.until("it waits for requests", lambda seen: candidate(seen).get("paused") == "Inconclusive")
    assert candidate(seen)["analysis"]["message"] == "0 of the 10 requests that minRequests asks for"
    scene.stays_for(3, "nobody asks", lambda seen: candidate(seen).get("paused") == "Inconclusive")
    scene.patch({"analysis": {"replay": True}})
    scene.until_serves(better)
    slow = scene.add_version(Trait.SLOW_UNDER_TRAFFIC)
    scene.promote(slow)
    rejection = scene.until_rejected(slow, seconds=90)
    assert rejection["reason"] == "AnalysisFailed"
    assert "p95" in rejection["message"]
    assert "is above maxLatencyP95 200ms" in rejection["message"]
    scene.until_serves(better)


def test_recorded_inputs_are_answered_by_both_before_any_traffic(scene: Scene) -> None:
    name = "recorded"
    wanted = analysis(predictions={"maxDifferent": "10%", "inputsFrom": {"configMapRef": {"name": name}}})
    scene.serve(strategy=CANARY, analysis=wanted)
    better = scene.add_version(Trait.BETTER)
    scene.promote(better)
    missing = f"ConfigMap {scene.namespace.name}/{name}, which analysis.predictions names, does not exist"
    scene.until(
        "it says what is missing", lambda seen: candidate(seen).get("predictions", {}).get("message") == missing
    )
    assert not candidate(scene.deployment()).get("weight")
    lines = "\n".join([json.dumps(QUESTION)] * 3)
    metadata = {"name": name, "namespace": scene.namespace.name}
    scene.namespace.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"inputs.jsonl": lines}}
    )
    rejection = scene.until_rejected(better)
    assert rejection["reason"] == "PredictionsDiffer"
    said = "3 of 3 predictions differ from stable's (100%), above maxDifferent 10%"
    assert f'{said}: input 1: "better" instead of "good"' in rejection["message"]


def test_what_prometheus_says_of_a_version_takes_it_back(scene: Scene) -> None:
    pods = prometheus.pods("served", {"serving.modelvane.dev/modeldeployment": NAME}, 8080)
    scene.namespace.apply(*prometheus.build(scene.namespace.name, [pods]))
    scene.namespace.kubectl("rollout", "status", "deployment/prometheus", "--timeout=60s", seconds=70)
    failed = 'sum(modelvane_requests_total{revision="{{candidate}}", code="500"}) or vector(0)'
    query = {"name": "failed", "query": failed, "max": 5}
    wanted = analysis(prometheus={"address": f"http://prometheus.{scene.namespace.name}.svc:9090", "queries": [query]})
    # Long enough for Prometheus to find the new pods and scrape them, on a busy machine too.
    steps = [{"weight": 50, "pause": {"duration": "20s"}}]
    scene.serve(strategy={**CANARY, "steps": steps}, analysis=wanted)
    scene.start_traffic()
    better = scene.add_version(Trait.BETTER)
    scene.promote(better)
    seen = scene.until("it is asked", lambda seen: bool(candidate(seen).get("analysis", {}).get("queries")))
    assert candidate(seen)["analysis"]["queries"] == [{"name": "failed", "value": "0"}]
    scene.until_serves(better)
    bad = scene.add_version(Trait.FAILS_UNDER_TRAFFIC)
    scene.promote(bad)
    rejection = scene.until_rejected(bad)
    assert rejection["reason"] == "AnalysisFailed"
    assert "query failed is" in rejection["message"]
    scene.until_all_answers_are_by(better)
    scene.load.stop()
