"""Whether two answers say the same."""

import json
from typing import Any

import pytest
from modelvane.analysis.figures import Comparison
from modelvane.analysis.predictions import add_up, compare_answers, count_predictions, read_inputs


def compare(candidate: Any, stable: Any, tolerance: float = 1e-6) -> Comparison:
    return compare_answers(json.dumps(candidate).encode(), json.dumps(stable).encode(), tolerance)


def test_predictions_are_compared_one_by_one() -> None:
    found = compare({"predictions": [0, 1, 2, 1]}, {"predictions": [0, 1, 1, 2]})
    assert found == Comparison(4, 2, "2 instead of 1")


def test_answers_of_different_length_are_compared_whole() -> None:
    found = compare({"predictions": [0, 1]}, {"predictions": [0]})
    assert found == Comparison(1, 1, "[0, 1] instead of [0]")


def test_an_answer_that_is_no_list_is_compared_whole() -> None:
    answers = {"predictions": {"a": 1, "b": 2}}, {"predictions": {"b": 2, "a": 1}}
    assert compare(*answers) == Comparison(1, 0)
    assert compare({"a": 1}, {"b": 1}) == Comparison(1, 1, '{"a": 1} instead of {"b": 1}')


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        (1, 1.0, True),
        (1.0000001, 1.0, True),
        (1.001, 1.0, False),
        (1e-9, 0.0, True),  # absolute
        (1e12 + 1, 1e12, True),  # relative
        (float("nan"), float("nan"), True),
        (float("inf"), float("-inf"), False),
        (True, 1, False),
        (None, None, True),
        (None, 0, False),
        ("a", "a", True),
        ("a", "b", False),
        ("1", 1, False),
        ([1, [2.0]], [1, [2.0000001]], True),
        ([1, 2], [1], False),
        ({"p": 0.5, "label": "x"}, {"label": "x", "p": 0.5000001}, True),
        ({"p": 0.5}, {"p": 0.5, "q": 1}, False),
        pytest.param(10**400, 10**400, True, id="too long for a float"),
    ],
)
def test_values_are_alike_within_the_tolerance(one: Any, other: Any, alike: bool) -> None:
    assert compare({"predictions": [one]}, {"predictions": [other]}).different == (0 if alike else 1)


def test_a_tolerance_of_nought_takes_equal_numbers_only() -> None:
    assert compare({"predictions": [0.1 + 0.2]}, {"predictions": [0.3]}, tolerance=0).different == 1


def test_a_long_example_is_cut() -> None:
    example = compare({"predictions": [["x" * 500]]}, {"predictions": [["y"]]}).example
    assert example is not None
    assert len(example) < 200
    assert example.endswith('... instead of ["y"]')


@pytest.mark.parametrize("answer", [b"not json", b"[" * 100_000])
def test_answers_that_are_no_json_are_compared_byte_by_byte(answer: bytes) -> None:
    assert compare_answers(answer, answer, 0) == Comparison(1, 0)
    assert compare_answers(answer, b"1", 0) == Comparison(1, 1, "the answers cannot be compared as JSON and differ")
    assert count_predictions(answer) == 1


def test_the_predictions_of_an_answer_are_counted() -> None:
    assert count_predictions(b'{"predictions": [1, 2, 3]}') == 3
    assert count_predictions(b'{"predictions": []}') == 1


def test_several_inputs_are_added_up() -> None:
    parts = [Comparison(3, 0), Comparison(2, 1, "b"), Comparison(0, 0, None, "no answer"), Comparison(1, 1, "c")]
    assert add_up(parts) == Comparison(6, 2, "b", "no answer")
    assert add_up(parts, "late") == Comparison(6, 2, "b", "late")


def test_inputs_are_the_lines_that_are_not_empty() -> None:
    assert read_inputs('{"inputs": [1]}\n\n  \n{"inputs": ["ü"]}\n') == [
        b'{"inputs": [1]}',
        '{"inputs": ["ü"]}'.encode(),
    ]


@pytest.mark.parametrize("end", ["\u2028", "\u2029", "\u0085"])
def test_only_a_newline_ends_an_input(end: str) -> None:
    line = json.dumps({"inputs": [f"a{end}b"]}, ensure_ascii=False)
    assert read_inputs(f"{line}\r\n{line}\n") == [f"{line}\r".encode(), line.encode()]
