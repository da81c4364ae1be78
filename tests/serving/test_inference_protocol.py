"""The Open Inference Protocol v2 in JSON, against the models' own predictions."""

from typing import Any

import numpy as np
import pytest

from tests.serving.conftest import Fleet
from tests.serving.processes import Server
from tests.serving.test_invocations import rows


def tensor(name: str, data: Any, shape: list[int], datatype: str = "FP64") -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": datatype, "data": data}


def infer(server: Server, body: dict[str, Any], path: str = "") -> dict[str, Any]:
    response = server.post(f"/v2/models/{server.model_dir.name}{path}/infer", body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


@pytest.mark.parametrize("path", ["", "/versions/3"])
def test_one_tensor_for_all_columns(fleet: Fleet, iris_server: Server, path: str) -> None:
    table = rows()
    data = table.to_numpy().ravel().tolist()
    answer = infer(iris_server, {"id": "abc", "inputs": [tensor("input-0", data, [5, 4])]}, path)
    assert answer == {
        "model_name": "iris",
        "model_version": "3",
        "id": "abc",
        "outputs": [
            {"name": "output-0", "datatype": "INT64", "shape": [5], "data": fleet.iris.predict(table).tolist()}
        ],
    }


def test_one_tensor_a_column_in_any_order(fleet: Fleet, iris_server: Server) -> None:
    table = rows()
    inputs = [tensor(name, table[name].tolist(), [5, 1]) for name in reversed(table.columns)]
    assert infer(iris_server, {"inputs": inputs})["outputs"][0]["data"] == fleet.iris.predict(table).tolist()


def test_columns_of_several_types(fleet: Fleet, xgboost_server: Server) -> None:
    table = rows()
    table["sepal_width"] = (table["sepal_width"] * 10).astype(np.int64)
    inputs = [
        tensor(name, table[name].tolist(), [5], "INT32" if name == "sepal_width" else "FP64") for name in table.columns
    ]
    output = infer(xgboost_server, {"inputs": inputs})["outputs"][0]
    assert output["datatype"] == "FP32"
    np.testing.assert_allclose(output["data"], fleet.xgboost.predict(table), rtol=1e-5)


@pytest.mark.parametrize("nested", [False, True])
def test_tensor_model_answers_a_matrix(fleet: Fleet, tensor_server: Server, nested: bool) -> None:
    table = rows().to_numpy()
    data = table.tolist() if nested else table.ravel().tolist()
    output = infer(tensor_server, {"inputs": [tensor("x", data, [5, 4])]})["outputs"][0]
    assert (output["datatype"], output["shape"]) == ("FP64", [5, 3])
    np.testing.assert_allclose(output["data"], fleet.tensor.predict_proba(table).ravel(), rtol=1e-9)


def test_a_narrower_float_is_taken(fleet: Fleet, tensor_server: Server) -> None:
    table = rows().to_numpy().astype(np.float32)
    output = infer(tensor_server, {"inputs": [tensor("x", table.tolist(), [5, 4], "FP32")]})["outputs"][0]
    expected = fleet.tensor.predict_proba(table.astype(np.float64)).ravel()
    np.testing.assert_allclose(output["data"], expected, rtol=1e-9)


def test_parameters_are_the_models_params(workbench: Server) -> None:
    body = {"inputs": [tensor("x", [1.5], [1])], "parameters": {"factor": 3.0, "binary_data_output": False}}
    assert infer(workbench, body)["outputs"][0]["data"] == [4.5]


def test_a_table_answers_one_output_a_column_and_a_selection_is_honoured(workbench: Server) -> None:
    body = {"inputs": [tensor("x", [1.5, 2.0], [2])], "parameters": {"mode": "table"}}
    y = {"name": "y", "datatype": "FP64", "shape": [2], "data": [1.5, 2.0]}
    label = {"name": "label", "datatype": "BYTES", "shape": [2], "data": ["row 1.5", "row 2.0"]}
    assert infer(workbench, body)["outputs"] == [y, label]
    assert infer(workbench, {**body, "outputs": [{"name": "label"}]})["outputs"] == [label]
    assert infer(workbench, {**body, "outputs": [{"name": "label"}, {"name": "y"}]})["outputs"] == [label, y]


def test_nan_is_null_both_ways(workbench: Server) -> None:
    body = {"inputs": [tensor("x", [None, 2.0], [2])]}
    assert infer(workbench, body)["outputs"][0]["data"] == [None, 4.0]


@pytest.mark.parametrize(
    ("mode", "datatype", "data"),
    [
        ("strings", "BYTES", ["a", "ü"]),
        ("list", "FP64", [1.0, 2.0]),
        ("series", "FP64", [1.0, 2.0]),
        ("bytes", "BYTES", ['"AP8=\\n"']),
    ],
)
def test_each_type_of_answer_has_a_datatype(workbench: Server, mode: str, datatype: str, data: list[Any]) -> None:
    body = {"inputs": [tensor("x", [1.0, 2.0], [2])], "parameters": {"mode": mode}}
    output = infer(workbench, body)["outputs"][0]
    assert (output["datatype"], output["data"]) == (datatype, data)


def test_metadata_describes_the_signature(iris_server: Server, tensor_server: Server) -> None:
    metadata = iris_server.get("/v2/models/iris/versions/3").json()
    assert metadata["inputs"][0] == {"name": "sepal_length", "datatype": "FP64", "shape": [-1]}
    assert {**metadata, "inputs": len(metadata["inputs"])} == {
        "name": "iris",
        "versions": ["3"],
        "platform": "mlflow_sklearn",
        "inputs": 4,
        "outputs": [{"name": "output-0", "datatype": "INT64", "shape": [-1]}],
    }
    inputs = tensor_server.get("/v2/models/tensor").json()["inputs"]
    assert inputs == [{"name": "input-0", "datatype": "FP64", "shape": [-1, 4]}]
    assert iris_server.get("/v2").json()["name"] == "modelvane"


GOOD = tensor("x", [1.0, 2.0], [2])


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "WrongType", "inputs"),
        ({"inputs": []}, "InvalidRequest", "inputs"),
        ({"inputs": {"x": [1]}}, "WrongType", "inputs"),
        ({"inputs": [7]}, "WrongType", "inputs[0]"),
        ({"inputs": [{**GOOD, "name": 7}]}, "InvalidRequest", "inputs[0].name"),
        ({"inputs": [{**GOOD, "datatype": "FLOAT"}]}, "InvalidRequest", "inputs[0].datatype"),
        ({"inputs": [{**GOOD, "datatype": None}]}, "InvalidRequest", "inputs[0].datatype"),
        ({"inputs": [{**GOOD, "shape": 2}]}, "WrongType", "inputs[0].shape"),
        ({"inputs": [{**GOOD, "shape": [-1]}]}, "WrongType", "inputs[0].shape"),
        ({"inputs": [{**GOOD, "shape": [3]}]}, "WrongShape", "inputs[0].data"),
        ({"inputs": [{**GOOD, "data": 1.0}]}, "WrongType", "inputs[0].data"),
        ({"inputs": [{**GOOD, "data": [[1.0], [2.0, 3.0]]}]}, "WrongShape", "inputs[0].data"),
        ({"inputs": [{**GOOD, "data": [1.0, "2"]}]}, "WrongType", "inputs[0].data[1]"),
        ({"inputs": [{**GOOD, "data": [1.0, True]}]}, "WrongType", "inputs[0].data[1]"),
        ({"inputs": [{**GOOD, "datatype": "INT64", "data": [1, 2.5]}]}, "WrongType", "inputs[0].data[1]"),
        ({"inputs": [{**GOOD, "datatype": "INT8", "data": [1, 300]}]}, "OutOfRange", "inputs[0].data"),
        ({"inputs": [{**GOOD, "datatype": "BYTES", "data": ["a", "b"]}]}, "WrongType", "x"),
        ({"inputs": [GOOD, GOOD]}, "InvalidRequest", "inputs"),
        ({"inputs": [{**GOOD, "shape": [1, 2]}]}, "WrongShape", "inputs[0].shape"),
        ({"inputs": [tensor("y", [1.0], [1])]}, "MissingInput", "x"),
        ({"inputs": [{"name": "x", "shape": [2], "datatype": "FP64"}]}, "InvalidRequest", "inputs[0].data"),
        ({"inputs": [GOOD], "id": 7}, "WrongType", "id"),
        ({"inputs": [GOOD], "parameters": []}, "WrongType", "parameters"),
        ({"inputs": [GOOD], "outputs": "y"}, "WrongType", "outputs"),
        ({"inputs": [GOOD], "outputs": [{"nome": "y"}]}, "InvalidRequest", "outputs[0].name"),
        ({"inputs": [GOOD], "outputs": [{"name": "y"}]}, "InvalidRequest", "outputs[0].name"),
        ("{", "InvalidJson", None),
    ],
)
def test_a_bad_infer_request_is_refused_by_name(workbench: Server, body: Any, code: str, field: str | None) -> None:
    response = workbench.post("/v2/models/workbench/infer", body)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error.get("field")) == (400, code, field), error
