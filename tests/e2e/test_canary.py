"""Canaries under traffic: steps, a person's word, a verdict, a gateway's exact weights."""

from examples.demo.kube import is_true
from tests.e2e.models import QUESTION, Trait
from tests.e2e.scene import CONNECTIONS, Scene

GATEWAY = "http://gateway.gateway-system.svc"
PARENT = {"name": "modelvane", "namespace": "gateway-system"}
ANALYSIS = {"interval": "3s", "minRequests": 20, "failureLimit": 2, "maxErrorRate": "1%"}


def canary(*steps: dict[str, object]) -> dict[str, object]:
    return {"type": "Canary", "steps": list(steps), "scaleDownDelay": "2s"}


def test_a_canary_follows_its_steps_and_waits_for_a_person(scene: Scene) -> None:
    steps = ({"weight": 33, "pause": {"duration": "3s"}}, {"weight": 50, "pause": {}})
    first = scene.serve(replicas=2, strategy=canary(*steps))
    scene.start_traffic()
    second = scene.add_version(Trait.BETTER)
    scene.promote(second)
    scene.until("the first step", lambda seen: seen["status"].get("candidate", {}).get("step") == 1)
    seen = scene.until("the pause", lambda seen: seen["status"]["phase"] == "Paused")
    candidate = seen["status"]["candidate"]
    assert (candidate["step"], candidate["weight"], candidate["paused"]) == (2, 50, "Step")
    scene.stays_for(4, "nobody resumed it", lambda seen: seen["status"]["phase"] == "Paused")
    scene.annotate("resume", "go")
    scene.until_serves(second)
    scene.until_all_answers_are_by(second)
    scene.end_traffic(versions={first, second})
    assert scene.status()["handled"]["resume"] == "go"


def test_a_canary_that_fails_requests_is_rolled_back(scene: Scene) -> None:
    steps = ({"weight": 30, "pause": {"duration": "60s"}},)
    first = scene.serve(replicas=2, strategy=canary(*steps), analysis=ANALYSIS)
    scene.start_traffic()
    bad = scene.add_version(Trait.FAILS_UNDER_TRAFFIC)
    scene.promote(bad)
    rejection = scene.until_rejected(bad)
    assert rejection["reason"] == "AnalysisFailed"
    scene.until_all_answers_are_by(first)
    traffic = scene.load.stop()
    assert traffic.versions == {first}
    assert all(f"by version {bad}" in why for why in traffic.errors()), traffic.errors()


def test_a_gateway_splits_exactly(scene: Scene) -> None:
    path = f"/{scene.namespace.name}"
    gateway = {"parentRefs": [PARENT], "path": path}
    steps = ({"weight": 10, "pause": {}}, {"weight": 70, "pause": {}})
    first = scene.serve(replicas=2, strategy=canary(*steps), gateway=gateway)
    scene.until(
        "the route is accepted",
        lambda seen: any(c["type"] == "RouteAccepted" and c["status"] == "True" for c in seen["status"]["conditions"]),
    )
    scene.load.start(f"{GATEWAY}{path}/invocations", QUESTION, rate=200, hold=CONNECTIONS)
    second = scene.add_version(Trait.BETTER)
    scene.promote(second)
    for weight in (10, 70):
        scene.until_weight(weight)
        scene.split_over(1000, second, weight)
        scene.annotate("resume", str(weight))
    scene.until_serves(second)
    scene.until_all_answers_are_by(second)
    scene.end_traffic(versions={first, second})
