import os
import random
import secrets
import time

from tests.e2e.history import Slack
from tests.e2e.models import Trait
from tests.e2e.scene import OPERATOR_PODS, TRAEFIK, Scene, candidate, serves
from tests.e2e.waiting import eventually

KILLS = 6


def test_a_rollout_is_finished_after_the_operator_was_killed_in_the_middle(scene: Scene) -> None:
    first = scene.serve(replicas=2)
    scene.start_traffic()
    second = scene.add_version(Trait.BETTER)
    scene.promote(second)
    scene.until("version 2 is the candidate", lambda seen: candidate(seen).get("version") == second)
    scene.kill_operator()
    scene.until_serves(second)
    scene.until_all_answers_are_by(second)
    scene.until_revisions(1)
    scene.end_traffic(versions={first, second})


def test_a_canary_reaches_its_end_however_often_the_operator_is_killed(scene: Scene) -> None:
    seed = os.environ.get("SEED") or secrets.token_hex(4)
    print(f"SEED={seed}")
    moments = random.Random(seed)  # noqa: S311 - not a secret
    steps = [{"weight": weight, "pause": {"duration": "2s"}} for weight in (10, 25, 40, 60, 80)]
    strategy = {"type": "Canary", "steps": steps, "scaleDownDelay": "2s"}
    first = scene.serve(replicas=2, strategy=strategy, gateway=scene.routed(TRAEFIK))
    scene.start_traffic(TRAEFIK)
    second = scene.add_version(Trait.BETTER)
    scene.promote(second)
    kills = 0
    while kills < KILLS and not serves(scene.deployment(), second):
        leader = eventually("an operator leads", lambda: _leader(scene), seconds=90)
        time.sleep(moments.uniform(0, 3))
        scene.namespace.kubectl("delete", "pod", leader, "--force", "--grace-period=0")
        kills += 1
        print(f"kill {kills} at {candidate(scene.deployment()).get('message')}")
    scene.until_serves(second)
    scene.until_all_answers_are_by(second)
    scene.until_revisions(1)
    # Who is killed between moving the traffic and writing that down does so when it is back.
    scene.end_traffic(versions={first, second}, slack=Slack(early=30, new=5, kept=5))
    assert kills >= 3


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


def _leader(scene: Scene) -> str:
    holder = str(scene.namespace.get("lease", "modelvane")["spec"].get("holderIdentity") or "")
    pods = [pod["metadata"]["name"] for pod in scene.namespace.get_all("pods", OPERATOR_PODS)]
    return next((pod for pod in pods if pod in holder), "")
