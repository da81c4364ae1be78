"""The promises, held against histories that Hypothesis makes up and makes small when one of them breaks a promise.

Every rule is something that people, nature or a kill of the operator may do at any time. The same histories run each
time; `MODELVANE_EXAMPLES=5000 pytest tests/unit/operator/test_machine.py` runs as many new ones.
"""

import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.unit.operator.promises import check_end, rest
from tests.unit.operator.simulator import GATEWAY, Nature, World

EXAMPLES = int(os.environ.get("MODELVANE_EXAMPLES", "0"))

NATURES: list[Nature] = ["good", "good", "broken", "hangs", "dies", "erring", "slow", "quiet", "different", "mute"]
STRATEGIES: list[dict[str, Any]] = [
    {"type": "RollingUpdate"},
    {"type": "BlueGreen"},
    {"type": "Canary", "steps": [{"weight": 10}, {"weight": 50}]},
    {"type": "Canary", "steps": [{"weight": 25, "pause": {"duration": "20s"}}, {"weight": 60, "pause": {}}]},
    {"type": "Canary", "steps": [{"weight": 0, "pause": {"duration": "5s"}}, {"weight": 100, "pause": {}}]},
    {"type": "Canary", "steps": [{"weight": 30, "pause": {}}]},
]
MIRRORS: list[dict[str, Any] | None] = [None, {"percent": 20, "duration": "10s"}]
LIMITS = {"interval": "5s", "minRequests": 10, "maxErrorRate": "5%", "maxLatencyP99": "50ms"}
ANALYSES: list[dict[str, Any] | None] = [
    None,
    LIMITS,
    {**LIMITS, "onInconclusive": "Promote", "failureLimit": 1},
    {**LIMITS, "onInconclusive": "RollBack", "predictions": {"maxDifferent": "5%"}},
    {**LIMITS, "predictions": {"maxDifferent": "5%"}},
]


class Rollouts(RuleBasedStateMachine):
    """Everything that can happen to a ModelDeployment."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @initialize(gateway=st.booleans(), strategy=st.sampled_from(STRATEGIES), analysis=st.sampled_from(ANALYSES))
    def start(self, gateway: bool, strategy: dict[str, Any], analysis: dict[str, Any] | None) -> None:
        self.switch_gateway(gateway)
        self.change_strategy(strategy, None, 10)
        self.change_analysis(analysis)
        self.world.promote("1")
        self.world.wait(30)
        self.world.promote("2")

    @rule(version=st.integers(1, 6), nature=st.sampled_from(NATURES))
    def promote(self, version: int, nature: Nature) -> None:
        self.world.promote(str(version), nature)

    @rule(replicas=st.integers(0, 5))
    def scale(self, replicas: int) -> None:
        self.world.spec["replicas"] = replicas

    @rule(template=st.integers(0, 2))
    def change_template(self, template: int) -> None:
        self.world.template = template
        self.world.blamed.clear()

    @rule(strategy=st.sampled_from(STRATEGIES), mirror=st.sampled_from(MIRRORS), delay=st.sampled_from([0, 10, 60]))
    def change_strategy(self, strategy: dict[str, Any], mirror: dict[str, Any] | None, delay: int) -> None:
        wanted = {**strategy, "scaleDownDelay": f"{delay}s"}
        self.world.spec["strategy"] = {**wanted, "mirror": mirror} if mirror else wanted
        self.world.blamed.clear()

    @rule(analysis=st.sampled_from(ANALYSES))
    def change_analysis(self, analysis: dict[str, Any] | None) -> None:
        self.world.spec["analysis"] = analysis
        self.world.blamed.clear()

    @rule(wanted=st.booleans())
    def switch_gateway(self, wanted: bool) -> None:
        self.world.spec["gateway"] = GATEWAY if wanted else None

    @rule(suspend=st.booleans())
    def suspend(self, suspend: bool) -> None:
        self.world.spec["suspend"] = suspend

    @rule(reachable=st.booleans())
    def lose_registry(self, reachable: bool) -> None:
        self.world.reachable = reachable

    @rule(registering=st.booleans())
    def register(self, registering: bool) -> None:
        self.world.registering = registering

    @rule(refusing=st.booleans())
    def refuse(self, refusing: bool) -> None:
        self.world.refusing = refusing

    @rule()
    def lose_status(self) -> None:
        self.world.lose_status()

    @rule(choice=st.sampled_from(["Keep", "ScaleToZero"]))
    def remove_pointer(self, choice: str) -> None:
        self.world.spec["onPointerRemoved"] = choice
        self.world.pointer = None

    @rule(request=st.sampled_from(["pause", "resume", "resume", "abort", "retry"]))
    def ask(self, request: str) -> None:
        self.world.ask(request)

    @rule(seed=st.integers(0, 20))
    def restart_a_pod(self, seed: int) -> None:
        self.world.random.seed(seed)
        self.world.restart_a_pod()

    @rule(cut_after=st.integers(0, 4))
    def run_and_kill(self, cut_after: int) -> None:
        self.world.reconcile(cut_after=cut_after)
        self.world.kill()

    @rule(seconds=st.sampled_from([0.3, 1, 2.2, 5, 20, 90, 3600]))
    def wait(self, seconds: float) -> None:
        self.world.wait(seconds)

    def teardown(self) -> None:
        """Let the inputs end: the rollout comes to rest by itself, and to its end when people let it go on."""
        world = self.world
        rest(world)
        world.reachable, world.registering, world.refusing = True, False, False
        world.spec["suspend"] = False
        rest(world)
        for _ in range(20):
            if "paused" not in world.status.get("candidate", {}):
                break
            world.ask("resume")
            rest(world)
        check_end(world)


Rollouts.TestCase.settings = settings(
    max_examples=EXAMPLES or 150,
    stateful_step_count=25,
    derandomize=not EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
TestRollouts = Rollouts.TestCase
