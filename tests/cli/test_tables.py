"""The lists, wide and narrow, and their documents."""

import io
from datetime import timedelta
from typing import Any

import pytest
from modelvane.engine.memory import HistoryEntry
from modelvane_cli import tables
from modelvane_cli.screen import plain_lines
from rich.console import Console, RenderableType

from tests.cli.scenes import at_rest, canary, resource, seen, stalled
from tests.unit.operator.builder import LONG_AGO, NOW, a_deployment


def lines(drawn: RenderableType, width: int) -> list[str]:
    return list(plain_lines(Console(width=width, file=io.StringIO()), drawn))


def three() -> list[dict[str, Any]]:
    summaries = [tables.summarize(resource(builder)) for builder in (at_rest(), canary(), stalled())]
    summaries[1] |= {"name": "recommender", "pointer": "models:/recommender@champion"}
    return summaries


def test_a_list_says_what_is_wanted_what_serves_and_how_far_it_is() -> None:
    assert lines(tables.list_table(three(), NOW, 120, with_namespace=True), 120) == [
        "NAMESPACE  NAME         POINTER               DESIRED  STABLE  CANDIDATE  WEIGHT  READY  PHASE        AGE",
        "ml         iris         iris/Production       3        3                          2/2    Ready        3h",
        "ml         recommender  recommender@champion  4        3       4          25 %    4/4    Progressing  3h",
        "ml         iris         iris/Production       4        3                          2/2    Ready        3h",
    ]


@pytest.mark.parametrize("width", [120, 100, 80, 60, 40])
def test_a_narrow_list_leaves_out_columns_and_breaks_no_name(width: int) -> None:
    drawn = lines(tables.list_table(three(), NOW, width, with_namespace=True), width)
    assert len(drawn) == 4
    assert max(map(len, drawn)) <= width
    assert "recommender" in drawn[2]
    assert "Progressing" in drawn[2]


def test_a_summary_has_every_field_even_of_what_no_operator_has_seen() -> None:
    bare = {key: value for key, value in resource(a_deployment()).items() if key != "status"}
    assert tables.summarize(bare) == {
        "namespace": "ml",
        "name": "iris",
        "model": "iris",
        "pointer": "models:/iris/Production",
        "desired": None,
        "stable": None,
        "candidate": None,
        "weight": None,
        "replicas": 2,
        "readyReplicas": 0,
        "ready": False,
        "phase": None,
        "message": None,
        "createdAt": "2026-01-01T09:00:00Z",
    }


def test_history_is_one_line_for_each_rollout_and_two_where_it_is_narrow() -> None:
    rolled_back = HistoryEntry(
        version="4",
        started_at=LONG_AGO,
        finished_at=LONG_AGO + timedelta(seconds=30),
        outcome="RolledBack",
        message="ModelLoadFailed: no module named xgboost",
    )
    document = tables.history_document(seen(at_rest().remembers(history=(rolled_back,))))
    assert (document["serving"], document["history"][0]["version"]) == ("3", "4")
    assert lines(tables.history_table(document["history"], NOW, 100), 100) == [
        "VERSION  OUTCOME     ENDED    TOOK  WHY",
        "4        RolledBack  59m ago  30s   ModelLoadFailed: no module named xgboost",
    ]
    assert lines(tables.history_table(document["history"], NOW, 50), 50) == [
        "4  RolledBack  59m ago, took 30s",
        "    ModelLoadFailed: no module named xgboost",
    ]
