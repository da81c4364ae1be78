"""The promises of the design, held against random histories on a simulated cluster."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.operator.promises import check_end, rest
from tests.unit.operator.simulator import GATEWAY, Nature, World

SEEDS = range(100)
STEPS = 80
REST_WITHIN = 200


def settle(world: World) -> None:
    """Let time pass without any new input until nothing is written any more."""
    quiet = 0
    for _ in range(REST_WITHIN):
        world.pass_time(2)
        quiet = 0 if world.reconcile() else quiet + 1
        if quiet > 40:  # longer than every delay there is
            return
    raise AssertionError("no rest: " + "\n".join(world.story[-20:]))


def random_input(world: World) -> None:
    chance = world.random
    nature: Nature = chance.choice(["good", "good", "good", "broken", "hangs", "dies"])
    inputs: list[Callable[[], object]] = [
        lambda: world.promote(str(chance.randint(1, 8)), nature),
        lambda: world.spec.update(replicas=chance.randint(1, 4)),
        lambda: setattr(world, "template", chance.randint(0, 2)),
        lambda: setattr(world, "reachable", chance.random() < 0.7),
        lambda: world.spec.update(suspend=chance.random() < 0.3),
        world.ask_retry,
        world.restart_a_pod,
    ]
    chance.choice(inputs)()


def live_through(world: World) -> None:
    """Start with a good version, then let anything happen at any time, kills of the operator included."""
    world.promote("1", "good")
    settle(world)
    for _ in range(STEPS):
        if world.random.random() < 0.3:
            random_input(world)
        world.pass_time(world.random.choice([0, 0.5, 1, 3, 10]))
        world.reconcile(cut_after=world.random.choice([None, None, None, 0, 1, 2, 3]))


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happens_the_promises_hold_and_the_end_is_reached(seed: int) -> None:
    world = World(seed)
    live_through(world)
    world.reachable = True
    world.spec["suspend"] = False
    settle(world)
    stable = world.status["stable"]
    rejected = {entry["version"] for entry in world.status.get("rejected", [])}
    assert stable["version"] == world.pointer or world.pointer in rejected, world.story[-20:]
    assert world.natures[stable["version"]] in ("good", "dies")
    if world.natures[stable["version"]] == "good":
        assert world.answering() >= world.spec["replicas"]
        assert world.status["phase"] == ("Degraded" if stable["version"] != world.pointer else "Ready")


@pytest.mark.parametrize("seed", range(30))
def test_a_good_version_replaces_a_good_one_without_losing_capacity(seed: int) -> None:
    world = World(seed)
    world.promote("1")
    settle(world)
    world.promote("2")
    while world.status["stable"]["version"] != "2":
        world.pass_time(world.random.choice([0.2, 1, 2]))
        world.reconcile(cut_after=world.random.choice([None, 0, 1, 2]))
        assert world.answering() >= 2, world.story
    settle(world)
    assert [d.revision.version for d in world.deployments] == ["2"]


@pytest.mark.parametrize("nature", ["broken", "hangs", "dies"])
def test_a_bad_version_is_rejected_and_stable_serves_on(nature: Nature) -> None:
    world = World(0)
    world.promote("1")
    settle(world)
    world.promote("2", nature)
    settle(world)
    assert world.status["stable"]["version"] == "1"
    assert [entry["version"] for entry in world.status["rejected"]] == ["2"]
    assert world.answering() == 2
    assert [d.revision.version for d in world.deployments] == ["1"]


def test_a_bad_version_is_tried_again_when_asked() -> None:
    world = World(0)
    world.promote("1")
    settle(world)
    world.promote("2", "broken")
    settle(world)
    world.natures["2"] = "good"
    settle(world)
    assert world.status["stable"]["version"] == "1"
    world.ask_retry()
    settle(world)
    assert world.status["stable"]["version"] == "2"
    assert "rejected" not in world.status


def test_a_registry_outage_changes_a_condition_and_nothing_else() -> None:
    world = World(0)
    world.promote("1")
    settle(world)
    before = {key: value for key, value in world.status.items() if key not in ("conditions", "registry")}
    world.reachable = False
    settle(world)
    after = {key: value for key, value in world.status.items() if key not in ("conditions", "registry")}
    assert after == before
    conditions = {entry["type"]: entry["status"] for entry in world.status["conditions"]}
    assert conditions == {"Ready": "True", "RegistryReachable": "False", "ModelResolved": "True"}


def test_a_removed_pointer_is_served_on_or_taken_down_as_the_spec_says() -> None:
    for choice, left in (("Keep", 2), ("ScaleToZero", 0)):
        world = World(0)
        world.spec["onPointerRemoved"] = choice
        world.promote("1")
        settle(world)
        world.pointer = None
        settle(world)
        assert world.answering() == left
        world.promote("2")
        settle(world)
        assert world.status["stable"]["version"] == "2"
        assert world.answering() == 2


def test_a_lost_status_changes_nothing_that_serves() -> None:
    world = World(0)
    world.promote("1")
    settle(world)
    world.status = {}
    deployments = [d.uid for d in world.deployments]
    settle(world)
    assert [d.uid for d in world.deployments] == deployments
    assert world.status["stable"]["version"] == "1"


# --- the story of a rollout: every turning point once, and in order


LIMITS = {"interval": "10s", "minRequests": 20, "maxErrorRate": "5%", "maxLatencyP99": "50ms"}
COMPARED = {**LIMITS, "predictions": {"maxDifferent": "5%"}}
CANARY = {"type": "Canary", "steps": [{"weight": 10, "pause": {"duration": "20s"}}, {"weight": 50, "pause": {}}]}
MIRRORED = {**CANARY, "mirror": {"percent": 20, "duration": "30s"}}


def rollout(
    strategy: dict[str, Any], analysis: dict[str, Any] | None, gateway: bool, nature: Nature, replicas: int = 4
) -> World:
    """Roll out version 2 in place of version 1, and let a person resume it whenever it waits for one."""
    world = World()
    world.spec.update(replicas=replicas, strategy={**strategy, "scaleDownDelay": "10s"}, analysis=analysis)
    world.spec["gateway"] = GATEWAY if gateway else None
    world.promote("1")
    rest(world)
    world.events.clear()
    world.promote("2", nature)
    rest(world)
    while "paused" in world.status.get("candidate", {}):
        world.ask("resume")
        rest(world)
    check_end(world)
    return world


BEGUN = ["VersionResolved", "RolloutStarted"]
VERIFIED = [*BEGUN, "CandidateReady"]
STORIES: list[tuple[dict[str, Any], dict[str, Any] | None, bool, Nature, list[str]]] = [
    ({"type": "RollingUpdate"}, None, False, "good", [*VERIFIED, "20%", "Promoted"]),
    ({"type": "RollingUpdate"}, None, True, "good", [*VERIFIED, "25%", "Promoted"]),
    ({"type": "RollingUpdate"}, LIMITS, False, "good", [*VERIFIED, "20%", "50%", "Promoted"]),
    (
        {"type": "RollingUpdate"},
        LIMITS,
        True,
        "erring",
        [*VERIFIED, "25%", "50%", "CheckFailed", "CheckFailed", "Rejected", "RolledBack"],
    ),
    ({"type": "RollingUpdate"}, LIMITS, True, "broken", [*BEGUN, "Rejected"]),
    ({"type": "BlueGreen"}, None, True, "good", [*VERIFIED, "Promoted"]),
    ({"type": "BlueGreen"}, LIMITS, False, "good", [*VERIFIED, "100%", "Promoted"]),
    (
        {"type": "BlueGreen"},
        LIMITS,
        True,
        "slow",
        [*VERIFIED, "100%", "CheckFailed", "CheckFailed", "Rejected", "RolledBack"],
    ),
    ({"type": "BlueGreen"}, LIMITS, True, "quiet", [*VERIFIED, "100%", "Paused", "Resumed", "Promoted"]),
    (CANARY, None, False, "good", [*VERIFIED, "20%", "50%", "Paused", "Resumed", "Promoted"]),
    (CANARY, None, True, "good", [*VERIFIED, "10%", "50%", "Paused", "Resumed", "Promoted"]),
    (CANARY, None, True, "hangs", [*BEGUN, "Rejected"]),
    (
        CANARY,
        LIMITS,
        True,
        "quiet",
        [*VERIFIED, "10%", "Paused", "Resumed", "50%", "Paused", "Resumed", "Promoted"],
    ),
    (CANARY, COMPARED, True, "different", [*VERIFIED, "PredictionsCompared", "Rejected"]),
    (
        CANARY,
        COMPARED,
        False,
        "mute",
        [*VERIFIED, "Paused", "Resumed", "20%", "50%", "Paused", "Resumed", "Promoted"],
    ),
    (MIRRORED, LIMITS, True, "erring", [*VERIFIED, "Mirroring", "CheckFailed", "CheckFailed", "Rejected"]),
    (
        MIRRORED,
        COMPARED,
        True,
        "good",
        [
            *VERIFIED,
            "PredictionsCompared",
            "Mirroring",
            "10%",
            "50%",
            "Paused",
            "Resumed",
            "Promoted",
        ],
    ),
]


@pytest.mark.parametrize(("strategy", "analysis", "gateway", "nature", "story"), STORIES)
def test_a_rollout_tells_every_turning_point_once_and_in_order(
    strategy: dict[str, Any], analysis: dict[str, Any] | None, gateway: bool, nature: Nature, story: list[str]
) -> None:
    world = rollout(strategy, analysis, gateway, nature)
    shares = (event.message.partition(" gets ")[2].partition(" ")[0] for event in world.events)
    told = [share if e.reason == "TrafficShifted" else e.reason for e, share in zip(world.events, shares, strict=True)]
    assert told == story


@pytest.mark.parametrize("strategy", [{"type": "RollingUpdate"}, {"type": "BlueGreen"}, MIRRORED])
@pytest.mark.parametrize("gateway", [False, True])
def test_a_pointer_that_moves_back_while_the_old_revision_is_warm_takes_no_steps(
    strategy: dict[str, Any], gateway: bool
) -> None:
    world = World()
    world.spec.update(strategy={**strategy, "scaleDownDelay": "1h"}, analysis=None)
    world.spec["gateway"] = GATEWAY if gateway else None
    world.promote("1")
    world.wait(30)
    world.promote("2")
    world.wait(120)
    world.ask("resume")
    world.wait(30)
    assert world.status["stable"]["version"] == "2"
    world.events.clear()
    world.promote("1")
    world.wait(1)
    assert [event.reason for event in world.events] == [*BEGUN, "Promoted"]
    assert world.status["warm"]["version"] == "2"


def test_a_rollout_that_is_suspended_for_an_hour_in_its_step_takes_the_whole_step_afterwards() -> None:
    world = World()
    world.spec.update(strategy=CANARY, gateway=GATEWAY)
    world.promote("1")
    world.wait(30)
    world.promote("2")
    world.wait(20)
    assert world.status["candidate"]["weight"] == 10
    world.spec["suspend"] = True
    world.wait(3600)
    assert (world.status["candidate"]["weight"], world.status["phase"]) == (10, "Suspended")
    world.spec["suspend"] = False
    world.wait(19)
    assert world.status["candidate"]["step"] == 1
    world.wait(2)
    assert world.status["candidate"]["step"] == 2


def test_a_blue_green_rollout_that_is_suspended_with_all_the_traffic_falls_back_when_its_pods_fail() -> None:
    for gateway in (None, GATEWAY):
        world = World()
        world.spec.update(strategy={"type": "BlueGreen"}, analysis=LIMITS, gateway=gateway)
        world.promote("1")
        world.wait(30)
        world.promote("2", "quiet")
        world.wait(15)
        assert world.status["candidate"]["weight"] == 100
        world.spec["suspend"] = True
        world.wait(10)
        assert world.answering() == world.ready("v2-00000000") == 2
        for pod in next(d for d in world.deployments if d.revision.version == "2").pods:
            pod.ready_since, pod.created = None, world.now
        world.wait(1)
        assert (world.status["candidate"]["weight"], world.answering()) == (0, 2)
        assert world.selected is not None
        assert world.selected.revision == "v1-00000000"
        if gateway:
            assert world.route is not None
            assert world.route.weights == (("v1-00000000", 100),)


def test_a_stable_version_that_dies_in_a_rollout_is_answered_for_by_the_candidate_alone() -> None:
    for gateway in (None, GATEWAY):
        world = World()
        world.spec.update(strategy=CANARY, gateway=gateway)
        world.promote("1")
        world.wait(30)
        world.promote("2")
        world.wait(4)
        assert world.status["candidate"]["weight"] == 0
        for pod in world.deployments[0].pods:
            pod.ready_since, pod.created = None, world.now
        world.wait(0.1)
        assert (world.status["candidate"]["weight"], world.answering()) == (100, 1)
        world.wait(5)
        assert world.status["candidate"]["weight"] in (10, 33)
        assert world.answering() == 3
