"""What people ask by annotation: answered once, in words, and done or refused."""

import pytest
from modelvane.engine.decide import decide
from modelvane.engine.memory import Handled
from modelvane.engine.state import Found, Plan

from tests.unit.operator.builder import NOW, Builder, a_deployment, revision

CANARY = {"type": "Canary", "steps": [{"weight": 10, "pause": {}}, {"weight": 50, "pause": {}}]}


def on_step(paused: str | None = "Step", **candidate: object) -> Builder:
    """Make a canary that waits at its first step."""
    builder = a_deployment().with_spec(strategy=CANARY).wants("2").serving("1")
    builder.rolling("2", ready=1, shifting=True, waiting_since=None)
    fields = {"paused": paused, "step_started_at": NOW, "message": "step 1 of 2", **candidate}
    return builder.remembers(candidate=builder.memory.candidate and builder.memory.candidate.model_copy(update=fields))


def told(builder: Builder) -> list[tuple[str, str]]:
    return [(event.reason, event.message) for event in decide(builder.observed(), NOW).events]


def answer(plan: Plan) -> str | None:
    return plan.memory.handled.answer if plan.memory.handled else None


@pytest.mark.parametrize(
    ("request_", "reason", "message"),
    [
        ("pause", "NothingToPause", "pause: no rollout is in progress"),
        ("resume", "NothingToResume", "resume: no rollout is in progress"),
        ("abort", "NothingToAbort", "abort: no rollout is in progress"),
        ("retry", "NothingToRetry", "retry: the wanted version is not rejected"),
        ("restart", "Restarting", "restart: new pods take over from the present ones, as in any rollout"),
    ],
)
def test_a_request_at_rest_is_answered(request_: str, reason: str, message: str) -> None:
    builder = a_deployment().wants("1").serving("1").annotated(**{request_: "now"})
    assert told(builder) == [(reason, message)]
    assert answer(decide(builder.observed(), NOW)) == message


@pytest.mark.parametrize("request_", ["pause", "resume", "abort", "retry", "restart"])
def test_a_value_is_answered_once_and_a_new_one_again(request_: str) -> None:
    builder = a_deployment().wants("1").serving("1").annotated(**{request_: "a"})
    first = decide(builder.observed(), NOW).memory
    builder.remembers(handled=first.handled)
    again = decide(builder.observed(), NOW)
    assert (again.events, again.memory) == ((), builder.memory)
    assert len(told(builder.annotated(**{request_: "b"}))) == 1


def test_a_request_that_was_taken_away_may_be_made_again_with_the_same_value() -> None:
    builder = a_deployment().wants("1").serving("1").remembers(handled=Handled(abort="a", answer="abort: no"))
    gone = decide(builder.observed(), NOW)
    assert (gone.events, gone.memory.handled) == ((), None)
    builder.remembers(handled=None)
    assert told(builder.annotated(abort="a")) == [("NothingToAbort", "abort: no rollout is in progress")]


def test_the_last_answer_stays_while_another_request_is_taken_away() -> None:
    builder = a_deployment().wants("1").serving("1").annotated(pause="a")
    builder.remembers(handled=Handled(pause="a", abort="b", answer="abort: no"))
    assert decide(builder.observed(), NOW).memory.handled == Handled(pause="a", answer="abort: no")


def test_pause_holds_a_rollout_and_resume_lets_it_go_on_where_it_was() -> None:
    builder = on_step(None).annotated(pause="a")
    paused = decide(builder.observed(), NOW).memory
    assert paused.candidate is not None
    assert (paused.candidate.paused, paused.candidate.step, paused.candidate.step_started_at) == ("Request", 1, NOW)
    assert told(builder) == [("Paused", "pause: the rollout of version 2 is paused")]
    builder.remembers(candidate=paused.candidate, handled=paused.handled).annotated(resume="b")
    resumed = decide(builder.observed(), NOW).memory.candidate
    assert resumed is not None
    assert (resumed.paused, resumed.step) == ("Step", 1)
    assert told(builder)[0] == ("Resumed", "resume: the rollout of version 2 goes on")


