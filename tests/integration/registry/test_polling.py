"""How often a registry is asked, and that one which does not answer holds up no other."""

from __future__ import annotations

import time
from collections import Counter

from examples.demo.kube import Manifest, conditions
from tests.integration.registry.proxy import Mood, Proxy
from tests.integration.registry.world import World

MODELS = 10
FOLLOWERS = 50
SECONDS = 12
SEARCH = "GET /api/2.0/mlflow/registered-models/search"


def resolves_to(deployment: Manifest, version: str) -> bool:
    return bool(deployment.get("status", {}).get("desired", {}).get("version") == version)


def test_fifty_followers_cost_one_search_a_tick(world: World) -> None:
    names = [f"model-{number}" for number in range(MODELS)]
    for name in names:
        world.add_versions(name, 2)
        world.point(name, "1")
        world.server.call("POST", "model-versions/transition-stage", name=name, version="2", stage="Production")
    pointers = ({"alias": "champion"}, {"stage": "Production"})
    world.namespace.apply(
        *(
            # Without pods: what is counted is how the registry is asked.
            world.describe(f"follower-{n}", names[n % MODELS], pointers[n // MODELS % 2], replicas=0)
            for n in range(FOLLOWERS)
        )
    )
    for n in range(FOLLOWERS):
        version = str(n // MODELS % 2 + 1)
        world.until(f"follower-{n}", f"follower-{n} resolves", lambda seen, v=version: resolves_to(seen, v))  # type: ignore[misc]
    assert world.namespace.get("mvr", "default")["status"]["models"] == FOLLOWERS
    world.proxy.seen.clear()
    time.sleep(SECONDS)
    asked = Counter(world.proxy.seen)
    print(f"FIGURE {FOLLOWERS} followers, one poll a second, {SECONDS} s: {dict(asked)}")
    assert set(asked) == {SEARCH}
    assert SECONDS / 2 <= asked[SEARCH] <= SECONDS + 1
    world.namespace.kubectl("delete", "mvd", "--all")


def test_a_move_is_seen_in_time_beside_a_dead_and_a_silent_registry(world: World) -> None:
    silent = Proxy(world.server.url)
    silent.start()
    silent.mood = Mood.SLOW
    world.add_versions("tulip", 2)
    world.point("tulip", "1")
    world.set_registry("dead", "http://127.0.0.1:9")
    world.set_registry("silent", silent.url)
    others = [world.describe(name, "tulip", registryRef={"name": name}, replicas=0) for name in ("dead", "silent")]
    world.namespace.apply(world.describe("tulip", "tulip", replicas=0), *others)
    try:
        dead = world.until_registry_is("dead", "False", "ConnectionRefused")
        world.until_registry_is("silent", "False", "Timeout")
        assert "http://127.0.0.1:9 refuses connections" in conditions(dead)["RegistryReachable"]["message"]
        for version in ("2", "1", "2"):
            started = time.monotonic()
            world.point("tulip", version)
            world.until("tulip", "the move is seen", lambda seen, v=version: resolves_to(seen, v), seconds=15)  # type: ignore[misc]
            print(f"FIGURE seen after {time.monotonic() - started:.1f} s beside a dead and a silent registry")
    finally:
        silent.mood = None
        silent.stop()


def test_a_poll_interval_is_honoured_and_can_be_changed(world: World) -> None:
    proxy = Proxy(world.server.url)
    proxy.start()
    try:
        world.set_registry("calm", proxy.url, pollInterval="4s")
        world.until("calm", "it is read", lambda seen: bool(seen.get("status")), kind="mvr")
        proxy.seen.clear()
        time.sleep(SECONDS)
        assert 2 <= proxy.seen.count(SEARCH) <= 4
        world.set_registry("calm", proxy.url, pollInterval="1s")
        time.sleep(2)
        proxy.seen.clear()
        time.sleep(SECONDS)
        assert SECONDS / 2 <= proxy.seen.count(SEARCH) <= SECONDS + 1
    finally:
        world.namespace.kubectl("delete", "mvr", "calm")
        proxy.stop()
