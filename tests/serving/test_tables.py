"""The plan of a table, and what it leaves to the complete decoder."""

from typing import Any

import numpy as np
import pytest
from modelvane_serving.formats.tables import Table, TablePlan, concatenate, decode_table, plan_table
from modelvane_serving.signature import read_signature


def plan_of(**columns: str) -> TablePlan:
    inputs = [{"name": name, "type": kind} for name, kind in columns.items()]
    plan = plan_table(read_signature({"inputs": inputs}))
    assert plan is not None
    return plan


def tensor_plan(dtype: str, *shape: int) -> TablePlan | None:
    spec = {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": list(shape)}}
    return plan_table(read_signature({"inputs": [spec]}))


TWO = plan_of(a="double", b="double")
MIXED = plan_of(n="long", x="double", s="string")
NUMBERS = plan_of(n="long", f="float", t="boolean", i="integer")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dataframe_split", {"columns": ["a", "b"], "data": [[1.5, 2], [3, 4]]}),
        ("dataframe_split", {"columns": ["b", "a"], "data": [[2, 1.5], [4, 3]]}),
        ("dataframe_split", {"columns": ["b", "more", "a"], "data": [[2, "text", 1.5], [4, None, 3]]}),
        ("dataframe_records", [{"a": 1.5, "b": 2}, {"b": 4, "a": 3, "more": []}]),
        ("instances", [{"a": 1.5, "b": 2}, {"a": 3, "b": 4}]),
        ("inputs", {"b": [2, 4], "a": [1.5, 3]}),
    ],
)
def test_every_format_gives_the_same_matrix_in_the_order_of_the_signature(name: str, value: Any) -> None:
    table = decode_table(name, value, TWO)
    assert table is not None
    assert table.matrix is not None
    assert table.matrix.tolist() == [[1.5, 2.0], [3.0, 4.0]]


def test_null_is_not_a_number_in_a_column_of_doubles() -> None:
    table = decode_table("dataframe_split", {"columns": ["a", "b"], "data": [[None, 1]]}, TWO)
    assert table is not None
    assert table.matrix is not None
    assert np.isnan(table.matrix[0, 0])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dataframe_split", {"columns": ["a"], "data": [[1]]}),
        ("dataframe_split", {"columns": ["a", "a", "b"], "data": [[1, 1, 1]]}),
        ("dataframe_split", {"columns": ["a", "b"], "data": [[1, 2], [3]]}),
        ("dataframe_split", {"columns": ["a", "b"], "data": [[1, [2]]]}),
        ("dataframe_split", {"columns": ["a", "b"], "data": []}),
        ("dataframe_split", {"columns": ["a", "b"], "index": [7], "data": [[1, 2]]}),
        ("dataframe_split", {"data": [[1, 2]]}),
        ("dataframe_split", [1]),
        ("dataframe_records", [{"a": 1}]),
        ("dataframe_records", [7]),
        ("inputs", {"a": 1, "b": 2}),
        ("inputs", {"a": [1], "b": [2, 3]}),
        ("inputs", {"a": ["text"], "b": [2]}),
        ("dataframe_split", None),
    ],
)
def test_what_is_not_clean_is_left_to_the_complete_decoder(name: str, value: Any) -> None:
    assert decode_table(name, value, TWO) is None


@pytest.mark.parametrize(
    "row",
    [
        [1.5, 1.0, True, 1],
        [2**53 + 2, 1.0, True, 1],
        [None, 1.0, True, 1],
        [1, 1.0, 2, 1],
        [1, 1.0, None, 1],
        [1, 1.0, True, 2**31],
        [1, "1", True, 1],
    ],
)
def test_a_number_that_its_column_cannot_hold_is_left_to_the_complete_decoder(row: list[Any]) -> None:
    body = {"columns": ["n", "f", "t", "i"], "data": [row]}
    assert decode_table("dataframe_split", body, NUMBERS) is None


def test_columns_get_their_types_and_single_precision_is_rounded() -> None:
    body = {"columns": ["n", "f", "t", "i"], "data": [[2**53, 0.1, True, -5]]}
    table = decode_table("dataframe_split", body, NUMBERS)
    assert table is not None
    columns = NUMBERS.typed_columns(table)
    assert [column.dtype.name for column in columns] == ["int64", "float32", "bool", "int32"]
    assert [column[0] for column in columns] == [2**53, np.float32(0.1), True, -5]


def test_texts_make_a_table_of_columns() -> None:
    rows = [{"n": 1, "x": 2, "s": "a"}, {"n": 2, "x": None, "s": None}]
    table = decode_table("dataframe_records", rows, MIXED)
    assert table is not None
    assert table.matrix is None
    assert [column.dtype.name for column in table.columns] == ["int64", "float64", "object"]
    assert table.columns[2].tolist() == ["a", None]
    assert decode_table("dataframe_records", [{"n": 1, "x": 2, "s": 3}], MIXED) is None
    assert decode_table("dataframe_records", [{"n": 1.0, "x": 2, "s": "a"}], MIXED) is None


def test_an_array_without_a_name_is_planned_when_it_has_rows() -> None:
    plan = tensor_plan("float32", -1, 2)
    assert plan is not None
    for name in ("inputs", "instances"):
        table = decode_table(name, [[0.1, 1]], plan)
        assert table is not None
        assert table.matrix is not None
        assert table.matrix[0, 0] == np.float32(0.1)
    assert decode_table("inputs", [0.1, 1], plan) is None
    assert decode_table("inputs", [[0.1, 1, 2]], plan) is None
    assert tensor_plan("float64", -1) is None
    assert tensor_plan("float64", -1, 2, 2) is None
    assert tensor_plan("str", -1, 2) is None


def test_no_plan_for_columns_that_are_more_than_values() -> None:
    for kind in ({"type": "datetime"}, {"type": "binary"}, {"type": "array", "items": {"type": "double"}}):
        assert plan_table(read_signature({"inputs": [{"name": "a", **kind}]})) is None
    assert plan_table(read_signature({"inputs": [{"type": "double"}]})) is None
    assert plan_table(None) is None


def test_tables_are_put_below_each_other() -> None:
    one, two = Table(rows=1, matrix=np.ones((1, 2))), Table(rows=2, matrix=np.zeros((2, 2)))
    both = concatenate([one, two])
    assert both.matrix is not None
    assert (both.rows, both.matrix.tolist()) == (3, [[1, 1], [0, 0], [0, 0]])
    texts = Table(rows=1, columns=(np.array(["a"], dtype=object),))
    assert concatenate([texts, texts]).columns[0].tolist() == ["a", "a"]
