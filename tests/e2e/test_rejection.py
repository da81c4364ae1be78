from examples.demo.kube import is_true
from tests.e2e.models import EXAMPLE_ERROR, LOAD_ERROR, Trait
from tests.e2e.scene import Scene, candidate


def test_a_version_that_cannot_load_gets_no_traffic_and_waits_for_a_retry(scene: Scene) -> None:
    good = scene.serve(replicas=2)
    scene.start_traffic()
    broken = scene.add_version(Trait.CANNOT_LOAD)
    scene.promote(broken)
    verdict = scene.until_rejected(broken)
    assert verdict["reason"] == "ModelLoadFailed"
    assert LOAD_ERROR in verdict["message"]

    stalled = scene.until("it says that it is stalled", lambda seen: is_true(seen, "Stalled"))
    assert stalled["status"]["stable"]["version"] == good
    (deployment,) = scene.until_revisions(1)
    assert deployment["metadata"]["labels"]["serving.modelvane.dev/model-version"] == good
    scene.stays_for(5, "it is not tried again by itself", lambda seen: not candidate(seen))

    scene.annotate("retry", "once-more")
    retried = scene.until(
        "the retry is answered and the version rejected again",
        lambda seen: (
            seen["status"].get("handled", {}).get("retry") == "once-more"
            and [one["at"] for one in seen["status"].get("rejected", [])] not in ([], [verdict["at"]])
        ),
    )
    assert retried["status"]["stable"]["version"] == good
    scene.end_traffic(versions={good})


def test_a_version_that_fails_its_own_input_example_gets_no_traffic(scene: Scene) -> None:
    good = scene.serve()
    scene.start_traffic()
    failing = scene.add_version(Trait.FAILS_ITS_EXAMPLE)
    scene.promote(failing)
    verdict = scene.until_rejected(failing)
    assert verdict["reason"] == "InputExampleFailed"
    assert EXAMPLE_ERROR in verdict["message"]

    # The next promotion is a new chance: it rolls as if nothing had been.
    mended = scene.add_version(Trait.BETTER)
    scene.promote(mended)
    scene.until_serves(mended)
    scene.until_all_answers_are_by(mended)
    scene.end_traffic(versions={good, mended})


def test_a_first_version_that_cannot_load_is_rejected_too(scene: Scene) -> None:
    broken = scene.add_version(Trait.CANNOT_LOAD)
    scene.promote(broken)
    scene.deploy()
    scene.until_rejected(broken)
    mended = scene.add_version()
    scene.promote(mended)
    scene.until_serves(mended)
