"""Which revision is stable, which is candidate: every transition, and the sentences people read."""

from datetime import timedelta

import pytest
from modelvane.decide import decide
from modelvane.memory import Condition, Handled, HistoryEntry
from modelvane.state import Absent, Failure, Found, NotReady, Revision, Traffic, Unreachable, Unread

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
