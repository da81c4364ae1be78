"""Which revision is stable, which is candidate: every transition, and the sentences people read."""

from dataclasses import replace
from datetime import timedelta

import pytest
from modelvane.cluster.manifests import build_route
from modelvane.engine.decide import decide
from modelvane.engine.memory import Candidate, Condition, Handled, HistoryEntry
from modelvane.engine.state import (
    Absent,
    Failure,
    Found,
    Live,
    NotReady,
    Revision,
    Split,
    Traffic,
    Unreachable,
    Unread,
)

from tests.unit.operator.builder import (
    HASH,
    LONG_AGO,
    NOW,
    POINTER,
    Builder,
    a_deployment,
    revision,
    workload,
)

BROKEN = Failure("ModelLoadFailed", "it raised ValueError: no", permanent=True)
DOWN = Unreachable("ConnectionRefused", "http://mlflow:5000 refuses connections")


def events(builder: Builder) -> list[str]:
    return [event.reason for event in decide(builder.observed(), NOW).events]


# --- first deployment


def test_a_first_version_starts_with_all_replicas_and_is_selected_at_once() -> None:
    plan = decide(a_deployment().finds(Found("1")).observed(), NOW)
    assert plan.create == ((Revision("1", HASH), 2),)
    assert plan.traffic == Traffic(revision("1"))
    assert plan.memory.candidate is not None
    assert plan.memory.candidate.since == NOW
    assert [(e.reason, e.message) for e in plan.events] == [
        ("VersionResolved", "serving nothing yet, models:/iris/Production is version 1"),
        ("RolloutStarted", "serving nothing yet, rolling out version 1"),
    ]


def test_a_first_version_is_promoted_with_its_first_verified_pod() -> None:
    plan = decide(a_deployment().wants("1").rolling("1", replicas=2, ready=1, ready_for=0).observed(), NOW)
    assert plan.memory.stable is not None
    assert plan.memory.stable.version == "1"
    assert plan.memory.candidate is None
    assert plan.memory.history[0].outcome == "Promoted"
    assert [e.message for e in plan.events] == ["serving version 1, the first version"]


def test_a_first_version_with_a_verified_pod_is_not_rejected_for_another_pod() -> None:
    builder = a_deployment().wants("1").rolling("1", replicas=2, ready=1, failure=BROKEN)
    plan = decide(builder.observed(), NOW)
    assert plan.memory.stable is not None
    assert not plan.memory.rejected


def test_a_broken_first_version_is_rejected_and_nothing_is_left() -> None:
    plan = decide(a_deployment().wants("1").rolling("1", replicas=2, failure=BROKEN).observed(), NOW)
    assert plan.memory.stable is None
    assert [w.version for w in plan.delete] == ["1"]
    assert plan.memory.rejected[0].reason == "ModelLoadFailed"
    assert plan.hold is not None
    assert plan.hold.message == (
        "serving nothing yet, version 1 is rejected: ModelLoadFailed: it raised ValueError: no"
    )


# --- at rest


def test_at_rest_nothing_is_asked_for() -> None:
    plan = decide(a_deployment().wants("1").serving("1").observed(), NOW)
    assert (plan.create, plan.scale, plan.delete, plan.events, plan.wake_after) == ((), (), (), (), None)
    assert plan.memory == a_deployment().wants("1").serving("1").observed().memory


def test_stable_follows_the_replicas_at_once() -> None:
    plan = decide(a_deployment().with_spec(replicas=5).wants("1").serving("1").observed(), NOW)
    assert [(w.version, n) for w, n in plan.scale] == [("1", 5)]


def test_a_deleted_deployment_of_stable_is_made_again() -> None:
    builder = a_deployment().wants("1").serving("1")
    builder.workloads.clear()
    plan = decide(builder.observed(), NOW)
    assert plan.create == ((Revision("1", HASH), 2),)
    assert plan.memory.candidate is None


def test_crashing_pods_of_stable_are_no_reason_to_take_it_away() -> None:
    builder = a_deployment().wants("1")
    builder.serving("1", ready=0)
    builder.workloads[0] = workload("1", ready=0, failure=BROKEN)
    plan = decide(builder.observed(), NOW)
    assert plan.delete == ()
    assert plan.memory.rejected == ()


# --- the rollout


def test_a_moved_pointer_starts_one_pod_without_traffic() -> None:
    plan = decide(a_deployment().knows("1").finds(Found("2")).serving("1").observed(), NOW)
    assert plan.create == ((Revision("2", HASH), 1),)
    assert plan.traffic == Traffic(revision("1"))
    assert [e.message for e in plan.events] == [
        "serving version 1, models:/iris/Production is version 2",
        "serving version 1, rolling out version 2",
    ]


