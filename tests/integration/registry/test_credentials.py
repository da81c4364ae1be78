"""A password is changed on the server and in the Secret, in either order, and nobody restarts anything."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from examples.demo.kube import conditions
from tests.integration.registry.world import PASSWORD, SECRET, USER, World, serves

NAME = MODEL = "rose"
OTHER_PASSWORD = "reads-it-with-another"  # noqa: S105 - it guards nothing
UNTOUCHED_SECONDS = 6


@pytest.fixture(scope="module")
def served(world: World) -> Iterator[World]:
    world.add_versions(MODEL, 2)
    world.point(MODEL, "1")
    world.namespace.apply(world.describe(NAME, MODEL))
    world.until_serves(NAME, "1")
    yield world
    change_password(world, PASSWORD)


def change_password(world: World, password: str) -> None:
    world.server.call("PATCH", "users/update-password", username=USER, password=password)


def test_a_rotated_password_takes_effect_seconds_after_the_secret_was_edited(served: World) -> None:
    children = served.until_settled(NAME)
    change_password(served, OTHER_PASSWORD)
    told = served.until_registry_is(NAME, "False", "Unauthorized")
    message = conditions(told)["RegistryReachable"]["message"]
    assert message.endswith("answers 401: check the Secret that spec.credentialsSecretRef names")
    assert serves(told, "1")
    # The back-off has grown past this by the time that the Secret is edited.
    served.stays(NAME, seconds=4 * UNTOUCHED_SECONDS, children=children, told=told)
    served.set_credentials(USER, OTHER_PASSWORD)
    edited = time.monotonic()
    served.until_registry_is(NAME, "True", "Reachable", seconds=10)
    print(f"FIGURE rotation: reachable {time.monotonic() - edited:.1f} s after the Secret was edited")
    assert served.children(NAME) == children
    served.point(MODEL, "2")
    served.until_serves(NAME, "2")


def test_a_secret_that_is_edited_first_is_used_when_the_server_follows(served: World) -> None:
    children, version = served.until_settled(NAME), served.deployment(NAME)["status"]["stable"]["version"]
    served.set_credentials(USER, PASSWORD)
    told = served.until_registry_is(NAME, "False", "Unauthorized", seconds=90)
    assert serves(told, version)
    change_password(served, PASSWORD)
    changed = time.monotonic()
    served.until_registry_is(NAME, "True", "Reachable", seconds=40)
    print(f"FIGURE rotation, Secret first: reachable {time.monotonic() - changed:.1f} s after the server's change")
    assert served.children(NAME) == children


def test_a_secret_that_is_missing_is_named_and_found_when_it_is_made(served: World) -> None:
    served.set_registry("closed", credentialsSecretRef={"name": "not-there"})
    served.namespace.apply(served.describe("closed", MODEL, registryRef={"name": "closed"}, replicas=0))
    told = served.until_registry_is("closed", "False", "SecretMissing")
    message = conditions(told)["RegistryReachable"]["message"]
    assert message.endswith("not-there, which ModelRegistry closed names, does not exist")
    secret = served.namespace.get("secret", SECRET)
    served.namespace.apply({**secret, "metadata": {"name": "not-there"}})
    made = time.monotonic()
    served.until_registry_is("closed", "True", "Reachable", seconds=15)
    print(f"FIGURE missing Secret: reachable {time.monotonic() - made:.1f} s after it was made")
