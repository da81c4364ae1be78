"""MLflow's own scoring server in our pod: its answers are its own, and around them is what a rollout needs."""

import asyncio
import json
import os
import re
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import pytest
import requests
import uvicorn
from mlflow.pyfunc import scoring_server
from modelvane_serving.failure import StartError
from modelvane_serving.fetched import open_fetched
from modelvane_serving.messages import JSON_TYPE, Message, Request
from modelvane_serving.metrics import Metrics
from modelvane_serving.mlflow_scoring import ENGINE, MlflowApp, load_model, verify_input_example

from tests.serving import load, train
from tests.serving.conftest import Fleet

INFO = {"model_name": "workbench", "version": "3", "engine": ENGINE}
JSON = "application/json"
THREADS = min(32, (os.cpu_count() or 1) + 4)
"""How many threads asyncio has for predictions."""

# A body, its type, and what it is about.
REQUESTS = [
    pytest.param(b'{"inputs": {"x": [1.0, 2.0]}}', JSON, id="inputs"),
    pytest.param(b'{"dataframe_split": {"columns": ["x"], "data": [[1.0]]}}', JSON, id="dataframe_split"),
    pytest.param(b'{"dataframe_records": [{"x": 1.0}], "params": {"factor": 3.0}}', JSON, id="params"),
    pytest.param(b"x\n1.0\n2.0\n", "text/csv", id="csv"),
    pytest.param(b'{"inputs": {"x": [1.0]}, "params": {"mode": "nonfinite"}}', JSON, id="not a number"),
    pytest.param(b'{"inputs": {"y": [1.0]}}', JSON, id="another column"),
    pytest.param(b'{"inputs": {"x": [1.0]}, "params": {"mode": "raise"}}', JSON, id="the model raises"),
    pytest.param(b"{", JSON, id="no JSON"),
    pytest.param(b"1", "text/plain", id="another type"),
]


@dataclass
class Running:
    """An app on a port."""

    port: int
    app: Any

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str) -> requests.Response:
        return requests.get(self.url + path, timeout=30)

    def post(self, path: str, body: bytes, kind: str = JSON) -> requests.Response:
        return requests.post(self.url + path, data=body, headers={"Content-Type": kind}, timeout=30)

    def count(self, code: int, path: str) -> float:
        """Read how many answers of a code were counted for a route."""
        labels = rf'code="{code}",model="workbench",path="{path}",revision="v3-0a1b2c3d",version="3"'
        return self._sample(rf"modelvane_requests_total{{{labels}}}")

    @property
    def observed(self) -> float:
        """Read how many latencies were measured."""
        return self._sample(r"modelvane_request_duration_seconds_count\{[^}]*\}")

    @property
    def in_flight(self) -> float:
        """Read how many predictions are being answered."""
        return self._sample(r"modelvane_requests_in_flight\{[^}]*\}")

    def _sample(self, pattern: str) -> float:
        found = re.search(rf"^{pattern} (\S+)$", self.get("/metrics").text, re.MULTILINE)
        return float(found[1]) if found else 0.0