def test_the_first_verified_pod_shares_the_traffic_and_the_rest_is_started() -> None:
    builder = a_deployment().wants("2").serving("1").rolling("2", ready=1)
    builder.remembers(
        candidate=builder.memory.candidate and builder.memory.candidate.model_copy(update={"ready_replicas": 0})
    )
    plan = decide(builder.observed(), NOW)
    assert plan.traffic == Traffic(None)
    assert [(w.version, n) for w, n in plan.scale] == [("2", 2)]
    assert [e.reason for e in plan.events] == ["CandidateReady", "TrafficShifted"]
    assert plan.memory.candidate is not None
    assert plan.memory.candidate.weight == 33


def test_all_verified_pods_take_over_and_the_old_ones_stay_warm() -> None:
    plan = decide(
        a_deployment().wants("2").serving("1").rolling("2", replicas=2, ready=2, shifting=True).observed(), NOW
    )
    assert plan.traffic == Traffic(revision("2"))
    assert plan.delete == ()
    assert plan.wake_after == timedelta(seconds=30)
    assert plan.memory.stable is not None
    assert plan.memory.stable.since == NOW
    assert [e.message for e in plan.events] == ["serving version 2, in place of version 1"]


def test_pods_that_are_ready_since_a_moment_do_not_take_over_alone_yet() -> None:
    builder = a_deployment().wants("2").serving("1").rolling("2", replicas=2, ready=2, ready_for=1, shifting=True)
    plan = decide(builder.observed(), NOW)
    assert plan.traffic == Traffic(None)
    assert plan.wake_after == timedelta(seconds=2)


def test_a_warm_revision_goes_when_its_time_is_over() -> None:
    builder = a_deployment().wants("2").serving("2").keeping_warm("1", until=NOW)
    plan = decide(builder.observed(), NOW)
    assert [w.version for w in plan.delete] == ["1"]
    assert plan.memory.warm is None
    plan = decide(builder.observed(), NOW - timedelta(seconds=7))
    assert (plan.delete, plan.wake_after) == ((), timedelta(seconds=7))


def test_a_pointer_that_moves_back_to_a_warm_revision_is_promoted_in_one_step() -> None:
    builder = a_deployment().knows("2").finds(Found("1")).serving("2", since=NOW - timedelta(seconds=5))
    plan = decide(builder.besides(workload("1", ready=2)).observed(), NOW)
    assert plan.traffic == Traffic(revision("1"))
    assert plan.memory.stable is not None
    assert plan.memory.stable.version == "1"
    assert plan.delete == ()


def test_traffic_is_not_shared_while_pods_of_a_third_revision_exist() -> None:
    builder = a_deployment().wants("3").serving("2", since=NOW - timedelta(seconds=5)).rolling("3", ready=1)
    plan = decide(builder.besides(workload("1", ready=2)).observed(), NOW)
    assert plan.traffic == Traffic(revision("2"))
    assert [w.version for w in plan.delete] == ["1"]


def test_a_newer_pointer_supersedes_the_running_candidate() -> None:
    builder = a_deployment().knows("2").finds(Found("3")).serving("1").rolling("2", ready=1, shifting=True)
    plan = decide(builder.observed(), NOW)
    assert plan.traffic == Traffic(revision("1"))
    assert [w.version for w in plan.delete] == ["2"]
    assert plan.create == ((Revision("3", HASH), 1),)
    assert [(h.version, h.outcome, h.message) for h in plan.memory.history] == [
        ("2", "Superseded", "version 3 is wanted now")
    ]


def test_a_pointer_that_moves_back_to_stable_drops_the_candidate() -> None:
    builder = a_deployment().knows("2").finds(Found("1")).serving("1").rolling("2", ready=1, shifting=True)
    plan = decide(builder.observed(), NOW)
    assert plan.traffic == Traffic(revision("1"))
    assert [w.version for w in plan.delete] == ["2"]
    assert plan.memory.candidate is None


def test_a_changed_template_rolls_the_same_version() -> None:
    plan = decide(a_deployment().wants("1").serving("1").templated("bbbbbbbb").observed(), NOW)
    assert plan.create == ((Revision("1", "bbbbbbbb"), 1),)
    assert plan.traffic == Traffic(revision("1"))


def test_scaled_to_zero_no_rollout_starts() -> None:
    builder = a_deployment().with_spec(replicas=0).wants("2").serving("1", replicas=0, ready=0)
    plan = decide(builder.observed(), NOW)
    assert (plan.create, plan.memory.candidate) == ((), None)


# --- rejection


