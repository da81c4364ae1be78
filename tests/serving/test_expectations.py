"""Reading verification requests, and finding where an answer is not the one expected."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelvane_serving.checks.expectations import ANYTHING, find_difference, read_requests
from modelvane_serving.checks.schemas import find_misfit, read_schema
from modelvane_serving.failure import StartError

WHERE = "MODELVANE_VERIFY_REQUESTS"

numbers = st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def test_a_request_has_defaults() -> None:
    (request,) = read_requests('[{"name": "setosa", "body": {"inputs": [1]}}]')
    assert (request.name, request.path, json.loads(request.body)) == ("setosa", "/invocations", {"inputs": [1]})
    assert (request.expect.status, request.expect.tolerance, request.expect.schema) == (200, 1e-6, None)
    assert request.expect.json is ANYTHING
    assert read_requests(None) == read_requests("") == ()


def test_null_may_be_sent_and_expected() -> None:
    (request,) = read_requests('[{"name": "n", "body": null, "expect": {"json": null}}]')
    assert (request.body, request.expect.json) == (b"null", None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", f"{WHERE} is not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ('{"name": "a"}', f'{WHERE} must be a list, got {{"name": "a"}}'),
        ("[7]", f"{WHERE}[0] must be an object, got 7"),
        ('[{"name": "a"}]', f"{WHERE}[0].body is missing"),
        ('[{"body": 1}]', f"{WHERE}[0].name must be a name, got null"),
        (
            '[{"name": "a", "body": 1, "path": "ping"}]',
            f"{WHERE}[0].path must be a path that begins with '/', got \"ping\"",
        ),
        ('[{"name": "a", "body": 1, "expect": 200}]', f"{WHERE}[0].expect must be an object, got 200"),
        (
            '[{"name": "a", "body": 1}, {"name": "b", "body": 1, "expect": {"status": "ok"}}]',
            f'{WHERE}[1].expect.status must be a status code from 100 to 599, got "ok"',
        ),
        (
            '[{"name": "a", "body": 1, "expect": {"tolerance": -1}}]',
            f"{WHERE}[0].expect.tolerance must be a number of 0 or more, got -1",
        ),
        (
            '[{"name": "a", "body": 1, "expect": {"schema": true}}]',
            f"{WHERE}[0].expect.schema must be a JSON Schema object, got true",
        ),
    ],
)
def test_a_setting_that_cannot_be_read_is_named(text: str, message: str) -> None:
    with pytest.raises(StartError) as caught:
        read_requests(text)
    assert (caught.value.reason, caught.value.message) == ("InvalidSettings", message)


@pytest.mark.parametrize(
    ("expected", "got", "difference"),
    [
        ({"predictions": [1.0]}, {"predictions": [1.0000005]}, None),
        ({"predictions": [1]}, {"predictions": [1.0]}, None),
        ([2_000_000], [2_000_001], None),
        ({"predictions": [1.0, 1.0]}, {"predictions": [1.0, 2.0]}, "predictions[1]: expected 1.0, got 2.0"),
        ([2_000_000], [2_000_003], "[0]: expected 2000000, got 2000003"),
        ({"a": {"b": "x"}}, {"a": {"b": "y"}}, 'a.b: expected "x", got "y"'),
        ({"a b": [1]}, {"a b": [None]}, "['a b'][0]: expected 1, got null"),
        ([True], [1], "[0]: expected true, got 1"),
        ([1], [True], "[0]: expected 1, got true"),
        (["1"], [1], '[0]: expected "1", got 1'),
        ([1, 2], [1], "the answer: expected 2 items, got 1: [1]"),
        ({"p": [[1, 2]]}, {"p": [[1]]}, "p[0]: expected 2 items, got 1: [1]"),
        ({"p": 1}, {}, "expected p, got {} without it"),
        ({"p": 1}, {"p": 1, "q": [2]}, "expected no q, got [2]"),
        ({"p": 1}, [1], 'the answer: expected {"p": 1}, got [1]'),
        ([0.5], [10**400], f"[0]: expected 0.5, got {'1' + '0' * 158}…"),
        ([None], [0], "[0]: expected null, got 0"),
    ],
)
def test_a_difference_names_its_place(expected: Any, got: Any, difference: str | None) -> None:
    assert find_difference(expected, got, 1e-6) == difference


@given(values)
def test_a_value_does_not_differ_from_itself(value: Any) -> None:
    assert find_difference(value, json.loads(json.dumps(value)), 0.0) is None


@given(values, values)
def test_without_tolerance_only_equal_values_are_equal(one: Any, other: Any) -> None:
    # Python's True is 1, JSON's is not: their texts tell.
    if find_difference(one, other, 0.0) is None:
        assert one == other
    else:
        assert json.dumps(one, sort_keys=True) != json.dumps(other, sort_keys=True)


@given(numbers, numbers, st.floats(0, 10))
def test_the_tolerance_is_relative_above_one_and_absolute_below(expected: float, got: float, tolerance: float) -> None:
    allowed = tolerance * max(1, abs(expected))
    assert (find_difference([expected], [got], tolerance) is None) == (math.fabs(expected - got) <= allowed)


@given(values, values)
def test_what_a_wider_tolerance_refuses_a_narrower_one_refuses(one: Any, other: Any) -> None:
    if find_difference(one, other, 0.5) is not None:
        assert find_difference(one, other, 0.001) is not None


SCHEMA = {
    "type": "object",
    "required": ["predictions"],
    "properties": {"predictions": {"type": "array", "items": {"enum": ["setosa", "virginica"]}}},
}


@pytest.mark.parametrize(
    ("answer", "misfit"),
    [
        ({"predictions": ["setosa"]}, None),
        ({"predictions": ["setosa", 2]}, 'predictions[1]: expected {"enum": ["setosa", "virginica"]}, got 2'),
        ({"predictions": "setosa"}, 'predictions: expected {"type": "array"}, got "setosa"'),
        ({}, 'the answer: expected {"required": ["predictions"]}, got {}'),
    ],
)
def test_a_misfit_names_its_place(answer: Any, misfit: str | None) -> None:
    assert find_misfit("schema", read_schema("schema", SCHEMA), answer) == misfit


def test_a_schema_that_is_none_is_named() -> None:
    with pytest.raises(StartError) as caught:
        read_schema("here", {"properties": {"p": {"type": "numeric"}}})
    assert caught.value.reason == "InvalidSettings"
    assert caught.value.message.startswith("here.properties.p.type is no JSON Schema: 'numeric' is not")


@pytest.mark.parametrize("reference", ["#/$defs/gone", "http://127.0.0.1:1/schema.json", "file:///etc/passwd"])
def test_what_a_schema_refers_to_is_not_fetched(reference: str) -> None:
    with pytest.raises(StartError) as caught:
        find_misfit("here", read_schema("here", {"$ref": reference}), {})
    assert caught.value.reason == "InvalidSettings"
    assert caught.value.message.startswith("here refers to what is not in it: ")
    assert reference in caught.value.message
