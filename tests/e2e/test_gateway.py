"""Gateways: shares that are what they say, the story that is told meanwhile, and copies of requests."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from examples.demo.kube import run
from tests.e2e.models import Trait
from tests.e2e.scene import ENVOY, NAME, RELEASE, ROUTED, TRAEFIK, Scene, back_within, candidate

WEIGHTS = (5, 50, 85)
ENOUGH = 5000
"""Answers that each weight is judged by."""
MIRROR = {"percent": 100, "duration": "6s"}


@pytest.fixture
def informed_scene(empty_scene: Scene) -> Iterator[Scene]:
    """Give a scene whose operator may read the Gateways and GatewayClasses of the cluster."""
    scene = empty_scene
    watch = {"namespaces": [scene.namespace.name], "gateways": True}
    with contextlib.ExitStack() as after:
        # The right to read what belongs to the whole cluster is no part of the namespace, and does not go with it.
        after.callback(scene.namespace.helm, "uninstall", RELEASE, "--ignore-not-found")
        scene.install_operator(watch=watch)
        yield scene


def test_each_weight_is_what_clients_get_and_the_story_is_told_in_order(informed_scene: Scene) -> None:
    scene = informed_scene
    steps = [{"weight": weight, "pause": {}} for weight in WEIGHTS]
    # Traefik would answer each request to a route that mirrors with an error, and take the route all the same.
    strategy = {"type": "Canary", "steps": steps, "scaleDownDelay": "2s", "mirror": MIRROR}
    first = scene.serve(replicas=2, strategy=strategy, gateway=scene.routed(TRAEFIK))
    scene.start_traffic(TRAEFIK, rate=250)
    second = scene.add_version(Trait.BETTER)
    scene.promote(second)
    for weight in WEIGHTS:
        scene.until_weight(weight)
        scene.split_over(ENOUGH, second, weight)
        scene.annotate("resume", str(weight))
    scene.until_serves(second)
    scene.until_all_answers_are_by(second)
    scene.end_traffic(versions={first, second}, slack=ROUTED)
    each = [reason for _ in WEIGHTS for reason in ("TrafficShifted", "Paused", "Resumed")]
    assert _story(scene) == [
        *("VersionResolved", "RolloutStarted", "Promoted"),
        *("VersionResolved", "RolloutStarted", "CandidateReady", "MirrorSkipped", *each, "Promoted"),
    ]


def test_copies_of_requests_judge_a_candidate_before_anybody_sees_its_answers(informed_scene: Scene) -> None:
    scene = informed_scene
    steps = [{"weight": 50, "pause": {"duration": "2s"}}]
    scene.serve(
        strategy={"type": "Canary", "steps": steps, "scaleDownDelay": "2s", "mirror": MIRROR},
        analysis={"interval": "2s", "minRequests": 20, "failureLimit": 2, "maxErrorRate": "1%"},
        gateway=scene.routed(ENVOY),
    )
    scene.start_traffic(ENVOY)
    first = scene.status()["stable"]["version"]
    bad = scene.add_version(Trait.FAILS_UNDER_TRAFFIC)
    scene.promote(bad)
    verdict = scene.until_rejected(bad)
    assert verdict["reason"] == "AnalysisFailed"
    second = scene.add_version(Trait.BETTER)
    scene.promote(second)
    judged = scene.until_seen("it is judged by copies", lambda seen: _judged(seen).get("verdict") == "Passed")
    mirrored = candidate(judged)
    print(f"judged by copies: {mirrored['analysis']['message']}")
    assert mirrored["analysis"]["candidate"]["requests"] >= 20
    assert (mirrored["weight"], mirrored["mirrorPercent"], mirrored.get("step")) == (0, 100, None)
    scene.until_serves(second)
    scene.until_all_answers_are_by(second)
    # Nobody may have got an answer by the bad one, not even a failure: a copy's answer goes nowhere.
    history = scene.end_traffic(versions={first, second}, slack=ROUTED)
    assert bad not in {reply.version for reply in history.replies}
    back_within(history, verdict)
    story = _story(scene)
    assert story.index("Mirroring") < story.index("Rejected") < story.index("TrafficShifted")


def _judged(deployment: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = candidate(deployment).get("analysis", {})
    return found


def _story(scene: Scene) -> list[str]:
    """Read the reasons of the resource's events in the order in which kubectl lists them."""
    chosen = f"--field-selector=involvedObject.kind=ModelDeployment,involvedObject.name={NAME}"
    column = "--output=custom-columns=REASON:.reason"
    where = f"--namespace={scene.namespace.name}"
    return run(["kubectl", "get", "events", where, chosen, column, "--no-headers"]).split()