def test_a_broken_candidate_gives_the_traffic_back_before_it_goes() -> None:
    builder = a_deployment().wants("2").serving("1").rolling("2", replicas=2, ready=1, failure=BROKEN, shifting=True)
    plan = decide(builder.observed(), NOW)
    assert plan.traffic == Traffic(revision("1"))
    assert [w.version for w in plan.delete] == ["2"]
    assert [(e.reason, e.type, e.message) for e in plan.events] == [
        (
            "Rejected",
            "Warning",
            "serving version 1, version 2 is rejected: ModelLoadFailed: it raised ValueError: no",
        ),
        ("RolledBack", "Normal", "all traffic is back on version 1"),
    ]
    assert plan.memory.history[0].outcome == "RolledBack"


def test_a_rejected_version_is_not_tried_again() -> None:
    plan = decide(a_deployment().wants("2").serving("1").rejecting("2").observed(), NOW)
    assert (plan.create, plan.memory.candidate, plan.events) == ((), None, ())
    assert plan.hold is not None
    assert plan.hold.reason == "ModelLoadFailed"
    assert plan.hold.message == "serving version 1, version 2 is rejected: ModelLoadFailed: it raised"


def test_a_pointer_that_moves_onto_a_rejected_version_anew_is_a_new_wish() -> None:
    plan = decide(a_deployment().knows("1").finds(Found("2")).serving("1").rejecting("2").observed(), NOW)
    assert plan.create == ((Revision("2", HASH), 1),)


def test_a_new_retry_annotation_tries_a_rejected_version_again() -> None:
    plan = decide(a_deployment().wants("2").serving("1").rejecting("2").annotated(retry="now").observed(), NOW)
    assert plan.create == ((Revision("2", HASH), 1),)
    assert plan.memory.handled == Handled(retry="now", answer="retry: version 2 was rejected and is tried again")
    assert [e.reason for e in plan.events] == ["Retrying", "RolloutStarted"]


def test_an_answered_retry_annotation_does_nothing() -> None:
    builder = a_deployment().wants("2").serving("1").rejecting("2").annotated(retry="now")
    plan = decide(builder.remembers(handled=Handled(retry="now")).observed(), NOW)
    assert plan.create == ()
    assert plan.hold is not None


def test_another_template_is_another_revision_and_may_be_tried() -> None:
    plan = decide(a_deployment().wants("2").serving("1").rejecting("2").templated("bbbbbbbb").observed(), NOW)
    assert plan.create == ((Revision("2", "bbbbbbbb"), 1),)


def test_a_lost_stable_with_a_rejected_wish_falls_back_to_the_last_good_version() -> None:
    entry = HistoryEntry(version="1", started_at=LONG_AGO, finished_at=LONG_AGO, outcome="Promoted", message="")
    builder = a_deployment().wants("2").serving("1").rejecting("2").remembers(history=(entry,))
    builder.remembers(stable=builder.memory.stable and builder.memory.stable.model_copy(update={"revision": "v1-old"}))
    builder.workloads.clear()
    assert decide(builder.observed(), NOW).create == ((Revision("1", HASH), 2),)


@pytest.mark.parametrize(
    ("pointer", "created"),
    [(POINTER, ["7"]), ("default: models:/wine@champion", []), ("other: models:/iris/Production", [])],
)
def test_the_last_good_version_is_one_of_the_model_that_is_wanted(pointer: str, created: list[str]) -> None:
    served = {"version": "7", "outcome": "Promoted", "message": ""}
    entry = HistoryEntry(pointer=pointer, started_at=LONG_AGO, finished_at=LONG_AGO, **served)
    builder = a_deployment().wants("2").rejecting("2").remembers(history=(entry,))
    assert [made.version for made, _ in decide(builder.observed(), NOW).create] == created


# --- what the registry does not say


@pytest.mark.parametrize("resolution", [DOWN, Unread(), NotReady("2", "version 2 is PENDING_REGISTRATION, not READY")])
def test_no_answer_takes_nothing_away_and_starts_nothing(resolution: Unreachable | Unread | NotReady) -> None:
    builder = a_deployment().knows("1").finds(resolution).serving("1").templated("bbbbbbbb")
    plan = decide(builder.observed(), NOW)
    assert (plan.create, plan.delete, plan.scale) == ((), (), ())
    assert plan.traffic == Traffic(revision("1"))
    assert plan.memory.desired == builder.memory.desired


def test_a_running_rollout_goes_on_without_the_registry() -> None:
    builder = a_deployment().knows("2").finds(DOWN).serving("1").rolling("2", replicas=2, ready=2)
    plan = decide(builder.observed(), NOW)
    assert plan.memory.stable is not None
    assert plan.memory.stable.version == "2"


def test_a_candidates_deadline_begins_anew_when_the_registry_answers_again() -> None:
    long_ago = NOW - timedelta(hours=1)
    away = a_deployment().knows("2").finds(DOWN).serving("1").rolling("2", replicas=2, ready=1, waiting_since=long_ago)
    waiting = decide(away.observed(), NOW).memory.candidate
    assert waiting is not None
    assert waiting.waiting_since is None
    back = a_deployment().wants("2").serving("1").rolling("2", replicas=2, ready=1, waiting_since=None)
    memory = decide(back.observed(), NOW).memory
    assert memory.rejected == ()
    assert memory.candidate is not None
    assert memory.candidate.waiting_since == NOW


