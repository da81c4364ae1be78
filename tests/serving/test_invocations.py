"""Every format of /invocations, each answer compared with what the model itself predicts."""

import io
import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.pyfunc.scoring_server import predictions_to_json
from modelvane_serving.formats.encoding import encode_predictions

from tests.serving.conftest import Fleet
from tests.serving.processes import Server
from tests.serving.train import iris


def rows(count: int = 5) -> pd.DataFrame:
    features, _ = iris()
    return features.sample(count, random_state=7)


def split(table: pd.DataFrame) -> dict[str, Any]:
    return {"columns": list(table.columns), "data": table.to_numpy().tolist()}


@pytest.mark.parametrize("form", ["dataframe_split", "dataframe_records", "instances", "inputs", "shuffled", "csv"])
def test_sklearn_pipeline_answers_each_format_with_its_own_predictions(
    fleet: Fleet, iris_server: Server, form: str
) -> None:
    table = rows()
    expected = fleet.iris.predict(table).tolist()
    if form == "csv":
        response = iris_server.post("/invocations", table.to_csv(index=False), **{"Content-Type": "text/csv"})
        assert response.json() == {"predictions": expected}
        return
    body = {
        "dataframe_split": {"dataframe_split": split(table)},
        "dataframe_records": {"dataframe_records": table.to_dict(orient="records")},
        "instances": {"instances": table.to_dict(orient="records")},
        "inputs": {"inputs": table.to_dict(orient="list")},
        # By name, not by place.
        "shuffled": {"dataframe_split": split(table[table.columns[::-1]])},
    }[form]
    assert iris_server.predict(**body) == expected


def test_an_extra_column_is_ignored_as_mlflow_does(fleet: Fleet, iris_server: Server) -> None:
    table = rows()
    expected = fleet.iris.predict(table).tolist()
    assert iris_server.predict(dataframe_split=split(table.assign(note="not a feature"))) == expected


@pytest.mark.parametrize("key", ["inputs", "instances"])
def test_tensor_model_answers_the_same_floats(fleet: Fleet, tensor_server: Server, key: str) -> None:
    table = rows(20).to_numpy()
    # Not approximately: the same bits come back from the JSON.
    answer = tensor_server.predict(**{key: table.tolist()})
    np.testing.assert_allclose(answer, fleet.tensor.predict_proba(table), rtol=1e-9)


def test_xgboost_answers_the_same_floats(fleet: Fleet, xgboost_server: Server) -> None:
    table = rows(20)
    table["sepal_width"] = (table["sepal_width"] * 10).astype(np.int64)
    expected = fleet.xgboost.predict(table)
    assert expected.dtype == np.float32
    records = json.loads(table.to_json(orient="records"))
    np.testing.assert_allclose(xgboost_server.predict(dataframe_records=records), expected, rtol=1e-5)


def test_params_reach_the_model(workbench: Server) -> None:
    table = {"columns": ["x"], "data": [[1.5], [2.0]]}
    assert workbench.predict(dataframe_split=table) == [3.0, 4.0]
    assert workbench.predict(dataframe_split=table, params={"factor": 10}) == [15.0, 20.0]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("float32", [1.100000023841858, 2.0]),
        ("nonfinite", [None, None, None, 1.5]),
        ("table", [{"y": 1.1, "label": "row 1.1"}, {"y": 2.0, "label": "row 2.0"}]),
        ("series", [{"y": 1.1}, {"y": 2.0}]),
        ("list", [1.1, 2.0]),
        ("dict", {"y": [1.1, 2.0], "text": ["a", "b"]}),
        ("nested", [{"y": 0.10000000149011612, "n": 7, "when": "2026-01-02T03:04:05"}]),
        ("bytes", ["AP8=\n"]),
        ("strings", ["a", "ü"]),
    ],
)
def test_each_type_of_answer_is_valid_json(workbench: Server, mode: str, expected: Any) -> None:
    body = {"dataframe_records": [{"x": 1.1}, {"x": 2.0}], "params": {"mode": mode}}
    response = workbench.post("/invocations", body)
    assert response.headers["content-type"] == "application/json"
    # Bare NaN and Infinity are words that json.loads would take: here they would raise.
    assert json.loads(response.content, parse_constant=pytest.fail) == {"predictions": expected}


def test_nan_written_as_pythons_json_does_is_taken(workbench: Server) -> None:
    response = workbench.post("/invocations", '{"inputs": {"x": [NaN, 2.0]}}')
    assert response.json() == {"predictions": [None, 4.0]}


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", "application/json;charset=UTF-8", "Application/JSON"],
)
def test_content_type_is_read_by_mlflows_rules(workbench: Server, content_type: str) -> None:
    response = workbench.post("/invocations", {"inputs": {"x": [1.0]}}, **{"Content-Type": content_type})
    assert response.status_code == 200, response.text


PREDICTIONS: list[Any] = [
    np.linspace(0, 1, 7),
    np.linspace(0, 1, 8, dtype=np.float32).reshape(2, 2, 2),
    np.arange(5),
    np.array([True, False]),
    np.array(["a", "b"]),
    np.array([1, "b", 2.5], dtype=object),
    pd.DataFrame({"a": [1, 2], "b": [0.1, 0.2], "c": ["x", "y"]}),
    pd.Series([1.5, 2.5]),
    pd.DataFrame({"t": [pd.Timestamp("2026-01-01"), pd.Timestamp("2026-01-02T03:04:05.000006")]}),
    {"a": np.arange(3), "b": [np.float32(0.1)], "c": {"d": np.int8(4)}},
    [np.float64(1.0), 2, "three", None, True],
    [b"bytes", bytearray(b"more")],
    "text",
    7,
    np.float32(0.3),
    {1: "integer key"},
]


@pytest.mark.parametrize("predictions", PREDICTIONS, ids=lambda value: type(value).__name__)
def test_answers_equal_those_of_mlflows_own_encoder(predictions: Any) -> None:
    theirs = io.StringIO()
    predictions_to_json(predictions, theirs)  # type: ignore[no-untyped-call]
    assert json.loads(encode_predictions(predictions)) == json.loads(theirs.getvalue())
