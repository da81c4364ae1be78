from examples.demo.kube import conditions, is_true
from tests.e2e.models import Trait
from tests.e2e.scene import Scene

OUTAGE_SECONDS = 60


def test_a_minute_without_the_registry_changes_nothing_but_a_condition(scene: Scene) -> None:
    first = scene.serve(replicas=2)
    pods = {pod["metadata"]["uid"] for pod in scene.pods()}
    scene.start_traffic()
    scene.tracking.scale(0)
    try:
        deployment = scene.until("the outage is reported", lambda seen: not is_true(seen, "RegistryReachable"))
        assert conditions(deployment)["RegistryReachable"]["message"]
        assert is_true(deployment, "Ready"), "what serves, serves on"
        scene.stays_for(
            OUTAGE_SECONDS,
            "version 1 serves through the outage",
            lambda seen: seen["status"]["stable"]["version"] == first and is_true(seen, "Ready"),
        )
    finally:
        scene.tracking.scale(1)
    scene.until("the registry is back", lambda seen: is_true(seen, "RegistryReachable"), seconds=60)
    assert {pod["metadata"]["uid"] for pod in scene.pods()} == pods, "a pod was replaced"

    second = scene.add_version(Trait.BETTER)
    scene.promote(second)
    scene.until_serves(second)
    scene.until_all_answers_are_by(second)
    scene.end_traffic(versions={first, second})