def test_a_registry_that_went_away_and_came_back_is_told_once_each() -> None:
    down = Condition(type="RegistryReachable", status="False", reason="x", message="", last_transition_time=NOW)
    assert events(a_deployment().knows("1").finds(DOWN).serving("1")) == ["RegistryUnreachable"]
    assert events(a_deployment().knows("1").finds(DOWN).serving("1").remembers(conditions=(down,))) == []
    assert events(a_deployment().wants("1").serving("1").remembers(conditions=(down,))) == ["RegistryRecovered"]


def test_a_missing_model_registry_freezes() -> None:
    plan = decide(a_deployment().knows("2").finds(DOWN).serving("1").templated(None).observed(), NOW)
    assert (plan.create, plan.delete) == ((), ())


# --- the pointer is removed


GONE = Absent("model iris has no version in stage Production")


def test_a_removed_pointer_keeps_serving() -> None:
    plan = decide(a_deployment().knows("1").finds(GONE).serving("1").observed(), NOW)
    assert plan.delete == ()
    assert plan.memory.stable is not None
    assert [e.message for e in plan.events] == ["serving version 1; model iris has no version in stage Production"]


def test_a_removed_pointer_aborts_a_running_rollout() -> None:
    plan = decide(a_deployment().knows("2").finds(GONE).serving("1").rolling("2").observed(), NOW)
    assert [w.version for w in plan.delete] == ["2"]
    assert plan.memory.history[0].outcome == "Aborted"


def test_a_removed_pointer_takes_everything_down_when_asked_to() -> None:
    builder = a_deployment().with_spec(onPointerRemoved="ScaleToZero").knows("1").finds(GONE).serving("1")
    plan = decide(builder.observed(), NOW)
    assert plan.memory.stable is None
    assert [w.version for w in plan.delete] == ["1"]
    assert [e.reason for e in plan.events] == ["PointerRemoved", "ScaledDown"]


def test_a_pointer_that_never_led_anywhere_takes_nothing_down() -> None:
    builder = a_deployment().with_spec(onPointerRemoved="ScaleToZero", model={"name": "iris", "alias": "chmapion"})
    plan = decide(builder.knows("1").finds(Absent("model iris has no alias chmapion")).serving("1").observed(), NOW)
    assert plan.delete == ()
    assert plan.memory.stable is not None


# --- suspended


def test_suspended_nothing_rolls_but_stable_is_scaled() -> None:
    plan = decide(a_deployment().with_spec(suspend=True, replicas=3).wants("2").serving("1").observed(), NOW)
    assert plan.create == ()
    assert [(w.version, n) for w, n in plan.scale] == [("1", 3)]


def test_suspended_a_running_rollout_stands_still_and_so_does_its_clock() -> None:
    builder = a_deployment().with_spec(suspend=True).wants("2").serving("1")
    plan = decide(builder.rolling("2", ready=1, since=LONG_AGO, shifting=True).observed(), NOW)
    assert plan.traffic is None
    assert (plan.delete, plan.scale) == ((), ())
    assert plan.memory.candidate is not None
    assert plan.memory.candidate.waiting_since is None


def test_resumed_the_clock_starts_anew() -> None:
    plan = decide(a_deployment().wants("2").serving("1").rolling("2", waiting_since=None).observed(), NOW)
    assert plan.memory.candidate is not None
    assert plan.memory.candidate.waiting_since == NOW


# --- trouble around it


def test_a_foreign_service_of_the_same_name_is_never_touched() -> None:
    builder = a_deployment().finds(Found("1")).but(service_taken="a Service iris exists and is not ours")
    plan = decide(builder.observed(), NOW)
    assert (plan.create, plan.traffic) == ((), None)
    assert plan.hold is not None
    assert plan.hold.reason == "NameTaken"


def test_a_lost_status_takes_up_what_serves() -> None:
    builder = a_deployment().finds(Found("2")).besides(workload("1", ready=2)).selecting(Traffic(revision("1")))
    plan = decide(builder.observed(), NOW)
    assert plan.memory.stable is not None
    assert plan.memory.stable.version == "1"
    assert plan.create == ((Revision("2", HASH), 1),)


def test_children_of_a_deleted_namesake_are_waited_for() -> None:
    plan = decide(a_deployment().wants("1").serving("1").but(taken=frozenset({"iris-v1-old"})).observed(), NOW)
    assert plan.wake_after == timedelta(seconds=1)


