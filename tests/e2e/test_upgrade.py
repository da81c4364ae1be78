from typing import Any

from tests.e2e.scene import Scene


def test_upgrading_both_charts_under_traffic_rolls_nothing(scene: Scene) -> None:
    version = scene.serve(replicas=2)
    before = _revisions(scene)
    scene.start_traffic()
    try:
        scene.tracking.install(workers=2)
        # A serving image that nobody could pull: whatever rolled to it would stop.
        scene.install_operator(logLevel="debug", serving={"image": {"tag": "not-there"}})
        scene.stays_for(8, "it serves on", lambda seen: seen["status"]["stable"]["version"] == version)
    finally:
        scene.tracking.install()
    assert _revisions(scene) == before
    scene.end_traffic(versions={version})


def _revisions(scene: Scene) -> dict[str, Any]:
    """Return what identifies each revision: its Deployment, the generation of its spec, and its pods."""
    deployments = {one["metadata"]["uid"]: one["metadata"]["generation"] for one in scene.children("deployments")}
    return {"deployments": deployments, "pods": {pod["metadata"]["uid"] for pod in scene.pods()}}
