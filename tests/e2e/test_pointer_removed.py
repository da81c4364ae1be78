from examples.demo.kube import conditions
from tests.e2e.scene import Scene, serves
from tests.e2e.waiting import eventually


def pointer_is_missing(deployment: dict[str, object]) -> bool:
    return conditions(deployment).get("ModelResolved", {}).get("status") == "False"


def test_a_removed_pointer_keeps_what_serves(scene: Scene) -> None:
    version = scene.serve(replicas=2)
    pods = {pod["metadata"]["uid"] for pod in scene.pods()}
    scene.start_traffic()
    scene.archive(version)
    scene.until("the missing pointer is reported", pointer_is_missing)
    scene.stays_for(5, "it serves on", lambda seen: seen["status"]["stable"]["readyReplicas"] == 2)
    assert {pod["metadata"]["uid"] for pod in scene.pods()} == pods
    scene.end_traffic(versions={version})


def test_a_removed_pointer_stops_serving_where_that_is_asked_for(scene: Scene) -> None:
    version = scene.serve(onPointerRemoved="ScaleToZero")
    scene.archive(version)
    scene.until("the missing pointer is reported", pointer_is_missing)
    eventually("no pod is left", lambda: scene.children("pods"), lambda pods: not pods)
    scene.promote(version)
    scene.until("it serves again", lambda seen: serves(seen, version), seconds=90)
