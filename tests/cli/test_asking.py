"""Which answer of the operator is the answer to what was asked."""

import pytest
from modelvane_cli.asking import Answer, find_answer

ASKED = Answer("ml", "iris", "resume", "now")
SUSPENDED = "resume: rollouts are suspended; set spec.suspend to false first"


@pytest.mark.parametrize(
    ("answer", "own", "line"),
    [
        ("resume: it goes on", "resume: it goes on", "iris: resume: it goes on"),
        (f"pause: no; {SUSPENDED}; abort: no", SUSPENDED, f"iris: {SUSPENDED}"),
        (
            "abort: no rollout is in progress",
            None,
            "iris: resume: answered, and another answer has taken its place; the events have it.",
        ),
        (None, None, "iris: resume: answered, and another answer has taken its place; the events have it."),
    ],
    ids=["the only one", "one of several", "to another request", "none"],
)
def test_an_answer_to_another_request_is_not_taken_for_ones_own(answer: str | None, own: str | None, line: str) -> None:
    found = find_answer({"status": {"handled": {"resume": "now", "pause": "then", "answer": answer}}}, ASKED)
    assert (found.answered, found.answer, found.lines()) == (True, own, [line])


@pytest.mark.parametrize("resource", [{}, {"status": {"handled": {"resume": "before", "answer": "resume: done"}}}])
def test_an_answer_to_an_earlier_request_is_waited_past(resource: dict[str, object]) -> None:
    assert find_answer(resource, ASKED) is ASKED
