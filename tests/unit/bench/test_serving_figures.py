"""What the runs of the load generator come to: medians, ratios within rounds, the reach."""

import json
from typing import Any

import pytest

from tests.bench.serving.figures import (
    Case,
    Cell,
    Held,
    Missing,
    Results,
    Start,
    best_by_round,
    best_way,
    per_cpu_second,
    ratio,
    summarize,
    throughput,
)
from tests.bench.serving.peers import FLOORS, MLFLOW, OURS
from tests.bench.serving.reach import goals

LR = Case("lr", 1, 64)


def cell(way: str, case: Case, rate: float, number: int = 0, **facts: Any) -> Cell:
    return Cell(
        **{
            "kind": "closed",
            "way": way,
            "model": case.model,
            "rows": case.rows,
            "connections": case.connections,
            "round": number,
            "sent": int(rate * 2),
            "correct": int(rate * 2),
            "seconds": 2.0,
            **facts,
        }
    )


def test_a_summary_is_the_median_and_the_range() -> None:
    found = summarize([30, 10, 20])
    assert found is not None
    assert (found.median, found.low, found.high, found.spread) == (20, 10, 30, 0.5)
    assert summarize([]) is None


def test_only_correct_answers_are_throughput() -> None:
    results = Results(cells=[cell(OURS, LR, 100, correct=120, wrong=80, statuses={"429": 3}, broken=2, unanswered=1)])
    found = throughput(results, OURS, LR)
    assert found is not None
    assert found.median == 60
    assert results.cells[0].failed == 86


def test_a_ratio_is_taken_within_each_round() -> None:
    # The machine was half as fast in the second round: between rounds the quotients would be 5 to 20.
    over, under = {0: 1000.0, 1: 500.0, 2: 900.0}, {0: 100.0, 1: 50.0, 3: 1.0}
    found = ratio(over, under)
    assert found is not None
    assert (found.median, found.low, found.high) == (10, 10, 10)
    assert ratio({0: 1.0}, {0: 0.0}) is None


def test_the_best_of_several_ways_is_chosen_round_by_round_in_rows() -> None:
    long = [Case("lr", 4096, connections) for connections in (1, 8)]
    cells = [cell("a", long[0], 10), cell("b", long[1], 20), cell("a", long[1], 30, 1), cell("b", long[0], 5, 1)]
    assert best_by_round(Results(cells=cells), ["a", "b"], long) == {0: 20 * 4096, 1: 30 * 4096}


def test_the_best_way_is_the_one_with_the_highest_median() -> None:
    cells = [cell("a", LR, rate, number) for number, rate in enumerate((10, 10, 900))]
    cells += [cell("b", LR, 20, number) for number in range(3)]
    assert best_way(Results(cells=cells), ["a", "b", "c"], LR) == "b"
    assert best_way(Results(), ["a"], LR) is None


def test_requests_for_a_second_of_cpu() -> None:
    found = per_cpu_second([cell(OURS, LR, 100, server_cpu=0.5), cell(OURS, LR, 100, 1, server_cpu=0)])
    assert found is not None
    assert found.median == 400


def test_results_are_read_as_they_were_written() -> None:
    results = Results(
        about={"cores": 2},
        versions={"workspace": {"mlflow": "3"}},
        engines={"lr": "compiled"},
        cells=[cell(OURS, LR, 100, statuses={"429": 3}, per_second=[100, 100], in_time_per_second=[1])],
        starts=[Start(OURS, "lr", 0, 0.9)],
        memory=[Held(OURS, "lr", 120, 100, 1)],
        missing=[Missing("Modelvane Arrow", "lr", 4096, "HTTP 415")],
        bare={"lr": {"1": {"native": 2600.0}}},
    )
    assert Results.from_json(json.loads(json.dumps(results.to_json()))) == results


def verdicts(results: Results) -> dict[tuple[str, str], str]:
    return {(goal.case, goal.what): goal.verdict for goal in goals(results)}


def test_nothing_measured_reaches_nothing_and_fails_nothing() -> None:
    assert set(verdicts(Results()).values()) == {"not measured"}


@pytest.mark.parametrize(("ours", "verdict"), [(5000, "pass"), (4999, "FAIL")])
def test_fifty_times_mlflow_is_the_bound(ours: float, verdict: str) -> None:
    cells = [cell(OURS, LR, ours), cell(MLFLOW, LR, 100), cell(FLOORS[0], LR, 10_000), cell("FastAPI tuned", LR, 500)]
    found = {goal.what: goal for goal in goals(Results(cells=cells))}
    times = found["requests/s to the best peer's (FastAPI tuned)"].got
    assert found["requests/s to the best echo's (echo on uvicorn)"].verdict == verdict
    assert (
        verdicts(Results(cells=cells))["LogisticRegression, 1 row, 64 connections", "requests/s to mlflow's"] == verdict
    )
    assert times is not None
    assert times.median == pytest.approx(ours / 500)


def test_one_wrong_answer_fails() -> None:
    good = Results(cells=[cell(OURS, LR, 10), cell(MLFLOW, LR, 10, wrong=5)])
    bad = Results(cells=[cell(OURS, LR, 10), cell("Modelvane Arrow", Case("lr", 4096, 1), 10, wrong=1)])
    assert verdicts(good)["every case", "wrong answers"] == "pass"
    assert verdicts(bad)["every case", "wrong answers"] == "FAIL"


def test_limits_are_upper_bounds_and_the_first_start_is_left_out() -> None:
    results = Results(
        starts=[Start(OURS, "lr", 0, 9.0), Start(OURS, "lr", 1, 0.8), Start(MLFLOW, "lr", 1, 11.0)],
        memory=[Held(OURS, "lr", 151, 100, 1), Held(OURS, "wide", 1, 1, 1)],
    )
    found = verdicts(results)
    assert found["exec to first correct answer, warm page cache", "LogisticRegression"] == "pass"
    assert found["memory of one worker", "LogisticRegression, resident"] == "FAIL"


def test_goodput_counts_what_came_in_time_while_requests_came() -> None:
    peak = Case("rf", 64, 64)
    # The first second, when the queue fills, and what comes after the last request are left out.
    facts: dict[str, Any] = {
        "kind": "overload",
        "label": "overload",
        "planned": 3.0,
        "in_time_per_second": [500, 100, 70, 400],
    }
    results = Results(cells=[cell(OURS, peak, 100), cell(OURS, Case("rf", 64, 512), 100, **facts)])
    goal = next(goal for goal in goals(results) if goal.case.startswith("three times capacity"))
    assert goal.got is not None
    assert (goal.got.median, goal.verdict) == (0.85, "FAIL")