def run(app: Any) -> Iterator[Running]:
    """Serve an app from a thread, as the pod's server does from its process."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, server_header=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    yield Running(listener.getsockname()[1], app)
    server.should_exit = True
    thread.join(20)


def build(fleet: Fleet, name: str) -> MlflowApp:
    return build_from(fleet.root / name)


def build_from(model_dir: Path) -> MlflowApp:
    fetched = open_fetched(model_dir)
    with warnings.catch_warnings():
        # What MLflow warns of when it loads is its own.
        warnings.simplefilter("ignore")
        model = load_model(fetched.artifacts)
    metrics = Metrics(model="workbench", version="3", revision="v3-0a1b2c3d")
    return MlflowApp(model=model, info=INFO, metrics=metrics, input_example=fetched.input_example)


@pytest.fixture
def ours(fleet: Fleet) -> Iterator[Running]:
    yield from run(build(fleet, "workbench"))


@pytest.fixture
def theirs(fleet: Fleet) -> Iterator[Running]:
    model = mlflow.pyfunc.load_model(str(open_fetched(fleet.root / "workbench").artifacts))
    yield from run(scoring_server.init(model))


def parse(answer: requests.Response) -> object:
    if answer.content.startswith(b'{"error_code"'):
        return {key: value for key, value in answer.json().items() if key != "stack_trace"}
    return answer.content


@pytest.mark.parametrize(("body", "kind"), REQUESTS)
def test_predictions_and_errors_are_mlflows_own(ours: Running, theirs: Running, body: bytes, kind: str) -> None:
    our, their = (server.post("/invocations", body, kind) for server in (ours, theirs))
    # A traceback has a line more, of who noted that the model raised.
    told = [parse(answer) for answer in (our, their)]
    assert (our.status_code, told[0]) == (their.status_code, told[1])
    assert our.headers["content-type"] == their.headers["content-type"]


@pytest.mark.parametrize("path", ["/ping", "/health", "/version", "/openapi.json", "/nothing", "/v2/models/workbench"])
def test_other_pages_are_mlflows_own(ours: Running, theirs: Running, path: str) -> None:
    our, their = ours.get(path), theirs.get(path)
    assert (our.status_code, our.content) == (their.status_code, their.content)


def test_what_is_served_can_be_asked(ours: Running, fleet: Fleet) -> None:
    assert ours.get("/model-info").json() == INFO
    example = open_fetched(fleet.root / "workbench").input_example
    assert example is not None
    assert ours.get("/input-example").content == example.read_bytes()
    assert ours.post("/invocations", ours.get("/input-example").content).json() == {"predictions": [2.0, 4.0]}


def test_a_page_of_ours_takes_nothing_but_get(ours: Running) -> None:
    refused = ours.post("/model-info", b"{}")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET")
    assert refused.json()["error"]["code"] == "MethodNotAllowed"


def test_a_model_without_an_example_has_none_to_show(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        # What MLflow warns of when it saves is its own.
        warnings.simplefilter("ignore")
        train.save_script(tmp_path / "plain", "workbench")
    for running in run(build_from(tmp_path / "plain")):
        answer = running.get("/input-example")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NoInputExample")


def test_predictions_are_counted_and_measured_as_ours_are(ours: Running) -> None:
    ours.post("/invocations", b'{"inputs": {"x": [1.0]}}')
    ours.post("/invocations", b'{"inputs": {"y": [1.0]}}')
    ours.get("/nothing/at/all")
    assert ours.count(200, "/invocations") == 1
    assert ours.count(400, "/invocations") == 1
    assert ours.count(404, "other") == 1
    assert ours.observed == 2


@pytest.mark.parametrize("mode", ["raise", "unencodable"])
def test_a_model_that_fails_is_an_error_to_the_analysis_whatever_mlflow_answers(ours: Running, mode: str) -> None:
    body = json.dumps({"inputs": {"x": [1.0]}, "params": {"mode": mode}}).encode()
    answer = ours.post("/invocations", body)
    assert answer.status_code == {"raise": 400, "unencodable": 500}[mode]
    ours.post("/invocations", b'{"inputs": {"x": [1.0]}}')
    assert (ours.count(500, "/invocations"), ours.count(400, "/invocations")) == (1, 0)
    assert ours.count(200, "/invocations") == 1


def test_a_caller_who_goes_is_counted_and_hurts_nobody(ours: Running) -> None:
    with socket.create_connection(("127.0.0.1", ours.port)) as caller:
        head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
        caller.sendall(head)
        time.sleep(0.2)
    deadline = time.monotonic() + 10
    while ours.count(499, "/invocations") != 1:
        assert time.monotonic() < deadline, ours.get("/metrics").text
        time.sleep(0.05)
    assert ours.post("/invocations", b'{"inputs": {"x": [1.0]}}').status_code == 200


def test_health_answers_while_every_thread_predicts(ours: Running) -> None:
    body = b'{"inputs": {"x": [1.0]}, "params": {"sleep": 2.0}}'
    busy = [threading.Thread(target=ours.post, args=("/invocations", body)) for _ in range(60)]
    for thread in busy:
        thread.start()
    deadline = time.monotonic() + 20
    while ours.in_flight < 40:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    pages = [ours.get(path) for path in ("/v2/health/live", "/v2/health/ready", "/model-info")]
    assert [page.status_code for page in pages] == [200] * 3
    # Far more than there are threads: none of the three has waited for one.
    assert ours.in_flight > THREADS
    for thread in busy:
        thread.join(60)
    assert ours.in_flight == 0


def test_a_drain_asks_every_caller_to_reconnect_and_loses_nobody(
    ours: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "ANSWER", b'{"predictions": [2.0]}')
    clients = load.Load(ours.port)
    clients.start(clients=8)
    deadline = time.monotonic() + 20
    while clients.answered < 20 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert (ours.get("/v2/health/ready").status_code, clients.closing) == (200, 0)
    ours.app.draining = True
    unready = ours.get("/v2/health/ready")
    assert (unready.status_code, unready.json(), unready.headers["connection"]) == (503, {"ready": False}, "close")
    assert ours.get("/v2/health/live").status_code == 200
    deadline = time.monotonic() + 20
    while clients.closing < 40 and time.monotonic() < deadline:
        time.sleep(0.1)
    clients.stop()
    assert clients.failures == []
    assert clients.answered > clients.closing >= 40


# --- verification


def ask(app: MlflowApp, path: str, body: bytes) -> tuple[int, bytes]:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    request = Request(method="POST", path=path, headers={b"content-type": JSON_TYPE}, receive=receive)
    response = asyncio.run(app.answer(request))
    return response.status, response.body


def test_a_request_of_the_user_is_answered_and_not_counted(fleet: Fleet) -> None:
    app = build(fleet, "workbench")
    assert ask(app, "/invocations", b'{"inputs": {"x": [1.0]}}') == (200, b'{"predictions": [2.0]}')
    assert ask(app, "/v2/models/workbench/infer", b"{}")[0] == 404
    assert ask(app, "/model-info", b"{}")[0] == 405
    for running in run(app):
        assert (running.count(200, "/invocations"), running.observed) == (0, 0)


def test_the_input_example_is_verified_by_the_app(fleet: Fleet) -> None:
    app = build(fleet, "workbench")
    verify_input_example(app, open_fetched(fleet.root / "workbench").input_example)
    verify_input_example(app, None)
    app = build(fleet, "fails_to_predict")
    with pytest.raises(StartError) as failed:
        verify_input_example(app, open_fetched(fleet.root / "fails_to_predict").input_example)
    assert failed.value.reason == "InputExampleFailed"
    said = "the model was asked its own input example and answered status 400: KeyError: 'no such feature'"
    assert failed.value.message == said


def test_a_model_that_does_not_load_says_why(fleet: Fleet) -> None:
    with pytest.raises(StartError) as failed:
        build(fleet, "fails_to_load")
    assert failed.value.reason == "ModelLoadFailed"
    assert failed.value.message == "the model did not load: ValueError: weights are missing"