def test_of_pause_and_resume_at_once_pause_wins_and_both_are_answered() -> None:
    plan = decide(on_step().annotated(pause="a", resume="b").observed(), NOW)
    assert plan.memory.candidate is not None
    assert (plan.memory.candidate.paused, plan.memory.candidate.step) == ("Request", 1)
    assert answer(plan) == (
        "resume: the rollout of version 2 goes on without waiting for the end of its step; "
        "pause: the rollout of version 2 is paused"
    )


@pytest.mark.parametrize("paused", ["Step", "Inconclusive", None])
def test_resume_ends_a_step(paused: str | None) -> None:
    builder = on_step(paused).annotated(resume="a")
    candidate = decide(builder.observed(), NOW).memory.candidate
    assert candidate is not None
    assert candidate.step == 2
    message = "resume: the rollout of version 2 goes on without waiting for the end of its step"
    assert told(builder)[0] == ("Resumed", message)


def test_resume_has_nothing_to_do_before_a_step_has_begun() -> None:
    builder = on_step(None, step_started_at=None).annotated(resume="a")
    assert told(builder)[0] == ("NothingToResume", "resume: version 2 is not paused: step 1 of 2")


def test_resume_says_that_it_does_nothing_while_rollouts_are_suspended() -> None:
    builder = on_step().with_spec(suspend=True).annotated(resume="a")
    assert told(builder) == [("NothingToResume", "resume: rollouts are suspended; set spec.suspend to false first")]


def test_restart_says_when_while_rollouts_are_suspended() -> None:
    builder = a_deployment().with_spec(suspend=True).wants("1").serving("1").annotated(restart="a")
    message = "restart: rollouts are suspended; new pods take over once spec.suspend is false"
    assert told(builder) == [("Restarting", message)]


def test_abort_ends_a_rollout_and_remembers_it() -> None:
    plan = decide(on_step(weight=33).annotated(abort="a").observed(), NOW)
    assert plan.memory.candidate is None
    assert [(r.version, r.reason) for r in plan.memory.rejected] == [("2", "Aborted")]
    assert [w.version for w in plan.delete] == ["2"]
    assert [h.outcome for h in plan.memory.history] == ["Aborted"]
    assert [event.reason for event in plan.events] == ["Aborting", "Rejected", "RolledBack"]
    assert plan.hold is not None
    assert plan.hold.message == "serving version 1, version 2 is rejected: Aborted: a person called its rollout off"


def test_abort_then_retry_begins_the_rollout_from_its_start() -> None:
    builder = on_step().annotated(abort="a")
    aborted = decide(builder.observed(), NOW).memory
    builder = a_deployment().with_spec(strategy=CANARY).wants("2").serving("1")
    builder.remembers(rejected=aborted.rejected, handled=aborted.handled).annotated(abort="a", retry="b")
    plan = decide(builder.observed(), NOW)
    assert [event.reason for event in plan.events] == ["Retrying", "RolloutStarted"]
    assert plan.memory.candidate is not None
    assert (plan.memory.candidate.revision, plan.memory.candidate.step) == (revision("2"), None)
    assert plan.memory.rejected == ()


def test_abort_while_rollouts_are_suspended_ends_the_rollout() -> None:
    plan = decide(on_step().with_spec(suspend=True).annotated(abort="a").observed(), NOW)
    assert (plan.memory.candidate, [w.version for w in plan.delete]) == (None, ["2"])


def test_a_request_made_with_a_new_pointer_does_not_fall_on_the_new_version() -> None:
    builder = on_step().finds(Found("3")).annotated(resume="a")
    candidate = decide(builder.observed(), NOW).memory.candidate
    assert candidate is not None
    assert (candidate.version, candidate.step) == ("3", None)
    aborted = decide(on_step().finds(Found("3")).annotated(abort="a").observed(), NOW).memory
    assert aborted.candidate is not None
    assert (aborted.candidate.version, [r.version for r in aborted.rejected]) == ("3", ["2"])
