"""The promises of the design, held against random histories on a simulated cluster."""

from collections.abc import Callable

import pytest

from tests.unit.operator.simulator import Nature, World

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
