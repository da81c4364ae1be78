from tests.e2e.models import Trait
from tests.e2e.scene import OPERATOR_PODS, Scene
from tests.e2e.waiting import eventually


def test_a_rollout_is_finished_after_the_operator_was_killed_in_the_middle(scene: Scene) -> None:
    first = scene.serve(replicas=2)
    scene.start_traffic()
    second = scene.add_version(Trait.BETTER)
    scene.promote(second)
    scene.until("version 2 is the candidate", lambda seen: _candidate(seen) == second)
    scene.namespace.kubectl("delete", "pods", f"--selector={OPERATOR_PODS}", "--force", "--grace-period=0")
    scene.until_serves(second)
    scene.until_all_answers_are_by(second)
    scene.until_revisions(1)
    scene.end_traffic(versions={first, second})


def test_the_other_replica_takes_over_when_the_leader_dies(empty_scene: Scene) -> None:
    scene = empty_scene
    scene.install_operator(replicas=2)
    first = scene.serve()
    scene.start_traffic()
    leader = _leader(scene)
    scene.namespace.kubectl("delete", "pod", leader, "--force", "--grace-period=0")
    eventually("another pod leads", lambda: _leader(scene), lambda holder: holder not in {"", leader})
    second = scene.add_version(Trait.BETTER)
    scene.promote(second)
    scene.until_serves(second)
    scene.until_all_answers_are_by(second)
    scene.end_traffic(versions={first, second})


def _candidate(deployment: dict[str, dict[str, dict[str, str]]]) -> str | None:
    return deployment.get("status", {}).get("candidate", {}).get("version")


def _leader(scene: Scene) -> str:
    holder = str(scene.namespace.get("lease", "modelvane")["spec"].get("holderIdentity") or "")
    pods = [pod["metadata"]["name"] for pod in scene.namespace.get_all("pods", OPERATOR_PODS)]
    return next((pod for pod in pods if pod in holder), "")
