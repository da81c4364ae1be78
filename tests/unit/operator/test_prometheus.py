"""What Prometheus answers, as one number or as words."""

import json
from typing import Any

import pytest
from modelvane.analysis.pods import Answer
from modelvane.analysis.prometheus import QueryError, fill, read_value


def answer(kind: str, result: Any) -> Answer:
    return Answer(200, json.dumps({"status": "success", "data": {"resultType": kind, "result": result}}).encode())


def test_variables_are_filled_in() -> None:
    query = 'sum(rate(x{revision="{{candidate}}", namespace="{{namespace}}"}[{{interval}}])) by (y) / {{unknown}}'
    filled = fill(query, {"candidate": "v4-aaaaaaaa", "namespace": "shop", "interval": "30s"})
    assert filled == 'sum(rate(x{revision="v4-aaaaaaaa", namespace="shop"}[30s])) by (y) / {{unknown}}'


@pytest.mark.parametrize(
    ("kind", "result", "expected"),
    [
        ("scalar", [1, "0.25"], 0.25),
        ("vector", [{"metric": {}, "value": [1, "0.25"]}], 0.25),
        ("vector", [], None),
        ("vector", [{"metric": {}, "value": [1, "NaN"]}], None),
        ("vector", [{"metric": {}, "value": [1, "+Inf"]}], float("inf")),
    ],
)
def test_one_value_is_read(kind: str, result: Any, expected: float | None) -> None:
    assert read_value(answer(kind, result)) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (answer("vector", [{}, {}]), "2 series, expected one; aggregate them, for example with sum()"),
        (answer("matrix", []), "the result is a matrix, expected a scalar or a vector with one series"),
        (answer("scalar", "x"), "the answer is not that of Prometheus (status 200)"),
        (Answer(502, b"<html>"), "the answer is not that of Prometheus (status 502)"),
        (Answer(200, b"[" * 100_000), "the answer is not that of Prometheus (status 200)"),
        (Answer(200, b" " * 300_000), "the answer has 300000 bytes, expected one number"),
        (Answer(200, b"[1]"), "the answer is not that of Prometheus (status 200)"),
        (Answer(400, b'{"status":"error","error":"parse error: no"}'), "parse error: no"),
    ],
    ids=["series", "matrix", "text", "page", "nested", "large", "list", "complaint"],
)
def test_everything_else_is_said_in_words(given: Answer, expected: str) -> None:
    with pytest.raises(QueryError) as error:
        read_value(given)
    assert str(error.value) == expected
