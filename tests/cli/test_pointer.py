"""Which version a rollback chooses, and what a move says about itself."""

from datetime import timedelta

import pytest
from modelvane.engine.memory import HistoryEntry
from modelvane_cli.exits import Exit, StopError
from modelvane_cli.pointer import Held, Move, Pointer, choose, earlier, followed
from modelvane_cli.rollback import what_follows

from tests.cli.scenes import at_rest, canary, seen, stalled
from tests.unit.operator.builder import NOW, Builder, a_deployment

PRODUCTION, CHAMPION = Pointer("iris", stage="Production"), Pointer("iris", alias="champion")


def finished(*outcomes: tuple[str, str]) -> Builder:
    """Return a ModelDeployment at rest with these finished rollouts, the newest first."""
    history = tuple(
        HistoryEntry(
            version=version,
            started_at=NOW - timedelta(hours=hours, minutes=1),
            finished_at=NOW - timedelta(hours=hours),
            outcome=outcome,
            message="",
        )
        for hours, (version, outcome) in enumerate(outcomes)
    )
    return a_deployment().wants(outcomes[0][0]).serving(outcomes[0][0]).remembers(history=history)


@pytest.mark.parametrize(
    ("builder", "current", "chosen"),
    [
        (finished(("4", "Promoted"), ("3", "Promoted"), ("2", "Promoted")), "4", "3"),
        (finished(("4", "Promoted"), ("5", "RolledBack"), ("3", "Promoted")), "4", "3"),
        (finished(("4", "Promoted"), ("4", "Promoted"), ("3", "Promoted")), "4", "3"),
        (finished(("3", "Promoted"), ("4", "Promoted"), ("3", "Promoted")), "3", "4"),
        (finished(("4", "Promoted"), ("3", "Promoted")).keeping_warm("2"), "4", "2"),
        (canary(), "4", "3"),
        (stalled(), "4", "3"),
        (at_rest(), None, "3"),
    ],
    ids=["the one before", "not a rejected one", "not itself", "there and back", "warm", "rolling", "rejected", "gone"],
)
def test_a_rollback_goes_to_what_was_promoted_before(builder: Builder, current: str | None, chosen: str) -> None:
    assert earlier(seen(builder), current) == chosen


def test_without_an_earlier_version_a_rollback_asks_for_one() -> None:
    with pytest.raises(StopError, match=r"Name one with --to-version\.$") as raised:
        earlier(seen(a_deployment().wants("1").serving("1")), "1")
    assert raised.value.code == Exit.NOT_FOUND


def test_a_fixed_version_is_no_pointer() -> None:
    with pytest.raises(StopError, match=r"spec\.model\.version is 3"):
        followed(seen(a_deployment().with_spec(model={"name": "iris", "version": "3"}).wants("3").serving("3")))


@pytest.mark.parametrize(
    ("to", "alias", "pointer"),
    [
        (None, None, PRODUCTION),
        ("staging", None, Pointer("iris", stage="Staging")),
        (None, "champion", CHAMPION),
    ],
)
def test_the_options_name_a_pointer(to: str | None, alias: str | None, pointer: Pointer) -> None:
    assert choose("iris", to, alias) == pointer


@pytest.mark.parametrize(
    ("to", "alias"), [("Production", "champion"), ("Prod", None), (None, "latest"), (None, "v3"), (None, "a b")]
)
def test_options_that_mlflow_would_refuse_are_refused_first(to: str | None, alias: str | None) -> None:
    with pytest.raises(StopError) as raised:
        choose("iris", to, alias)
    assert raised.value.code == Exit.USAGE


def test_a_word_of_a_condition_is_an_alias_or_a_stage_in_any_case() -> None:
    held = Held({"Production": "3", "None": "7"}, {"champion": "2", "staging": "5"})
    named = [held.named(word) for word in ("production", "champion", "staging", "nobody")]
    assert named == ["3", "2", "5", None]


@pytest.mark.parametrize(
    ("move", "said"),
    [
        (Move(PRODUCTION, "4", "3"), "iris: stage Production is version 4 now; it was version 3, which is archived."),
        (Move(CHAMPION, "4", "3"), "iris: alias champion is version 4 now; it was version 3."),
        (Move(CHAMPION, "4", None), "iris: alias champion is version 4 now; it was none before."),
        (Move(CHAMPION, "4", "4"), "iris: alias champion is version 4 already; nothing was written."),
    ],
)
def test_a_move_says_what_it_did(move: Move, said: str) -> None:
    assert str(move) == said


@pytest.mark.parametrize(
    ("builder", "version", "said"),
    [
        (at_rest().keeping_warm("2"), "2", "Version 2 is still warm, so it takes over at once."),
        (canary(), "3", "Version 3 serves already; the rollout of the other one ends."),
        (stalled(), "3", "Version 3 serves already."),
        (stalled(), "4", "Version 4 was rejected before (ModelLoadFailed) and is tried again: modelvane status iris"),
        (at_rest().with_spec(suspend=True), "2", "iris is suspended, so what serves stays"),
        (at_rest(), "2", "Version 2 starts now and takes over when it is ready"),
    ],
)
def test_a_rollback_says_what_the_cluster_will_make_of_it(builder: Builder, version: str, said: str) -> None:
    assert what_follows(seen(builder), Move(PRODUCTION, version, "9")).startswith(said)


def test_a_pointer_that_stays_on_a_rejected_version_is_no_new_wish_for_it() -> None:
    assert what_follows(seen(stalled()), Move(PRODUCTION, "4", "4")) == (
        "Version 4 was rejected before (ModelLoadFailed), so it is not tried by itself: modelvane retry iris -n ml"
    )
