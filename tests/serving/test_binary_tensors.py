"""The binary tensor extension of the Open Inference Protocol: the same answers as JSON, without the text."""

import json
from typing import Any

import numpy as np
import pytest

from tests.serving import train
from tests.serving.conftest import Fleet
from tests.serving.processes import Server


def binary_body(request: dict[str, Any], *tensors: bytes) -> tuple[bytes, dict[str, str]]:
    head = json.dumps(request).encode()
    headers = {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}
    return b"".join((head, *tensors)), headers


def rows_in_binary(rows: np.ndarray[Any, Any], **request: Any) -> tuple[bytes, dict[str, str]]:
    data = rows.astype("<f8").tobytes()
    tensor = {"name": "rows", "datatype": "FP64", "shape": list(rows.shape)}
    return binary_body({"inputs": [{**tensor, "parameters": {"binary_data_size": len(data)}}], **request}, data)


def test_binary_tensors_give_the_same_answer_as_json(fleet: Fleet, iris_server: Server) -> None:
    features, _ = train.iris()
    body, headers = rows_in_binary(features.to_numpy())
    response = iris_server.post("/v2/models/iris/infer", body, **headers)
    assert response.status_code == 200, response.text
    (output,) = response.json()["outputs"]
    assert output["data"] == fleet.iris.predict(features).tolist()


def test_outputs_are_binary_where_that_is_asked_for(fleet: Fleet, tensor_server: Server) -> None:
    features = train.iris()[0].to_numpy()[:7]
    for asked in (
        {"parameters": {"binary_data_output": True}},
        {"outputs": [{"name": "output-0", "parameters": {"binary_data": True}}]},
    ):
        body, headers = rows_in_binary(features, **asked)
        response = tensor_server.post("/v2/models/tensor/infer", body, **headers)
        assert response.headers["Content-Type"] == "application/octet-stream"
        length = int(response.headers["Inference-Header-Content-Length"])
        (output,) = json.loads(response.content[:length])["outputs"]
        data = np.frombuffer(response.content[length:], dtype="<f8").reshape(output["shape"])
        assert output["parameters"] == {"binary_data_size": data.nbytes}
        np.testing.assert_allclose(data, fleet.tensor.predict_proba(features), rtol=1e-9)


def test_a_column_each_in_binary(fleet: Fleet, iris_server: Server) -> None:
    features = train.iris()[0].head(5)
    tensors = [features[name].to_numpy().astype("<f4").tobytes() for name in features]
    inputs = [
        {"name": name, "datatype": "FP32", "shape": [5], "parameters": {"binary_data_size": 20}} for name in features
    ]
    body, headers = binary_body({"inputs": inputs}, *tensors)
    response = iris_server.post("/v2/models/iris/infer", body, **headers)
    expected = fleet.iris.predict(features.astype(np.float32).astype(float)).tolist()
    assert response.json()["outputs"][0]["data"] == expected


@pytest.mark.parametrize(
    ("size", "data", "length", "field"),
    [
        (31, b"x" * 31, None, "inputs[0].parameters.binary_data_size"),
        (32, b"x" * 31, None, "inputs[0].parameters.binary_data_size"),
        (32, b"x" * 33, None, "inputs"),
        ("32", b"x" * 32, None, "inputs[0].parameters.binary_data_size"),
        (-1, b"x" * 32, None, "inputs[0].parameters.binary_data_size"),
        (32, b"x" * 32, "many", "Inference-Header-Content-Length"),
        (32, b"x" * 32, "100000", "Inference-Header-Content-Length"),
    ],
)
def test_binary_data_of_another_size_is_refused(
    iris_server: Server, size: Any, data: bytes, length: str | None, field: str
) -> None:
    tensor = {"name": "rows", "datatype": "FP64", "shape": [1, 4], "parameters": {"binary_data_size": size}}
    body, headers = binary_body({"inputs": [tensor]}, data)
    if length is not None:
        headers["Inference-Header-Content-Length"] = length
    response = iris_server.post("/v2/models/iris/infer", body, **headers)
    assert response.status_code == 400, response.text
    assert response.json()["error"]["field"] == field


def test_binary_data_without_its_header_is_refused(iris_server: Server) -> None:
    tensor = {"name": "rows", "datatype": "FP64", "shape": [1, 4], "parameters": {"binary_data_size": 32}}
    response = iris_server.post("/v2/models/iris/infer", {"inputs": [tensor]})
    assert response.status_code == 400
    assert response.json()["error"]["field"] == "Inference-Header-Content-Length"
