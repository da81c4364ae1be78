"""The gravest troubles of a registry, on real pods and under traffic."""

from examples.demo.kube import conditions, is_true
from tests.e2e.models import Trait
from tests.e2e.scene import Scene, candidate

WITHOUT_REGISTRY_SECONDS = 20


def test_a_server_that_is_killed_in_the_middle_of_a_canary_delays_it_and_nothing_else(
    scene: Scene,
) -> None:
    steps = [{"weight": 33, "pause": {"duration": "15s"}}, {"weight": 50, "pause": {"duration": "2s"}}]
    strategy = {"type": "Canary", "steps": steps, "scaleDownDelay": "2s"}
    first = scene.serve(replicas=2, strategy=strategy, progressDeadline="15s")
    scene.start_traffic()
    second = scene.add_version(Trait.BETTER)
    scene.promote(second)
    scene.until("the first step", lambda seen: candidate(seen).get("weight") == 33)
    scene.tracking.kill()
    try:
        scene.until("the outage is reported", lambda seen: not is_true(seen, "RegistryReachable"))
        # The second step needs one more pod, and that pod needs the registry: for longer than the deadline.
        scene.until("the second step", lambda seen: candidate(seen).get("step") == 2)
        scene.stays_for(
            WITHOUT_REGISTRY_SECONDS,
            "the candidate waits and stable serves",
            lambda seen: (
                seen["status"]["stable"]["version"] == first
                and seen["status"]["candidate"]["version"] == second
                and is_true(seen, "Ready")
            ),
        )
    finally:
        scene.tracking.scale(1)
    scene.until_serves(second, seconds=150)
    scene.until_all_answers_are_by(second)
    scene.end_traffic(versions={first, second})
    assert not scene.status().get("rejected")


def test_a_version_whose_files_are_gone_is_rejected_and_stable_serves_on(scene: Scene) -> None:
    first = scene.serve(replicas=2)
    scene.start_traffic()
    empty = scene.tracking.add_version_and_lose_its_files(scene.model, Trait.GOOD)
    scene.promote(empty)
    verdict = scene.until_rejected(empty)
    assert verdict["reason"] == "ArtifactMissing"
    assert f"models:/{scene.model}/{empty} exists, but" in verdict["message"]
    seen = scene.until("it says that it is stalled", lambda seen: is_true(seen, "Stalled"))
    assert "ArtifactMissing" in conditions(seen)["Stalled"]["message"]
    assert is_true(seen, "Ready")
    scene.until_revisions(1)
    scene.end_traffic(versions={first})


def test_a_store_that_is_away_while_a_candidate_fetches_holds_the_candidate_only(scene: Scene) -> None:
    first = scene.serve(replicas=1, progressDeadline="25s")
    scene.start_traffic()
    second = scene.add_version(Trait.BETTER)
    scene.tracking.scale_store(0)
    try:
        scene.promote(second)
        scene.until("it is tried", lambda seen: bool(candidate(seen)))
        verdict = scene.until_rejected(second, seconds=90)
        assert verdict["reason"] == "FetchFailed"
        assert is_true(scene.deployment(), "Ready")
    finally:
        scene.tracking.scale_store(1)
    scene.annotate("retry", "the-store-is-back")
    scene.until_serves(second, seconds=120)
    scene.until_all_answers_are_by(second)
    scene.end_traffic(versions={first, second})
