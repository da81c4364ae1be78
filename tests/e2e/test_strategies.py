"""Each strategy promotes a version and takes one back while requests come, old connections and new ones."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.models import Trait
from tests.e2e.scene import ROUTED, TRAEFIK, Gateway, Scene, back_within, candidate, rejected

STEPS = [{"weight": 20, "pause": {"duration": "2s"}}, {"weight": 50}]
ANALYSIS = {"interval": "2s", "minRequests": 20, "failureLimit": 2, "maxErrorRate": "1%"}
# A strategy, its analysis, and the trait that makes it take a version back.
WALKS: tuple[tuple[dict[str, Any], dict[str, Any] | None, Trait], ...] = (
    ({"type": "RollingUpdate"}, ANALYSIS, Trait.FAILS_UNDER_TRAFFIC),
    ({"type": "Canary", "steps": STEPS}, ANALYSIS, Trait.FAILS_UNDER_TRAFFIC),
    ({"type": "BlueGreen"}, ANALYSIS, Trait.FAILS_UNDER_TRAFFIC),
    ({"type": "BlueGreen"}, None, Trait.CANNOT_LOAD),
    ({"type": "RollingUpdate"}, None, Trait.CANNOT_LOAD),
)


@pytest.mark.parametrize("gateway", [None, TRAEFIK], ids=["service", "gateway"])
def test_each_strategy_promotes_and_takes_back(scene: Scene, gateway: Gateway | None) -> None:
    routed = {} if gateway is None else {"gateway": scene.routed(gateway)}
    good = {scene.serve(replicas=2, **routed)}
    scene.start_traffic(gateway)
    verdicts = []
    for strategy, analysis, trait in WALKS:
        # A merge patch leaves what it does not name: the steps of the strategy before must go.
        scene.patch({"strategy": {"steps": None, **strategy}, "analysis": analysis})
        better = scene.add_version(Trait.BETTER)
        scene.promote(better)
        scene.until_serves(better)
        good.add(better)
        bad = scene.add_version(trait)
        scene.promote(bad)
        verdicts.append(scene.until_rejected(bad))
        seen = scene.until("it is dropped", lambda seen: not candidate(seen))
        assert (seen["status"]["stable"]["version"], len(rejected(seen, bad))) == (better, 1)
        scene.until_all_answers_are_by(better)
    failing = {one["version"] for one in verdicts}
    history = scene.end_traffic(versions=good, failing=failing, slack=ROUTED if gateway else None)
    for (strategy, *_), verdict in zip(WALKS, verdicts, strict=True):
        print(strategy["type"], end=" ")
        back_within(history, verdict)
