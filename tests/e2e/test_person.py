"""What a person does to a rollout while it runs, and what the rollout makes of it, with requests all the while."""

from __future__ import annotations

import time

from examples.demo.kube import Manifest
from tests.e2e.models import Trait
from tests.e2e.scene import NAME, Scene, back_within, candidate, handled, rejected, serves

STEPS = [{"weight": 33, "pause": {"duration": "3s"}}, {"weight": 50, "pause": {}}]
CANARY = {"type": "Canary", "steps": STEPS, "scaleDownDelay": "20s"}
# Connections that were there before stay with a version until its pods go.
DRAINED = 60


def test_a_canary_is_paused_resumed_aborted_and_retried(scene: Scene) -> None:
    first = scene.serve(replicas=2, strategy=CANARY)
    scene.start_traffic()
    second = scene.add_version(Trait.BETTER)
    scene.promote(second)
    scene.until("the first step", lambda seen: candidate(seen).get("step") == 1)
    scene.annotate("pause", "let-me-look")
    paused = scene.until("it is paused", lambda seen: candidate(seen).get("paused") == "Request")
    assert paused["status"]["phase"] == "Paused"
    scene.stays_for(4, "the step is over and it waits", lambda seen: candidate(seen)["step"] == 1)
    scene.annotate("resume", "seen-enough")
    seen = scene.until("the next step waits for a person", lambda seen: candidate(seen).get("paused") == "Step")
    assert (candidate(seen)["step"], candidate(seen)["weight"]) == (2, 50)
    scene.stays_for(3, "nobody resumed it", lambda seen: seen["status"]["phase"] == "Paused")

    scene.annotate("abort", "not-today")
    verdict = scene.until_rejected(second)
    assert verdict["reason"] == "Aborted"
    assert scene.status()["history"][0]["outcome"] == "Aborted"
    scene.until_all_answers_are_by(first)
    scene.stays_for(3, "it is not tried again by itself", lambda seen: not candidate(seen))
    retried = time.time()

    scene.annotate("retry", "today")
    scene.until("it waits for a person again", lambda seen: candidate(seen).get("paused") == "Step")
    scene.annotate("resume", "go-on")
    scene.until_serves(second)
    answered = handled(scene.deployment())
    assert (answered["pause"], answered["abort"], answered["resume"]) == ("let-me-look", "not-today", "go-on")

    started = time.monotonic()
    scene.promote(first)
    scene.until("the warm version serves again", lambda seen: seen["status"]["stable"]["version"] == first, seconds=5)
    print(f"the warm version was stable again after {time.monotonic() - started:.1f} s")
    scene.until_serves(first)
    scene.until_all_answers_are_by(first, seconds=DRAINED)
    history = scene.end_traffic(versions={first, second})
    back_within(history, verdict, until=retried)


def test_a_canary_goes_on_whatever_is_changed_in_the_middle(scene: Scene) -> None:
    first = scene.serve(replicas=2, strategy={**CANARY, "steps": STEPS[1:]})
    scene.start_traffic()
    second, third = scene.add_version(Trait.BETTER), scene.add_version()
    scene.promote(second)
    scene.until_weight(50)
    scene.promote(third)
    scene.until("version 3 takes the place", lambda seen: candidate(seen).get("version") == third)
    assert _outcome(scene.deployment(), second) == "Superseded"
    scene.until_weight(50)
    scene.promote(first)
    scene.until("version 1 is wanted again", lambda seen: not candidate(seen))
    assert _outcome(scene.deployment(), third) == "Superseded"
    scene.until_serves(first)
    scene.until_all_answers_are_by(first)

    scene.promote(second)
    scene.until("it waits for a person", lambda seen: candidate(seen).get("paused") == "Step")
    scene.patch({"suspend": True})
    scene.until("it is suspended", lambda seen: seen["status"]["phase"] == "Suspended")
    scene.annotate("resume", "while-it-is-suspended")
    scene.until("it says why not", lambda seen: "suspended" in handled(seen).get("answer", ""))
    scene.stays_for(3, "nothing moves", lambda seen: candidate(seen).get("weight") == 50)
    scene.patch({"suspend": False})
    scene.until("it waits as before", lambda seen: candidate(seen).get("paused") == "Step")

    scene.namespace.kubectl("scale", "mvd", NAME, "--replicas=3")
    seen = scene.until(
        "stable is scaled and the candidate has its share again",
        lambda seen: (
            (seen["status"]["stable"].get("readyReplicas"), candidate(seen).get("readyReplicas")) == (3, 3)
            and candidate(seen).get("paused") == "Step"
        ),
    )
    assert (candidate(seen)["version"], candidate(seen)["weight"]) == (second, 50)

    scene.patch({"strategy": {"type": "BlueGreen", "steps": None}})
    scene.until_serves(second)
    scene.until_all_answers_are_by(second, seconds=DRAINED)
    seen = scene.deployment()
    assert not rejected(seen, second)
    assert serves(seen, second)

    scene.patch({"strategy": CANARY, "analysis": {"interval": "2s", "minRequests": 1000000, "maxErrorRate": "1%"}})
    scene.promote(third)
    scene.until("too little to judge by", lambda seen: candidate(seen).get("paused") == "Inconclusive")
    scene.annotate("resume", "good-enough")
    scene.until("the next step waits for a person", lambda seen: candidate(seen).get("paused") == "Step")
    scene.annotate("resume", "very-good")
    scene.until_serves(third)
    scene.until_all_answers_are_by(third, seconds=DRAINED)
    scene.end_traffic(versions={first, second, third})


def _outcome(deployment: Manifest, version: str) -> str:
    return next(str(one["outcome"]) for one in deployment["status"]["history"] if one["version"] == version)
