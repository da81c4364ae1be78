"""Verification requests: answered by the code that serves, before it serves, and not counted as traffic."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.serving import train
from tests.serving.conftest import Fleet
from tests.serving.processes import Server, Start

COLUMNS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
SETOSA = [5.1, 3.5, 1.4, 0.2]


def requests(*items: dict[str, Any]) -> dict[str, str]:
    return {"MODELVANE_VERIFY_REQUESTS": json.dumps(items)}


def split(*rows: list[float], columns: list[str] = COLUMNS) -> dict[str, Any]:
    return {"dataframe_split": {"columns": columns, "data": list(rows)}}


def request(name: str, body: Any, path: str = "/invocations", **expect: Any) -> dict[str, Any]:
    return {"name": name, "path": path, "body": body, "expect": expect}


def test_requests_that_are_answered_as_expected_let_it_serve_and_are_no_traffic(fleet: Fleet, start: Start) -> None:
    probabilities = fleet.tensor.predict_proba([SETOSA]).tolist()[0]
    tensor = {"name": "x", "shape": [1, 4], "datatype": "FP64", "data": SETOSA}
    server = start(
        fleet.root / "tensor",
        MODELVANE_WORKERS="2",
        **requests(
            request("close", {"inputs": [SETOSA]}, json={"predictions": [[p + 1e-9 for p in probabilities]]}),
            request("refused", {"inputs": [["a"] * 4]}, status=400, schema={"required": ["error"]}),
            request("protocol", {"inputs": [tensor]}, "/v2/models/tensor/infer", schema={"required": ["outputs"]}),
            {"name": "no expectation", "body": {"inputs": [SETOSA]}},
        ),
    ).wait_ready()
    verified = [line for line in map(json.loads, server.log.splitlines()) if "verification" in line["message"]]
    # By each worker, which has a model of its own.
    assert [line["requests"] for line in verified] == [4, 4]
    assert server.metric('modelvane_requests_total{[^}]*path="(/invocations|/v2/models[^"]*)"[^}]*}') == 0
    assert server.metric("modelvane_request_duration_seconds_count{[^}]*}") == 0
    assert server.predict(inputs=[SETOSA])[0] == pytest.approx(probabilities, rel=1e-5)
    assert server.metric("modelvane_request_duration_seconds_count{[^}]*}") == 1


@pytest.mark.parametrize(
    ("model", "item", "message"),
    [
        (
            "iris",
            request("setosa", split(SETOSA, SETOSA), json={"predictions": [0, 1]}),
            "request 'setosa' to /invocations: predictions[1]: expected 1, got 0",
        ),
        (
            "iris",
            request("three columns", split(SETOSA[:3], columns=COLUMNS[:3])),
            "request 'three columns' to /invocations: expected status 200, got 400: "
            '{"error":{"code":"MissingInput","message":"the model needs \'petal_width\'",'
            '"field":"petal_width","expected":["petal_width"]}}',
        ),
        (
            "workbench",
            request(
                "labels",
                {"inputs": {"x": [1.5]}},
                schema={"properties": {"predictions": {"items": {"type": "string"}}}},
            ),
            'request \'labels\' to /invocations: predictions[0]: expected {"type": "string"}, got 3.0',
        ),
        (
            "workbench",
            request("mode", {"inputs": {"x": [1.0]}, "params": {"mode": "raise"}}),
            "request 'mode' to /invocations: expected status 200, got 500: "
            '{"error":{"code":"ModelError","message":"the model failed: RuntimeError"}}',
        ),
        (
            "workbench",
            request("typo", {"inputs": {"x": [1.0]}}, "/v2/models/bench/infer"),
            "request 'typo' to /v2/models/bench/infer: expected status 200, got 404: "
            '{"error":{"code":"ModelNotFound","message":"no such model, version or operation here",'
            '"expected":"/v2/models/workbench[/versions/3]"}}',
        ),
    ],
)
def test_a_request_that_is_answered_otherwise_ends_it(
    fleet: Fleet, start: Start, model: str, item: dict[str, Any], message: str
) -> None:
    right = request("right", json.loads((fleet.root / model / "artifacts/serving_input_example.json").read_text()))
    failure = start(fleet.root / model, **requests(right, item)).failure()
    assert failure == {"reason": "VerificationRequestFailed", "message": message}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("[{}]", "MODELVANE_VERIFY_REQUESTS[0].body is missing"),
        (
            json.dumps([request("typo", {}, schema={"type": "numeric"})]),
            "MODELVANE_VERIFY_REQUESTS[0].expect.schema.type is no JSON Schema: "
            "'numeric' is not valid under any of the given schemas",
        ),
    ],
)
def test_a_setting_that_cannot_be_read_ends_it_before_the_model_is_loaded(
    fleet: Fleet, start: Start, setting: str, message: str
) -> None:
    server = start(fleet.root / "fails_to_load", MODELVANE_VERIFY_REQUESTS=setting)
    assert server.failure() == {"reason": "InvalidSettings", "message": message}


def test_the_input_example_is_a_body_that_the_model_answers(fleet: Fleet, iris_server: Server) -> None:
    timed = "modelvane_request_duration_seconds_count{[^}]*}"
    before = iris_server.metric(timed)
    response = iris_server.get("/input-example")
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert iris_server.metric(timed) == before
    features, _ = train.iris()
    answer = iris_server.post("/invocations", response.content)
    assert answer.json() == {"predictions": fleet.iris.predict(features.head(3)).tolist()}


def test_a_model_without_an_input_example_says_so(tmp_path: Path, start: Start) -> None:
    train.save_script(tmp_path / "plain", "fails_to_predict")
    server = start(tmp_path / "plain").wait_ready()
    response = server.get("/input-example")
    assert (response.status_code, response.json()) == (
        404,
        {"error": {"code": "NoInputExample", "message": "the model was logged without an input example"}},
    )


def test_an_input_example_outside_the_model_is_not_read(tmp_path: Path, start: Start) -> None:
    train.save_script(tmp_path / "outside", "fails_to_predict", input_example={"x": 1.0})
    mlmodel = tmp_path / "outside/artifacts/MLmodel"
    mlmodel.write_text(mlmodel.read_text().replace("serving_input_example.json", "../facts.json"))
    failure = start(train.finish(tmp_path / "outside")).failure()
    assert failure == {
        "reason": "InvalidModel",
        "message": "the input example 'facts.json' is not among the model's files",
    }