def test_the_pointer_names_its_registry() -> None:
    plan = decide(a_deployment().finds(Found("1")).observed(), NOW)
    assert plan.memory.desired is not None
    assert plan.memory.desired.pointer == POINTER


def test_an_outage_does_not_hide_that_the_wanted_version_is_rejected() -> None:
    for resolution in (DOWN, Unread()):
        plan = decide(a_deployment().knows("2").finds(resolution).serving("1").rejecting("2").observed(), NOW)
        assert plan.hold is not None
        assert plan.hold.message == "serving version 1, version 2 is rejected: ModelLoadFailed: it raised"
    suspended = a_deployment().with_spec(suspend=True).wants("2").serving("1").rejecting("2")
    assert decide(suspended.observed(), NOW).hold is None


def test_a_lost_status_deletes_nothing_while_the_registry_is_not_read() -> None:
    builder = a_deployment().finds(Unread()).besides(workload("1", ready=0)).selecting(Traffic(revision("1")))
    assert decide(builder.observed(), NOW).delete == ()


# --- the spec changes in the middle of a rollout


CANARY = {"type": "Canary", "steps": [{"weight": 10, "pause": {}}, {"weight": 50, "pause": {}}]}
STRATEGIES = {"RollingUpdate": {"type": "RollingUpdate"}, "BlueGreen": {"type": "BlueGreen"}, "Canary": CANARY}
GATEWAY = {"parentRefs": [{"name": "edge"}]}


def halfway(strategy: str, **fields: object) -> Builder:
    """Make a rollout that is at its second step for a minute."""
    builder = a_deployment().with_spec(strategy=STRATEGIES[strategy]).wants("2").serving("1")
    builder.rolling("2", ready=1, shifting=True, waiting_since=None)
    seen = {"strategy": strategy, "step": 2, "step_started_at": NOW - timedelta(minutes=1), **fields}
    return builder.remembers(candidate=builder.memory.candidate and builder.memory.candidate.model_copy(update=seen))


@pytest.mark.parametrize("before", list(STRATEGIES))
@pytest.mark.parametrize("after", list(STRATEGIES))
def test_another_strategy_begins_with_its_first_step(before: str, after: str) -> None:
    plan = decide(halfway(before).with_spec(strategy=STRATEGIES[after], analysis={}).observed(), NOW)
    candidate = plan.memory.candidate
    assert candidate is not None
    assert (candidate.strategy, candidate.step) == (after, 2 if before == after else 1)
    assert [event.reason for event in plan.events if event.reason.startswith("Rollout")] == []
    assert plan.delete == ()


def test_a_changed_template_with_another_version_and_size_has_one_outcome() -> None:
    builder = halfway("Canary").finds(Found("3")).templated("bbbbbbbb").with_spec(replicas=5)
    plan = decide(builder.observed(), NOW)
    assert plan.create == ((Revision("3", "bbbbbbbb"), 1),)
    assert [(w.version, n) for w, n in plan.scale] == [("1", 5)]
    assert [w.version for w in plan.delete] == ["2"]
    assert [e.reason for e in plan.events] == ["VersionResolved", "RolloutSuperseded", "RolloutStarted"]
    assert plan.traffic == Traffic(revision("1"))


def test_scaled_to_zero_a_rollout_is_called_off_and_not_held_against_the_version() -> None:
    plan = decide(halfway("Canary").with_spec(replicas=0).observed(), NOW)
    assert [(w.version, n) for w, n in plan.scale] == [("1", 0)]
    assert ([h.outcome for h in plan.memory.history], plan.memory.rejected) == (["Aborted"], ())


def test_without_a_history_a_rollout_ends_all_the_same() -> None:
    builder = a_deployment().with_spec(historyLimit=0).wants("2").serving("1").rolling("2", replicas=2, ready=2)
    memory = decide(builder.observed(), NOW).memory
    assert (memory.history, memory.stable and memory.stable.version) == ((), "2")


def test_only_so_many_rejections_are_remembered() -> None:
    builder = a_deployment().wants("30").serving("1").rolling("30", failure=BROKEN)
    for version in range(2, 20):
        builder.rejecting(str(version))
    rejected = decide(builder.observed(), NOW).memory.rejected
    assert (len(rejected), rejected[0].version) == (10, "30")


def test_no_delay_keeps_nothing_warm() -> None:
    builder = a_deployment().with_spec(strategy={"scaleDownDelay": "0s"}).wants("2").serving("1")
    plan = decide(builder.rolling("2", replicas=2, ready=2, shifting=True).observed(), NOW)
    assert (plan.memory.warm, plan.delete, plan.wake_after) == (None, (), timedelta(seconds=1))


# --- warm


