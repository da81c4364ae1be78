"""What happens to a model or a version in the registry while it is served."""

from __future__ import annotations

from examples.demo.kube import Manifest, conditions
from tests.integration.registry.world import Children, World, serves

UNTOUCHED_SECONDS = 5


def serve(world: World, name: str, pointer: dict[str, str] | None = None) -> Children:
    """Serve version 1 of a model of the same name that has two."""
    world.add_versions(name, 2)
    world.point(name, "1")
    world.namespace.apply(world.describe(name, name, pointer))
    world.until_serves(name, "1")
    return world.until_settled(name)


def until_resolved_is(world: World, name: str, status: str, *, seconds: float = 30) -> Manifest:
    return world.until(
        name,
        f"ModelResolved is {status}",
        lambda seen: conditions(seen).get("ModelResolved", {}).get("status") == status,
        seconds=seconds,
    )


def test_a_renamed_model_serves_on_and_is_found_again_under_its_name(world: World) -> None:
    children = serve(world, "lily")
    world.server.call("POST", "registered-models/rename", name="lily", new_name="lilium")
    told = until_resolved_is(world, "lily", "False")
    assert conditions(told)["ModelResolved"]["reason"] == "PointerRemoved"
    assert "registered model lily does not exist" in conditions(told)["ModelResolved"]["message"]
    assert serves(told, "1")
    world.stays("lily", seconds=UNTOUCHED_SECONDS, children=children, told=told)
    world.server.call("POST", "registered-models/rename", name="lilium", new_name="lily")
    until_resolved_is(world, "lily", "True")
    assert world.children("lily") == children


def test_a_deleted_model_serves_on(world: World) -> None:
    children = serve(world, "daisy")
    world.server.call("DELETE", "registered-models/delete", name="daisy")
    told = until_resolved_is(world, "daisy", "False")
    assert "registered model daisy does not exist" in conditions(told)["ModelResolved"]["message"]
    assert serves(told, "1")
    world.stays("daisy", seconds=UNTOUCHED_SECONDS, children=children, told=told)


def test_a_deleted_version_serves_on_until_the_alias_names_another(world: World) -> None:
    children = serve(world, "poppy")
    world.server.call("DELETE", "model-versions/delete", name="poppy", version="1")
    told = until_resolved_is(world, "poppy", "False")
    assert "model poppy has no alias champion" in conditions(told)["ModelResolved"]["message"]
    assert serves(told, "1")
    world.stays("poppy", seconds=UNTOUCHED_SECONDS, children=children, told=told)
    world.point("poppy", "2")
    world.until_serves("poppy", "2")


def test_a_fixed_version_that_is_deleted_serves_on_and_is_missed(world: World) -> None:
    children = serve(world, "aster", {"version": "1"})
    world.server.call("DELETE", "model-versions/delete", name="aster", version="1")
    told = until_resolved_is(world, "aster", "False", seconds=90)
    assert "models:/aster/1 does not exist" in conditions(told)["ModelResolved"]["message"]
    assert serves(told, "1")
    world.stays("aster", seconds=UNTOUCHED_SECONDS, children=children, told=told)
