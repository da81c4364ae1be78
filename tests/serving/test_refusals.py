"""What a caller is told who sends what cannot be answered: the code, and the field by name."""

import contextlib
import http.client
import json
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from tests.serving.models.workbench import SECRET
from tests.serving.processes import Server

COLUMNS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
ROW = [5.1, 3.5, 1.4, 0.2]
CSV = "text/csv"


@dataclass
class Case:
    """A request to the iris model and what its refusal must say."""

    name: str
    body: Any
    status: int = 400
    code: str = "InvalidRequest"
    field: str | None = None
    content_type: str = "application/json"


def split(columns: list[Any], *data: Any) -> dict[str, Any]:
    return {"dataframe_split": {"columns": columns, "data": list(data)}}


def record(**changes: Any) -> dict[str, Any]:
    return {"dataframe_records": [dict(zip(COLUMNS, ROW, strict=True)) | changes]}


CASES = [
    Case("empty body", "", code="InvalidJson"),
    Case("not JSON", "{inputs", code="InvalidJson"),
    Case("cut off", '{"inputs": [1, 2', code="InvalidJson"),
    Case("not UTF-8", b'{"inputs": "\xff"}', code="InvalidJson"),
    Case("nested too deep", '{"inputs": ' + "[" * 5000 + "]" * 5000 + "}", code="InvalidJson"),
    Case("nested too deep with NaN", '{"inputs": [NaN, ' + "[" * 20000 + "]" * 20000 + "]}", code="InvalidJson"),
    Case("a list", [ROW]),
    Case("a number", 7),
    Case("null", "null"),
    Case("no format", {"data": [ROW]}),
    Case("two formats", {"inputs": [ROW], "instances": [ROW]}),
    Case("params are no object", {**record(), "params": [1]}, code="WrongType", field="params"),
    Case("split is a list", {"dataframe_split": [ROW]}, code="WrongType", field="dataframe_split"),
    Case("split without data", {"dataframe_split": {"columns": COLUMNS}}, field="dataframe_split"),
    Case("split with an unknown key", {"dataframe_split": {"data": [], "rows": []}}, field="dataframe_split"),
    Case("columns are text", split("abcd", ROW), code="WrongType", field="dataframe_split.columns"),  # type: ignore[arg-type]
    Case(
        "column without a name", split([*COLUMNS[:3], None], ROW), code="WrongType", field="dataframe_split.columns[3]"
    ),
    Case("column twice", split([*COLUMNS, "petal_width"], [*ROW, 1.0]), field="dataframe_split.columns[4]"),
    Case("short row", split(COLUMNS, ROW, ROW[:3]), code="WrongShape", field="dataframe_split.data[1]"),
    Case("scalar rows", split(COLUMNS, 1, 2), code="WrongShape", field="dataframe_split.data[0]"),
    Case("missing column", split(COLUMNS[:3], ROW[:3]), code="MissingInput", field="petal_width"),
    Case("misspelt column", split([*COLUMNS[:3], "petal"], ROW), code="MissingInput", field="petal_width"),
    Case("text in a number", record(petal_width=SECRET), code="WrongType", field="petal_width"),
    Case("object in a number", record(petal_width={"a": 1}), code="WrongType", field="petal_width"),
    Case("list in a number", record(petal_width=[1, 2]), code="WrongType", field="petal_width"),
    Case("records are an object", {"dataframe_records": {"a": 1}}, code="WrongType", field="dataframe_records"),
    Case("a record is a list", {"dataframe_records": [ROW]}, code="WrongType", field="dataframe_records[0]"),
    Case("inputs miss a column", {"inputs": {"sepal_length": [5.1]}}, code="MissingInput", field="sepal_width"),
    Case(
        "inputs of two lengths",
        {"instances": [dict(zip(COLUMNS, ROW, strict=True)), {"sepal_length": 1.0}]},
        code="WrongShape",
    ),
    Case("inputs null", {"inputs": None}, code="MissingInput", field="sepal_length"),
    Case("no rows", split(COLUMNS)),
    Case("CSV with text in a number", "\n".join([",".join(COLUMNS), "1,2,3,x"]), 400, "WrongType", "petal_width", CSV),
    Case("CSV misses a column", "sepal_length\n5.1\n", 400, "MissingInput", "sepal_width", CSV),
    Case("CSV of ragged rows", "\n".join([",".join(COLUMNS), "1,2,3,4", "1,2,3,4,5,6"]), 400, "InvalidCsv", None, CSV),
    Case("CSV not UTF-8", b"a\n\xff\n", 400, "InvalidCsv", None, CSV),
    Case("CSV empty", "", 400, "InvalidCsv", None, CSV),
    Case("form", "a=1", 415, "UnsupportedMediaType", "Content-Type", "application/x-www-form-urlencoded"),
    Case("other charset", record(), 415, "UnsupportedMediaType", "Content-Type", "application/json; charset=latin-1"),
    Case("odd parameter", record(), 415, "UnsupportedMediaType", "Content-Type", "application/json; version=2"),
    Case("too large", "x" * 100_001, 413, "BodyTooLarge"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_bad_request_is_refused_by_name(iris_server: Server, case: Case) -> None:
    response = iris_server.post("/invocations", case.body, **{"Content-Type": case.content_type})
    assert response.status_code == case.status, response.text
    assert response.headers["content-type"] == "application/json"
    error = response.json()["error"]
    assert (error["code"], error.get("field")) == (case.code, case.field), error
    assert error["message"]
    for text in (response.text, iris_server.log):
        assert "Traceback" not in text
        assert SECRET not in text


def test_a_request_without_content_type_is_told_which(iris_server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", iris_server.port, timeout=10)
    with contextlib.closing(connection):
        connection.request("POST", "/invocations", body=json.dumps(record()))
        response = connection.getresponse()
        error = json.loads(response.read())["error"]
        types = ["application/json", "text/csv", "application/vnd.apache.arrow.stream"]
        assert (response.status, error["expected"]) == (415, types)


def test_a_chunked_body_has_the_same_limit(iris_server: Server) -> None:
    chunks = (b"x" * 10_000 for _ in range(20))
    headers = {"Content-Type": "application/json"}
    response = requests.post(f"{iris_server.url}/invocations", data=chunks, headers=headers, timeout=30)
    assert (response.status_code, response.json()["error"]["code"]) == (413, "BodyTooLarge")


def test_an_encoded_body_is_refused(iris_server: Server) -> None:
    response = iris_server.post("/invocations", b"x", **{"Content-Encoding": "gzip"})
    assert (response.status_code, response.json()["error"]["field"]) == (415, "Content-Encoding")


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ([[1.0, 2.0, 3.0]], "WrongShape"),
        ([1.0, 2.0, 3.0, 4.0], "WrongShape"),
        ([[1.0, 2.0, 3.0, 4.0], [1.0]], "WrongShape"),
        ([["a", "b", "c", "d"]], "WrongType"),
        ({"x": [1.0]}, "InvalidInput"),
    ],
)
def test_a_tensor_of_the_wrong_shape_or_type_is_refused(tensor_server: Server, inputs: Any, code: str) -> None:
    response = tensor_server.post("/invocations", {"inputs": inputs})
    assert (response.status_code, response.json()["error"]["code"]) == (400, code), response.text


def test_a_param_of_the_wrong_type_is_refused_by_name(workbench: Server) -> None:
    body = {"inputs": {"x": [1.0]}, "params": {"factor": SECRET}}
    response = workbench.post("/invocations", body)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["field"]) == (400, "WrongType", "params.factor")
    assert SECRET not in response.text


@pytest.mark.parametrize(
    ("mode", "code"),
    [("raise", "ModelError"), ("exit", "ModelError"), ("unencodable", "UnencodableOutput")],
)
def test_a_failing_model_is_a_500_and_one_line_in_the_log(workbench: Server, mode: str, code: str) -> None:
    before = workbench.log.count("\n")
    response = workbench.post("/invocations", {"inputs": {"x": [1.0]}, "params": {"mode": mode}})
    assert (response.status_code, response.json()["error"]["code"]) == (500, code)
    assert workbench.log.count("\n") == before + 1
    for text in (response.text, workbench.log):
        assert "Traceback" not in text
        assert SECRET not in text
    assert workbench.predict(inputs={"x": [1.0]}) == [2.0]


def test_a_number_that_json_readers_cannot_hold_is_written_whole(workbench: Server) -> None:
    assert workbench.predict(inputs={"x": [1.0]}, params={"mode": "big"}) == [2**60, 2**70]