def test_a_warm_revision_that_fails_is_rejected_and_no_longer_warm() -> None:
    builder = a_deployment().wants("1").serving("2").keeping_warm("1", ready=0)
    builder.remembers(candidate=Candidate(version="1", revision=revision("1"), since=NOW, strategy="RollingUpdate"))
    builder.workloads[-1] = workload("1", failure=BROKEN)
    plan = decide(builder.observed(), NOW)
    assert (plan.memory.warm, [w.version for w in plan.delete]) == (None, ["1"])


def test_a_warm_revision_of_another_size_is_brought_to_size_first() -> None:
    builder = a_deployment().with_spec(replicas=4, strategy=CANARY).wants("1").serving("2", ready=4, replicas=4)
    plan = decide(builder.keeping_warm("1").observed(), NOW)
    assert [(w.version, n) for w, n in plan.scale] == [("1", 4)]
    assert plan.memory.stable is not None
    assert plan.memory.stable.version == "2"


def test_a_warm_version_with_another_template_is_a_rollout_like_any_other() -> None:
    builder = a_deployment().with_spec(strategy=CANARY).wants("1").serving("2").keeping_warm("1").templated("bbbbbbbb")
    plan = decide(builder.observed(), NOW)
    assert plan.create == ((Revision("1", "bbbbbbbb"), 1),)


def test_a_warm_revision_is_not_judged_by_its_traffic() -> None:
    builder = a_deployment().with_spec(analysis={"failureLimit": 1}).wants("1").serving("2").keeping_warm("1")
    plan = decide(builder.observed(), NOW)
    assert plan.memory.stable is not None
    assert plan.memory.stable.version == "1"


# --- suspended in the middle


@pytest.mark.parametrize(
    ("selected", "ready", "stays"),
    [
        (Traffic(None), 1, True),
        (Traffic(revision("2")), 2, True),
        (Traffic(revision("2")), 1, False),
        (Traffic(revision("1")), 2, True),
    ],
)
def test_suspended_the_service_stays_as_it_is_while_the_candidate_can_carry_it(
    selected: Traffic, ready: int, stays: bool
) -> None:
    builder = a_deployment().with_spec(suspend=True).wants("2").serving("1").rolling("2", replicas=2, ready=ready)
    plan = decide(builder.selecting(selected).observed(), NOW)
    assert (plan.traffic in (None, selected)) == stays


@pytest.mark.parametrize(("weight", "ready", "stays"), [(50, 1, True), (100, 2, True), (100, 1, False), (50, 0, False)])
def test_suspended_the_route_stays_as_it_is_while_the_candidate_can_carry_it(
    weight: int, ready: int, stays: bool
) -> None:
    builder = a_deployment().with_spec(suspend=True, gateway=GATEWAY).wants("2").serving("1")
    builder.rolling("2", replicas=2, ready=ready, shifting=True)
    candidate = builder.memory.candidate
    builder.remembers(candidate=candidate and candidate.model_copy(update={"weight": weight}))
    split = Split(((revision("1"), 100 - weight), (revision("2"), weight)))
    gateway = builder.observed().spec.gateway
    assert gateway is not None
    live = Live(route=build_route(builder.observed(), gateway, split), backends={revision("1"): {}, revision("2"): {}})
    plan = decide(builder.but(live=live).observed(), NOW)
    assert plan.split == (None if stays else Split(((revision("1"), 100),)))
    assert plan.memory.candidate is not None
    assert plan.memory.candidate.weight == (weight if stays else 0)


def test_after_a_suspension_a_step_begins_anew() -> None:
    suspended = decide(halfway("Canary").with_spec(suspend=True).observed(), NOW).memory.candidate
    assert suspended is not None
    assert (suspended.step, suspended.step_started_at) == (2, None)
    later = NOW + timedelta(hours=1)
    builder = halfway("Canary", step_started_at=None)
    builder.workloads[-1] = workload("2", ready=2)
    resumed = decide(builder.observed(), later).memory.candidate
    assert resumed is not None
    assert (resumed.step, resumed.step_started_at) == (2, later)


# --- the route goes with what it leads to


def routing_to(version: str, builder: Builder) -> Builder:
    gateway = builder.with_spec(gateway=GATEWAY).observed().spec.gateway
    assert gateway is not None
    route = build_route(builder.observed(), gateway, Split(((revision(version), 100),)))
    return builder.but(live=Live(route=route, backends={revision(version): {}}))


def test_a_route_to_what_is_taken_down_is_removed_first() -> None:
    builder = a_deployment().with_spec(onPointerRemoved="ScaleToZero").knows("1").finds(GONE).serving("1")
    assert decide(routing_to("1", builder).observed(), NOW).split == Split(())
    broken = a_deployment().wants("1").rolling("1", replicas=2, failure=BROKEN)
    assert decide(routing_to("1", broken).observed(), NOW).split == Split(())


