"""Whatever is wrong with a registry: what serves is not touched, one sentence says it, and nobody has to help.

Each mood of a proxy is tried on a registry of its own and all at once, so that each is also a registry that answers
badly beside others.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from examples.demo.kube import Manifest, conditions, is_true
from tests.integration.registry.proxy import Mood, Proxy
from tests.integration.registry.world import Children, World, serves

NAME = MODEL = "iris"
UNTOUCHED_SECONDS = 6
MOODS = {
    Mood.TOO_MANY: ("RateLimited", "answers 429: raise spec.pollInterval"),
    Mood.BROKEN: ("ServerError", "answers 500: see the log of the MLflow server"),
    Mood.BAD_GATEWAY: ("ServerError", "answers 502: see the log of the MLflow server"),
    Mood.SLOW: ("Timeout", "gives no answer within 5 s"),
    Mood.LOGIN_PAGE: ("UnexpectedAnswer", "answers, but not as an MLflow registry does: check spec.uri"),
    Mood.EMPTY: ("UnexpectedAnswer", "answers, but not as an MLflow registry does: check spec.uri"),
    Mood.OTHER_JSON: ("UnexpectedAnswer", "answers, but not as an MLflow registry does: check spec.uri"),
    Mood.EMPTY_JSON: ("UnexpectedAnswer", "answers, but not as an MLflow registry does: check spec.uri"),
    Mood.NOT_FOUND: ("UnexpectedAnswer", "answers 404: check spec.uri"),
    Mood.CUT: ("ConnectionFailed", "breaks before an answer comes"),
}


def name_of(mood: Mood) -> str:
    return mood.name.lower().replace("_", "-")


@pytest.fixture(scope="module")
def model(world: World) -> World:
    """Register a model that has two versions."""
    world.add_versions(MODEL, 2)
    world.point(MODEL, "1")
    return world


@dataclass
class Troubled:
    """One ModelDeployment for each mood, and what was there of each when the last of them had told its trouble."""

    world: World
    proxies: dict[Mood, Proxy]
    told: dict[Mood, Manifest] = field(default_factory=dict)
    children: dict[Mood, Children] = field(default_factory=dict)
    told_at: float = 0


@pytest.fixture(scope="module")
def troubled(model: World) -> Iterator[Troubled]:
    """Follow the model through one proxy for each mood, serve its first version, and let all moods turn bad."""
    with contextlib.ExitStack() as stack:
        made = Troubled(model, {mood: Proxy(model.server.url) for mood in MOODS})
        for mood, proxy in made.proxies.items():
            proxy.start()
            stack.callback(proxy.stop)
            model.set_registry(name_of(mood), proxy.url)
        model.namespace.apply(
            *(model.describe(name_of(mood), MODEL, registryRef={"name": name_of(mood)}) for mood in MOODS)
        )
        for mood in MOODS:
            model.until_serves(name_of(mood), "1", seconds=120)
            made.children[mood] = model.until_settled(name_of(mood))
        for mood, proxy in made.proxies.items():
            proxy.mood = mood
        for mood, (reason, _) in MOODS.items():
            model.until_registry_is(name_of(mood), "False", reason)
        # All have told it now; from here on nothing may be written.
        made.told = {mood: model.deployment(name_of(mood)) for mood in MOODS}
        made.told_at = time.monotonic()
        yield made


@pytest.fixture(scope="module")
def healed(troubled: Troubled) -> Troubled:
    """End all moods, wait for nothing, and move the pointer."""
    for proxy in troubled.proxies.values():
        proxy.mood = None
    troubled.world.point(MODEL, "2")
    return troubled


@pytest.mark.parametrize("mood", MOODS, ids=name_of)
def test_a_mood_is_told_in_one_sentence_and_nothing_else_changes(troubled: Troubled, mood: Mood) -> None:
    time.sleep(max(0, troubled.told_at + UNTOUCHED_SECONDS - time.monotonic()))
    world, name = troubled.world, name_of(mood)
    seen = world.deployment(name)
    told = conditions(seen)["RegistryReachable"]
    assert MOODS[mood][1] in told["message"]
    assert troubled.proxies[mood].url in told["message"]
    assert serves(seen, "1")
    assert world.children(name) == troubled.children[mood]
    assert seen["metadata"]["resourceVersion"] == troubled.told[mood]["metadata"]["resourceVersion"]
    assert world.namespace.get("mvr", name)["status"]["conditions"][0]["message"] == told["message"]


@pytest.mark.parametrize("mood", MOODS, ids=name_of)
def test_a_mood_that_passes_needs_nobody(healed: Troubled, mood: Mood) -> None:
    healed.world.until_serves(name_of(mood), "2")
    assert is_true(healed.world.deployment(name_of(mood)), "RegistryReachable")


@pytest.fixture(scope="module")
def served(model: World) -> World:
    """Serve the model from the registry that has no trouble of its own."""
    model.namespace.apply(model.describe(NAME, MODEL))
    model.until(NAME, "it serves", lambda seen: is_true(seen, "Ready"))
    return model


@dataclass(frozen=True)
class Death:
    """Something that is killed, how it is started again, and what is to be said about it meanwhile."""

    name: str
    kill: Callable[[World], None]
    start: Callable[[World], None]
    says: str


DEATHS = (
    # The proxy before it lives on and answers 502, as an ingress does.
    Death("server", lambda w: w.server.kill(), lambda w: w.server.start(), "answers 502: see the log of the MLflow"),
    Death("database", lambda w: w.database.kill(), lambda w: w.database.start(), "answers 503: see the log of the"),
)


@pytest.mark.parametrize("death", DEATHS, ids=[death.name for death in DEATHS])
def test_a_death_touches_nothing_and_the_way_back_needs_nobody(served: World, death: Death) -> None:
    version = served.deployment(NAME)["status"]["stable"]["version"]
    children = served.until_settled(NAME)
    started = time.monotonic()
    death.kill(served)
    try:
        told = served.until_registry_is(NAME, "False", "ServerError")
        told_after = time.monotonic() - started
        assert death.says in conditions(told)["RegistryReachable"]["message"]
        assert serves(told, version)
        served.stays(NAME, seconds=UNTOUCHED_SECONDS, children=children, told=told)
    finally:
        death.start(served)
    ended = time.monotonic()
    served.until_registry_is(NAME, "True", "Reachable")
    print(f"FIGURE {death.name}: told after {told_after:.1f} s, well again after {time.monotonic() - ended:.1f} s")
    assert served.children(NAME) == children
    other = {"1": "2", "2": "1"}[version]
    served.point(MODEL, other)
    served.until_serves(NAME, other)


def test_a_burst_that_a_second_try_survives_is_no_news(served: World) -> None:
    children, before = served.until_settled(NAME), served.deployment(NAME)
    requests = len(served.proxy.seen)
    served.proxy.lets_pass = lambda: len(served.proxy.seen) % 2 == 1
    served.proxy.mood = Mood.BROKEN
    try:
        served.stays(NAME, seconds=UNTOUCHED_SECONDS, children=children, told=before)
    finally:
        served.proxy.mood = None
    assert len(served.proxy.seen) > requests + 4, "the registry was asked meanwhile"
