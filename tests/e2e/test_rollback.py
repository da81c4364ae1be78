"""Each reason for which a version is taken back, one after the other, beside one that serves through all of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from examples.demo.kube import Manifest
from tests.e2e.models import Trait
from tests.e2e.scene import Scene, back_within, candidate, handled, rejected

STEPS = [{"weight": 50, "pause": {"duration": "90s"}}]
CANARY = {"type": "Canary", "steps": STEPS, "scaleDownDelay": "2s"}
SAYS_SOMETHING = {"name": "seven", "body": {"dataframe_split": {"columns": ["x"], "data": [[7.0]]}}}
MEMORY = {"spec": {"containers": [{"name": "serve", "resources": {"limits": {"memory": "640Mi"}}}]}}


@dataclass(frozen=True)
class Trigger:
    """A bad version, what finds it out, and whether it has traffic by then."""

    trait: Trait
    reason: str
    spec: Mapping[str, Any] = field(default_factory=dict)
    under_traffic: bool = False


def analysis(**limits: object) -> dict[str, Any]:
    return {"analysis": {"interval": "2s", "minRequests": 20, "failureLimit": 2, **limits}}


IN_ITS_POD = (
    Trigger(Trait.CANNOT_LOAD, "ModelLoadFailed"),
    Trigger(Trait.FAILS_ITS_EXAMPLE, "InputExampleFailed"),
    Trigger(Trait.FAILS_A_REQUEST, "VerificationRequestFailed"),
    Trigger(Trait.WANTS_MORE, "SignatureIncompatible"),
    Trigger(Trait.NEVER_READY, "ProgressDeadlineExceeded", {"progressDeadline": "8s"}),
    Trigger(Trait.BETTER, "PredictionsDiffer", analysis(predictions={"maxDifferent": "0%"})),
)
UNDER_TRAFFIC = (
    Trigger(Trait.FAILS_UNDER_TRAFFIC, "AnalysisFailed", analysis(maxErrorRate="1%"), under_traffic=True),
    Trigger(Trait.SLOW_UNDER_TRAFFIC, "AnalysisFailed", analysis(maxLatencyP95="150ms"), under_traffic=True),
    Trigger(Trait.GROWS_UNDER_TRAFFIC, "OOMKilled", under_traffic=True),
    Trigger(Trait.ENDS_UNDER_TRAFFIC, "CrashLoopBackOff", under_traffic=True),
)


def test_a_bad_version_found_out_in_its_pod_gets_no_request_and_waits_for_a_retry(scene: Scene) -> None:
    good = scene.serve(strategy=CANARY, verification={"requests": [SAYS_SOMETHING]})
    scene.start_traffic()
    bad = [_reject(scene, trigger) for trigger in IN_ITS_POD]

    last = bad[-1]["version"]
    scene.kill_operator()
    scene.namespace.kubectl("rollout", "status", "deployment/modelvane", "--timeout=60s", seconds=70)
    scene.annotate("pause", "is-anyone-there")
    seen = scene.until("it works again", lambda seen: handled(seen).get("pause") == "is-anyone-there")
    # Those before it were rejected under other terms: they would get another chance, and the history tells of them.
    assert seen["status"]["rejected"] == [bad[-1]]
    told = [entry["version"] for entry in seen["status"]["history"] if entry["outcome"] == "RolledBack"]
    assert told == [one["version"] for one in reversed(bad)]
    scene.stays_for(4, "it is not tried again by itself", lambda seen: not candidate(seen))
    scene.annotate("retry", "once-more")
    scene.until("it is tried again", lambda seen: candidate(seen).get("version") == last)
    again = scene.until_rejected(last)
    assert (again["reason"], again["at"] > bad[-1]["at"]) == ("PredictionsDiffer", True)
    scene.end_traffic(versions={good})


def test_a_bad_version_found_out_under_traffic_loses_it_at_once(scene: Scene) -> None:
    good = scene.serve(strategy=CANARY, template=MEMORY)
    scene.start_traffic()
    verdicts = [_reject(scene, trigger) for trigger in UNDER_TRAFFIC]
    scene.until_all_answers_are_by(good)
    slow = verdicts[1]["version"]
    # Whoever waits for the slow version sends nothing meanwhile.
    history = scene.end_traffic(versions={good, slow}, failing={one["version"] for one in verdicts}, rate=40)
    for verdict in verdicts:
        back_within(history, verdict)


def _reject(scene: Scene, trigger: Trigger) -> Manifest:
    """Promote a bad version and return the record of its rejection."""
    scene.patch({"analysis": None, "progressDeadline": None})
    scene.patch(trigger.spec)
    version = scene.add_version(trigger.trait)
    scene.promote(version)
    if trigger.under_traffic:
        scene.until(
            f"{trigger.trait.name} gets traffic",
            lambda seen: bool(rejected(seen, version)) or bool(candidate(seen).get("weight")),
        )
    verdict = scene.until_rejected(version, seconds=120)
    assert verdict["reason"] == trigger.reason, f"{trigger.trait.name}: {verdict}"
    print(f"{trigger.trait.name}: {verdict['message']}")
    return verdict