def test_a_route_that_cannot_be_moved_yet_keeps_what_it_leads_to() -> None:
    builder = a_deployment().wants("2").serving("2").besides(workload("1", ready=2))
    plan = decide(routing_to("1", builder).observed(), NOW)
    assert (plan.split, plan.delete, plan.wake_after) == (None, (), timedelta(seconds=1))
    gateway_off = routing_to("1", builder).with_spec(gateway=None)
    assert [w.version for w in decide(gateway_off.observed(), NOW).delete] == ["1"]


def test_nothing_is_deleted_that_the_gateway_may_still_send_to() -> None:
    builder = routing_to("2", a_deployment().wants("2").serving("2").besides(workload("1", ready=2)))
    waits = decide(builder.observed(), NOW)
    assert (waits.delete, waits.wake_after) == ((), timedelta(seconds=1))
    taken = decide(builder.but(route_accepted=True).observed(), NOW)
    assert [w.version for w in taken.delete] == ["1"]
    refused = decide(builder.but(route_accepted=False, route_problem="Gateway edge says no").observed(), NOW)
    assert [w.version for w in refused.delete] == ["1"]


def test_a_rejected_candidate_stays_until_the_gateway_has_the_way_back() -> None:
    builder = a_deployment().with_spec(gateway=GATEWAY).wants("2").serving("1")
    builder.rolling("2", replicas=2, failure=BROKEN, shifting=True)
    gateway = builder.observed().spec.gateway
    assert gateway is not None
    split = Split(((revision("1"), 50), (revision("2"), 50)))
    live = Live(route=build_route(builder.observed(), gateway, split), backends={revision("1"): {}, revision("2"): {}})
    plan = decide(builder.but(live=live, route_accepted=True).observed(), NOW)
    assert ([r.version for r in plan.memory.rejected], plan.split, plan.delete) == (
        ["2"],
        Split(((revision("1"), 100),)),
        (),
    )


# --- a verdict holds for what it was made by


@pytest.mark.parametrize(
    ("change", "another_chance"),
    [
        ({"analysis": {"maxErrorRate": "5%"}}, True),
        ({"progressDeadline": "1h"}, True),
        ({"strategy": {"type": "BlueGreen"}}, True),
        ({"strategy": {"scaleDownDelay": "5m"}}, False),
        ({"replicas": 5}, False),
        ({"service": {"port": 8080}}, False),
        ({}, False),
    ],
)
def test_a_rejected_version_gets_another_chance_when_it_is_judged_by_something_else(
    change: dict[str, object], another_chance: bool
) -> None:
    judged = {"analysis": {"maxErrorRate": "1%"}}
    builder = a_deployment().with_spec(**judged).wants("2").serving("1").rolling("2", failure=BROKEN)
    rejected = decide(builder.observed(), NOW).memory
    builder = a_deployment().with_spec(**{**judged, **change}).wants("2").serving("1")
    plan = decide(builder.remembers(rejected=rejected.rejected).observed(), NOW)
    assert bool(plan.create) == another_chance
    assert bool(plan.memory.rejected) != another_chance


def test_a_rejection_that_an_older_release_wrote_stands() -> None:
    builder = a_deployment().with_spec(analysis={"maxErrorRate": "1%"}).wants("2").serving("1").rejecting("2")
    assert decide(builder.observed(), NOW).create == ()


# --- what is left when something is lost


def test_a_lost_status_in_the_middle_of_a_rollout_takes_up_the_revision_with_more_ready_pods() -> None:
    builder = a_deployment().finds(Found("2")).selecting(Traffic(None))
    plan = decide(builder.besides(workload("2", ready=1), workload("1", ready=2)).observed(), NOW)
    assert plan.memory.stable is not None
    assert (plan.memory.stable.version, plan.delete) == ("1", ())


def test_a_lost_status_in_the_middle_of_a_rollout_takes_up_the_older_of_two_equals() -> None:
    older = replace(workload("1", ready=2), created=LONG_AGO - timedelta(hours=1))
    builder = a_deployment().finds(Found("2")).selecting(Traffic(None)).besides(workload("2", ready=2), older)
    assert decide(builder.observed(), NOW).delete == ()


def test_nothing_is_kept_warm_of_what_is_scaled_to_zero() -> None:
    plan = decide(a_deployment().with_spec(replicas=0).wants("2").serving("2").keeping_warm("1").observed(), NOW)
    assert ([w.version for w in plan.delete], plan.memory.warm) == (["1"], None)


# --- stable has no ready pod


FAILING = {"failureLimit": 2, "onInconclusive": "Pause"}


def alone(**candidate: object) -> Builder:
    """Make a rollout in which stable has lost its pods and one of the candidate's two is ready."""
    builder = a_deployment().with_spec(analysis=FAILING).wants("2").serving("1", ready=0)
    builder.rolling("2", replicas=2, ready=1, shifting=True, failure=BROKEN)
    return builder.remembers(
        candidate=builder.memory.candidate and builder.memory.candidate.model_copy(update=candidate)
    )


