from examples.demo.kube import conditions
from tests.e2e.models import Trait
from tests.e2e.scene import NAME, Scene, serves


def test_promotion_by_stage_rolls_without_losing_a_request(scene: Scene) -> None:
    first = scene.serve(replicas=2)
    scene.start_traffic()
    second = scene.add_version(Trait.BETTER)
    scene.promote(second)
    deployment = scene.until_serves(second)
    scene.until_all_answers_are_by(second)
    scene.until_revisions(1)
    scene.end_traffic(versions={first, second})

    newest = deployment["status"]["history"][0]
    assert (newest["version"], newest["outcome"]) == (second, "Promoted")
    reasons = {
        event["reason"] for event in scene.namespace.get_all("events") if event["involvedObject"]["name"] == NAME
    }
    assert reasons, "the rollout told no story in events"


def test_promotion_by_alias_rolls_without_losing_a_request(scene: Scene) -> None:
    first = scene.add_version()
    scene.set_alias(first)
    scene.deploy({"alias": "champion"}, replicas=2)
    scene.until_serves(first)
    scene.start_traffic()
    second = scene.add_version(Trait.BETTER)
    scene.set_alias(second)
    scene.until_serves(second)
    scene.until_all_answers_are_by(second)
    scene.end_traffic(versions={first, second})


def test_moving_the_pointer_back_returns_to_the_warm_revision(scene: Scene) -> None:
    first = scene.add_version()
    scene.set_alias(first)
    scene.deploy({"alias": "champion"}, strategy={"scaleDownDelay": "120s"})
    scene.until_serves(first)
    pods = {pod["metadata"]["uid"] for pod in scene.pods()}
    scene.start_traffic()
    second = scene.add_version(Trait.BETTER)
    scene.set_alias(second)
    scene.until_serves(second)
    scene.set_alias(first)
    scene.until_serves(first, seconds=15)
    scene.until_all_answers_are_by(first)
    scene.end_traffic(versions={first, second})
    assert pods <= {pod["metadata"]["uid"] for pod in scene.pods()}, "version 1 was started anew"


def test_a_pinned_version_follows_its_pin_and_nothing_else(scene: Scene) -> None:
    first, second = scene.add_version(), scene.add_version(Trait.BETTER)
    scene.deploy({"version": first}, replicas=2)
    scene.until_serves(first)
    scene.start_traffic()
    scene.promote(second)
    scene.set_alias(second)
    scene.stays_for(5, "the pin holds", lambda seen: serves(seen, first))
    scene.patch({"model": {"name": scene.model, "version": second}})
    scene.until_serves(second)
    scene.until_all_answers_are_by(second)

    scene.patch({"model": {"name": scene.model, "version": "99"}})
    deployment = scene.until(
        "a pin to nothing is reported",
        lambda seen: conditions(seen).get("ModelResolved", {}).get("status") == "False",
    )
    assert "99" in conditions(deployment)["ModelResolved"]["message"]
    scene.stays_for(3, "version 2 serves on", lambda seen: seen["status"]["stable"]["version"] == second)
    scene.end_traffic(versions={first, second})
