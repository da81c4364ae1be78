"""What happened to a version is told to the registry, whatever is in the way, and no rollout waits for it."""

from __future__ import annotations

import re
import time

from tests.e2e.waiting import eventually
from tests.integration.registry.proxy import Mood
from tests.integration.registry.world import USER, World

SET_TAG = "POST /api/2.0/mlflow/model-versions/set-tag"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
QUIET_SECONDS = 8


def until_tagged(world: World, model: str, version: str, name: str, pattern: str, *, seconds: float = 60) -> str:
    key = f"modelvane.{world.namespace.name}.{name}"
    tags = eventually(
        f"version {version} of {model} is tagged {pattern}",
        lambda: world.tags(model, version),
        lambda tags: bool(re.fullmatch(pattern, tags.get(key, ""))),
        seconds=seconds,
    )
    return tags[key]


def until_written(world: World, name: str) -> None:
    world.until(
        name,
        "the status says what is written",
        lambda seen: seen["status"].get("writtenBack") == seen["status"]["history"][0]["finishedAt"],
    )


def test_each_version_says_what_became_of_it_and_then_all_is_quiet(world: World) -> None:
    world.add_versions("peony", 2)
    world.server.grant(USER, "peony", "EDIT")
    world.point("peony", "1")
    names = ("peony", "other")
    world.namespace.apply(*(world.describe(name, "peony", writeBack="Tags") for name in names))
    for name in names:
        world.until_serves(name, "1")
        until_tagged(world, "peony", "1", name, f"Promoted {TIME} the first version")
    world.point("peony", "2")
    for name in names:
        world.until_serves(name, "2")
        until_tagged(world, "peony", "2", name, f"Promoted {TIME} in place of version 1")
        until_tagged(world, "peony", "1", name, f"Replaced {TIME} by version 2")
        until_written(world, name)
        world.until_settled(name)
    before = [world.deployment(name)["metadata"]["resourceVersion"] for name in names]
    world.proxy.seen.clear()
    time.sleep(QUIET_SECONDS)
    assert SET_TAG not in world.proxy.seen
    assert [world.deployment(name)["metadata"]["resourceVersion"] for name in names] == before


def test_a_user_that_may_only_read_is_told_once_and_written_for_when_it_may(world: World) -> None:
    world.add_versions("violet", 1)
    world.point("violet", "1")
    world.namespace.apply(world.describe("violet", "violet", writeBack="Tags"))
    world.until_serves("violet", "1")
    told = eventually("the refusal is told", lambda: world.events("WriteBackRefused"))
    assert "grant it EDIT there, or set spec.writeBack to None" in told[0]
    time.sleep(QUIET_SECONDS)
    assert len(world.events("WriteBackRefused")) == 1
    assert "writtenBack" not in world.deployment("violet")["status"]
    world.server.grant(USER, "violet", "EDIT")
    granted = time.monotonic()
    until_tagged(world, "violet", "1", "violet", f"Promoted {TIME} the first version")
    print(f"FIGURE tagged {time.monotonic() - granted:.1f} s after the right was granted")


def test_a_rollout_that_ends_while_the_registry_is_away_is_told_after_a_restart(world: World) -> None:
    world.add_versions("dahlia", 2)
    world.server.grant(USER, "dahlia", "EDIT")
    world.point("dahlia", "1")
    # Long enough that the registry is gone before the rollout ends.
    slow = {"initContainers": [{"name": "fetch", "command": ["sh", "-c", "sleep 8"]}]}
    described = world.describe("dahlia", "dahlia", writeBack="Tags")
    described["spec"]["template"]["spec"].update(slow)
    world.namespace.apply(described)
    world.until_serves("dahlia", "1")
    until_written(world, "dahlia")
    world.point("dahlia", "2")
    world.until("dahlia", "version 2 is a candidate", lambda seen: bool(seen["status"].get("candidate")))
    world.proxy.mood = Mood.BROKEN
    try:
        world.until_serves("dahlia", "2")
        world.until_registry_is("dahlia", "False", "ServerError")
        world.operator.kill()
        world.operator.start()
        assert world.tags("dahlia", "2") == {}
    finally:
        world.proxy.mood = None
    until_tagged(world, "dahlia", "2", "dahlia", f"Promoted {TIME} in place of version 1")
    until_written(world, "dahlia")


def test_a_version_that_is_gone_is_no_obstacle(world: World) -> None:
    world.add_versions("crocus", 2)
    world.server.grant(USER, "crocus", "EDIT")
    world.point("crocus", "1")
    world.namespace.apply(world.describe("crocus", "crocus"))
    world.until_serves("crocus", "1")
    world.point("crocus", "2")
    world.until_serves("crocus", "2")
    world.server.call("DELETE", "model-versions/delete", name="crocus", version="1")
    world.namespace.apply(world.describe("crocus", "crocus", writeBack="Tags"))
    until_tagged(world, "crocus", "2", "crocus", f"Promoted {TIME} in place of version 1")
    until_written(world, "crocus")