def test_a_candidate_that_alone_can_answer_is_not_taken_away_whatever_is_wrong_with_it() -> None:
    plan = decide(alone().observed(), NOW)
    assert (plan.delete, plan.memory.rejected, plan.traffic) == ((), (), Traffic(None))
    assert plan.hold is not None
    assert (plan.hold.reason, plan.hold.message) == (
        "ModelLoadFailed",
        "serving version 1, rolling out version 2: it raised ValueError: no; it is kept, because nothing else has a "
        "ready pod",
    )


def test_it_is_rejected_when_stable_is_back() -> None:
    builder = alone()
    builder.workloads[0] = workload("1", ready=1)
    plan = decide(builder.observed(), NOW)
    assert ([w.version for w in plan.delete], [r.version for r in plan.memory.rejected]) == (["2"], ["2"])


def test_a_person_may_take_it_away_all_the_same() -> None:
    plan = decide(alone().annotated(abort="now").observed(), NOW)
    assert [w.version for w in plan.delete] == ["2"]


@pytest.mark.parametrize(
    ("finds", "template_hash"),
    [(Found("3"), HASH), (Found("2"), "bbbbbbbb"), (Found("1"), HASH), (GONE, HASH)],
    ids=["another version", "another template", "stable again", "the pointer is removed"],
)
def test_a_dropped_candidate_that_alone_can_answer_goes_on_until_others_can(
    finds: Found | Absent, template_hash: str
) -> None:
    builder = alone().finds(finds).templated(template_hash)
    plan = decide(builder.observed(), NOW)
    assert (plan.traffic, plan.delete) == (Traffic(revision("2")), ())
    builder.selecting(plan.traffic).remembers(**{part: getattr(plan.memory, part) for part in ("candidate", "history")})
    again = decide(builder.observed(), NOW)
    assert (again.traffic, again.delete) == (Traffic(revision("2")), ())
    builder.workloads[0] = workload("1", ready=1)
    back = decide(builder.observed(), NOW)
    assert (back.traffic, [w.version for w in back.delete]) == (Traffic(revision("1")), ["2"])


@pytest.mark.parametrize("replicas", [0, 2])
def test_what_is_not_wanted_at_all_goes_even_if_it_alone_can_answer(replicas: int) -> None:
    builder = alone().with_spec(replicas=replicas, onPointerRemoved="ScaleToZero")
    plan = decide((builder.finds(GONE) if replicas else builder).observed(), NOW)
    assert "2" in [w.version for w in plan.delete]


def test_the_way_back_stays_open_while_what_took_over_has_no_ready_pod() -> None:
    builder = a_deployment().wants("2").serving("2", ready=0).keeping_warm("1", until=LONG_AGO)
    plan = decide(builder.observed(), NOW)
    assert (plan.delete, plan.wake_after) == ((), None)
    assert plan.memory.warm is not None


def test_a_fetch_that_fails_is_not_held_against_a_version_before_the_registry_is_read() -> None:
    fetch = Failure("FetchFailed", "http://mlflow:5000 does not answer", permanent=False)
    builder = a_deployment().knows("2").finds(Unread()).serving("1")
    builder.rolling("2", failure=fetch, waiting_since=LONG_AGO)
    plan = decide(builder.observed(), NOW)
    assert plan.memory.rejected == ()


def test_pods_that_come_and_go_do_not_put_off_the_deadline() -> None:
    builder = a_deployment().wants("2").serving("1")
    builder.rolling("2", replicas=2, ready=2, ready_for=1, waiting_since=LONG_AGO, shifting=True)
    waiting = decide(builder.observed(), NOW).memory.candidate
    assert waiting is not None
    assert waiting.waiting_since == LONG_AGO
    builder.workloads[-1] = workload("2", ready=1)
    assert [r.reason for r in decide(builder.observed(), NOW).memory.rejected] == ["ProgressDeadlineExceeded"]


def test_to_go_on_is_not_asked_of_a_stage_that_another_strategy_begins() -> None:
    analysis = {"maxErrorRate": "1%"}
    builder = a_deployment().with_spec(strategy={"type": "RollingUpdate"}, analysis=analysis).wants("2").serving("1")
    builder.rolling("2", replicas=2, ready=2, shifting=True).annotated(resume="a")
    fields = {"strategy": "Canary", "paused": "Step", "step_started_at": LONG_AGO}
    builder.remembers(candidate=builder.memory.candidate and builder.memory.candidate.model_copy(update=fields))
    candidate = decide(builder.observed(), NOW).memory.candidate
    assert candidate is not None
    assert (candidate.strategy, candidate.step) == ("RollingUpdate", 1)
