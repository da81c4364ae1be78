"""The strategies: how many pods, how much traffic, and when it is over, in every situation of a candidate."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from modelvane.engine.memory import AnalysisSeen
from modelvane.engine.stage import Situation, Step
from modelvane.engine.state import Workload
from modelvane.engine.strategies import blue_green, canary, pods_for, rolling_update

from tests.unit.operator.builder import NOW, situation, workload

STARTED = NOW - timedelta(seconds=30)
ANALYSIS = {"interval": "10s"}
STEPS = {"type": "Canary", "steps": [{"weight": 10, "pause": {"duration": "1m"}}, {"weight": 50, "pause": {}}]}
PASSED = AnalysisSeen(since=STARTED, checked_at=NOW - timedelta(seconds=9), verdict="Passed", message="all is well")


def running(
    step: int | None = 1, started: datetime | None = None, weight: int = 0, **more: object
) -> dict[str, object]:
    return {"step": step, "steps": 2, "step_started_at": started, "weight": weight, **more}


# --- how many pods carry a weight

WEIGHTS = [0, 1, 10, 20, 25, 33, 50, 75, 99, 100]
PODS = """
replicas  gateway   0    1   10   20   25   33   50   75   99  100
       1  yes       1    1    1    1    1    1    1    1    1    1
       2  yes       1    1    1    1    1    1    1    2    2    2
       3  yes       1    1    1    1    1    1    2    3    3    3
       4  yes       1    1    1    1    1    2    2    3    4    4
      10  yes       1    1    1    2    3    4    5    8   10   10
      20  yes       1    1    2    4    5    7   10   15   20   20
       1  no        1    1    1    1    1    1    1    1    1    1
       2  no        1    1    1    1    1    1    2    2    2    2
       3  no        1    1    1    1    1    2    3    3    3    3
       4  no        1    1    1    1    1    2    4    4    4    4
      10  no        1    1    1    3    3    5   10   10   10   10
      20  no        1    1    2    5    7   10   20   20   20   20
