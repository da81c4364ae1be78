"""The page and the picture, from results that were made up."""

from pathlib import Path

import pytest

from tests.bench.serving.figures import Case, Missing, Results
from tests.bench.serving.peers import MLFLOW, OURS
from tests.bench.serving.plot import draw
from tests.bench.serving.report import number, report, table
from tests.unit.bench.test_serving_figures import LR, cell

ABOUT = dict.fromkeys(("processor", "cores", "memory_gb", "kernel", "python", "date", "load", "rounds"), "?")


def made_up() -> Results:
    cells = [cell(OURS, LR, rate, number) for number, rate in enumerate((9000, 10_000, 12_000))]
    cells += [cell(MLFLOW, LR, 100, number) for number in range(3)]
    cells += [cell(OURS, Case("lr", 4096, 1), 50), cell(MLFLOW, Case("lr", 4096, 1), 10, statuses={"500": 2})]
    missing = [Missing("Modelvane Arrow", "lr", 4096, "HTTP 415: a | b\nc")]
    return Results(about={**ABOUT, "complete": True}, cells=cells, missing=missing)


@pytest.mark.parametrize(
    ("value", "text"), [(12345.6, "12,346"), (99.96, "100.0"), (12.34, "12.3"), (1.234, "1.23"), (0, "0.00")]
)
def test_numbers_have_the_digits_that_count(value: float, text: str) -> None:
    assert number(value) == text


def test_a_table_is_markdown() -> None:
    assert table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_the_page_has_throughput_with_its_spread_and_the_ratios() -> None:
    lines = report(made_up()).splitlines()
    assert "| lr | 64 | 10,000 ±15% | 100 ±0% | 100x | - |" in lines
    # Rows a second, and a mark at what had failed requests.
    assert "| lr | 1 | 204,800 ±0% | 40,960 ±0% \\* | 5.00x | - |" in lines


def test_the_page_says_what_is_missing_and_what_failed() -> None:
    lines = report(made_up()).splitlines()
    assert "| Modelvane Arrow | lr | 4,096 | HTTP 415: a \\| b c |" in lines
    assert "| mlflow models serve | lr | 4,096 | connections 1: 2 x HTTP 500 |" in lines


def test_a_partial_run_says_so() -> None:
    results = made_up()
    assert "Not a full run" not in report(results)
    results.about["complete"] = False
    assert "Not a full run" in report(results)


def test_a_busy_load_generator_is_marked() -> None:
    results = Results(about=ABOUT, cells=[cell(OURS, LR, 100, load_cpu=1.81)])
    assert "| lr | 64 | 100 ±0% \\* | - | - |" in report(results).splitlines()


@pytest.mark.filterwarnings("default")
def test_the_picture_is_drawn_of_what_there_is(tmp_path: Path) -> None:
    draw(made_up(), tmp_path / "serving.png")
    assert (tmp_path / "serving.png").read_bytes().startswith(b"\x89PNG")
