from tests.e2e.scene import CHILDREN, NAME, Scene
from tests.e2e.waiting import eventually


def test_kubectl_scale_changes_the_pods_and_nothing_else(scene: Scene) -> None:
    version = scene.serve()
    (before,) = scene.children("deployments")
    scene.start_traffic()
    for replicas in (3, 1):
        scene.namespace.kubectl("scale", "mvd", NAME, f"--replicas={replicas}")
        scene.until_serves(version)
        assert scene.namespace.get("mvd", NAME)["status"]["replicas"] == replicas
    (after,) = scene.children("deployments")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    scene.end_traffic(versions={version})


def test_a_changed_template_rolls_the_same_version(scene: Scene) -> None:
    version = scene.serve(replicas=2)
    (before,) = scene.children("deployments")
    scene.start_traffic()
    scene.patch({"template": {"metadata": {"annotations": {"example.com/team": "irises"}}}})
    scene.until("a new revision is stable", lambda seen: not before["metadata"]["name"].endswith(_revision(seen)))
    scene.until_serves(version)
    (after,) = scene.until_revisions(1)
    assert after["metadata"]["name"] != before["metadata"]["name"]
    assert {pod["metadata"]["annotations"]["example.com/team"] for pod in scene.pods()} == {"irises"}
    scene.end_traffic(versions={version})


def test_deleting_a_modeldeployment_removes_all_that_was_made_for_it(scene: Scene) -> None:
    scene.serve(replicas=2)
    kinds = "deployments,replicasets,pods,services,poddisruptionbudgets"
    made = {child["kind"] for child in scene.namespace.get_all(kinds, CHILDREN)}
    assert {"Deployment", "Pod", "Service", "PodDisruptionBudget"} <= made
    scene.namespace.kubectl("delete", "mvd", NAME, "--timeout=20s", seconds=30)
    eventually(
        "no child is left",
        lambda: scene.namespace.get_all(kinds, CHILDREN),
        lambda left: not left,
        show=lambda left: ", ".join(f"{child['kind']}/{child['metadata']['name']}" for child in left),
    )


def _revision(deployment: dict[str, dict[str, dict[str, str]]]) -> str:
    return deployment["status"]["stable"]["revision"]