"""


@pytest.mark.parametrize("row", PODS.strip().splitlines()[1:])
def test_a_weight_needs_pods(row: str) -> None:
    replicas, gateway, *pods = row.split()
    found = [pods_for(weight, int(replicas), exact=gateway == "yes") for weight in WEIGHTS]
    assert found == [int(number) for number in pods]


# --- every strategy, from no pod to all of them and back

CANDIDATES: dict[str, Workload | None] = {
    "no pod": None,
    "starting": workload("2", replicas=1),
    "one": workload("2", replicas=1, ready=1),
    "one of 2": workload("2", ready=1),
    "new": workload("2", ready=2, ready_for=1),
    "all": workload("2", ready=2),
    "lost": workload("2"),
}
ROLLING = """
candidate   gateway  analysis   pods  weight  then
no pod      no       no         1     0       stay
starting    no       no         1     0       stay
one         no       no         2     50      stay
new         no       no         2     50      stay
all         no       no         2     100     promote
lost        no       no         2     0       stay
one         yes      no         2     50      stay
new         yes      no         2     0       stay
all         yes      no         2     100     promote
all         no       no check   2     50      stay
all         yes      no check   2     50      stay
all         no       passed     2     100     promote
all         yes      passed     2     100     promote
one of 2    yes      passed     2     50      stay
"""
BLUE_GREEN = """
candidate   gateway  analysis   pods  weight  then
no pod      no       no         1     0       stay
starting    no       no         1     0       stay
one         no       no         2     0       stay
new         no       no         2     0       stay
all         no       no         2     100     promote
all         yes      no         2     100     promote
lost        yes      no         2     0       stay
all         no       no check   2     100     stay
all         yes      no check   2     100     stay
all         yes      passed     2     100     promote
one of 2    yes      passed     2     0       stay
"""
CANARY = """
candidate   gateway  step started  analysis  pods  weight  then
no pod      no       1    no       no        1     0       stay
one         no       1    no       no        1     10      stay
one         yes      1    no       no        1     10      stay
one         yes      1    long ago no        1     50      step 2
one         no       1    long ago no        2     10      step 2
one         yes      1    long ago no check  1     10      stay
one         yes      1    long ago passed    1     50      step 2
one         yes      2    no       no        1     50      stay
one         no       2    no       no        2     10      stay
all         no       2    no       no        2     50      stay
lost        yes      2    no       no        2     0       stay
one         yes      3    no       no        2     50      stay
new         yes      3    no       no        2     0       stay
all         yes      3    no       no        2     100     promote
all         no       3    no       passed    2     100     promote
"""
LONG_AGO = {"no": None, "long ago": NOW - timedelta(minutes=2)}


def rows(table: str) -> list[list[str]]:
    """Cut a table into its columns, which begin where the words of its head do."""
    head, *lines = table.strip().splitlines()
    starts = [i for i, letter in enumerate(head) if letter != " " and (i == 0 or head[i - 1] == " ")]
    return [[line[a:b].strip() for a, b in zip(starts, [*starts[1:], None], strict=True)] for line in lines]


def seen(analysis: str) -> dict[str, Any]:
    return {"analysis": PASSED} if analysis == "passed" else {}


MOVES = [(rolling_update, row) for row in rows(ROLLING)] + [(blue_green, row) for row in rows(BLUE_GREEN)]


@pytest.mark.parametrize(("strategy", "row"), MOVES, ids=lambda it: it.__name__ if callable(it) else " | ".join(it))
def test_a_rolling_update_moves_with_readiness_and_blue_green_all_at_once(
    strategy: Callable[[Situation], Step], row: list[str]
) -> None:
    candidate, gateway, analysis, pods, weight, then = row
    s = situation(
        CANDIDATES[candidate],
        exact=gateway == "yes",
        analysis=None if analysis == "no" else ANALYSIS,
        remembered=running(started=STARTED if analysis == "passed" else None, **seen(analysis)),
    )
    step = strategy(s)
    assert (step.replicas, step.weight, "promote" if step.promote else "stay") == (int(pods), int(weight), then)


@pytest.mark.parametrize("row", rows(CANARY), ids=" | ".join)
def test_a_canary_follows_its_steps(row: list[str]) -> None:
    candidate, gateway, at, started, analysis, pods, weight, then = row
    s = situation(
        CANDIDATES[candidate],
        exact=gateway == "yes",
        strategy=STEPS,
        analysis=None if analysis == "no" else ANALYSIS,
        remembered=running(int(at), LONG_AGO[started], **seen(analysis)),
    )
    step = canary(s)
    now = "promote" if step.promote else "stay" if step.step == int(at) else f"step {step.step}"
    assert (step.replicas, step.weight, now) == (int(pods), int(weight), then)


# --- what interferes


def test_steps_without_a_pause_and_with_the_pods_for_both_are_taken_in_one() -> None:
    strategy = {"type": "Canary", "steps": [{"weight": 10}, {"weight": 50, "pause": {}}]}
    step = canary(situation(CANDIDATES["one"], exact=True, strategy=strategy, remembered=running()))
    assert (step.step, step.weight, step.paused, step.step_started_at) == (2, 50, "Step", NOW)


def test_steps_that_were_taken_away_are_done() -> None:
    strategy = {"type": "Canary", "steps": [{"weight": 10}]}
    step = canary(situation(CANDIDATES["all"], strategy=strategy, remembered=running(step=5)))
    assert step.promote


def test_steps_that_were_added_are_still_to_be_done() -> None:
    strategy = {"type": "Canary", "steps": [{"weight": 10}, {"weight": 20, "pause": {}}]}
    step = canary(situation(CANDIDATES["one"], exact=True, strategy=strategy, remembered=running(step=2)))
    assert (step.step, step.weight, step.paused, step.promote) == (2, 20, "Step", False)


@pytest.mark.parametrize(("ready", "weight"), [(5, 50), (4, 40), (1, 10), (0, 0)])
def test_a_canary_that_loses_pods_keeps_what_the_others_carry(ready: int, weight: int) -> None:
    candidate = workload("2", replicas=5, ready=ready)
    remembered = running(step=2, started=STARTED, weight=50)
    step = canary(situation(candidate, wanted=10, exact=True, strategy=STEPS, remembered=remembered))
    assert (step.replicas, step.weight) == (5, weight)


def test_a_deployment_that_is_scaled_up_in_a_step_leaves_the_canary_its_share() -> None:
    s = situation(
        CANDIDATES["one"],
        wanted=10,
        strategy={"type": "Canary", "steps": [{"weight": 33, "pause": {}}]},
        remembered=running(started=STARTED, weight=33),
    )
    step = canary(s)
    assert (step.replicas, step.weight > 0, step.step_started_at) == (5, True, STARTED)


def test_traffic_is_not_shared_while_pods_of_a_third_revision_would_get_some() -> None:
    s = situation(CANDIDATES["one"], strategy=STEPS, others_serve=True, remembered=running())
    assert canary(s).step_started_at is None
    assert canary(s).clear_others
    judged = situation(CANDIDATES["all"], analysis=ANALYSIS, others_serve=True, remembered=running())
    assert rolling_update(judged).step_started_at is None


def test_nothing_is_in_effect_until_the_gateway_can_send_to_the_candidate() -> None:
    for strategy in (rolling_update, blue_green):
        step = strategy(situation(CANDIDATES["all"], exact=True, routable=False, remembered=running()))
        assert (step.promote, step.step_started_at) == (False, None)
    step = canary(situation(CANDIDATES["all"], exact=True, routable=False, strategy=STEPS, remembered=running()))
    assert step.step_started_at is None
    done = running(step=3)
    assert not canary(situation(CANDIDATES["all"], exact=True, routable=False, strategy=STEPS, remembered=done)).promote


def test_blue_green_stays_switched_while_it_is_as_good_as_stable() -> None:
    remembered = running(started=STARTED, weight=100)
    s = situation(CANDIDATES["all"], wanted=4, analysis=ANALYSIS, remembered=remembered)
    assert (blue_green(s).weight, blue_green(s).promote) == (100, False)
    s = situation(CANDIDATES["one of 2"], analysis=ANALYSIS, remembered=remembered)
    assert blue_green(s).weight == 0


def test_a_blue_green_candidate_that_answers_in_stables_place_is_not_promoted_for_it() -> None:
    s = situation(CANDIDATES["one of 2"], stable=workload("1"), remembered=running(weight=100))
    assert not blue_green(s).promote


HELD: dict[str, Any] = {"paused": "Request"}


@pytest.mark.parametrize("strategy", [rolling_update, blue_green, canary])
@pytest.mark.parametrize("candidate", list(CANDIDATES))
def test_a_rollout_that_a_person_paused_is_never_promoted(
    strategy: Callable[[Situation], Step], candidate: str
) -> None:
    for at in (1, 2, 3):
        s = situation(CANDIDATES[candidate], strategy=STEPS, remembered=running(at, STARTED, **HELD))
        step = strategy(s)
        assert (step.promote, step.paused) == (False, "Request")


@pytest.mark.parametrize("strategy", [rolling_update, canary])
@pytest.mark.parametrize(("weight", "stays"), [(0, 0), (20, 20), (90, 50)])
def test_a_rollout_that_a_person_paused_gets_no_more_traffic(
    strategy: Callable[[Situation], Step], weight: int, stays: int
) -> None:
    held = running(2 if strategy is canary else 1, STARTED, weight=weight, **HELD)
    s = situation(CANDIDATES["one of 2"], strategy=STEPS, exact=True, analysis=ANALYSIS, remembered=held)
    assert strategy(s).weight == stays


def test_a_paused_blue_green_rollout_does_not_switch_nor_run_out_of_time() -> None:
    step = blue_green(situation(CANDIDATES["all"], analysis=ANALYSIS, remembered=running(**HELD)))
    assert (step.weight, step.step_started_at) == (0, None)
    switched = running(started=STARTED, weight=100, **HELD)
    assert blue_green(situation(CANDIDATES["all"], analysis=ANALYSIS, remembered=switched)).weight == 100


def test_a_person_who_asks_to_go_on_needs_no_check() -> None:
    remembered = running(started=STARTED)
    assert rolling_update(situation(CANDIDATES["all"], analysis=ANALYSIS, skip=True, remembered=remembered)).promote
    assert blue_green(situation(CANDIDATES["all"], analysis=ANALYSIS, skip=True, remembered=remembered)).promote
    asked = situation(CANDIDATES["one"], strategy=STEPS, exact=True, skip=True, remembered=remembered)
    assert (canary(asked).step, canary(asked).weight, canary(asked).paused) == (2, 50, "Step")


@pytest.mark.parametrize("strategy", [rolling_update, blue_green, canary])
def test_a_person_who_asks_to_go_on_is_heard_while_a_pod_is_missing(strategy: Callable[[Situation], Step]) -> None:
    lost = running(started=STARTED, weight=50)
    for candidate in (CANDIDATES["one of 2"], CANDIDATES["lost"]):
        s = situation(candidate, wanted=4, strategy=STEPS, analysis=ANALYSIS, skip=True, remembered=lost)
        step = strategy(s)
        assert (step.step, step.promote) == (2, False)


@pytest.mark.parametrize("strategy", [rolling_update, blue_green])
def test_what_was_asked_for_while_a_pod_was_missing_is_done_when_it_is_back(
    strategy: Callable[[Situation], Step],
) -> None:
    s = situation(CANDIDATES["all"], analysis=ANALYSIS, remembered=running(2, STARTED))
    assert strategy(s).promote
