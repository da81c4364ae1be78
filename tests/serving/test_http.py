"""The endpoints besides prediction, what every answer carries, and the metrics."""

import contextlib
import http.client
import socket
import threading
import time
from typing import Any

import pytest
import requests
from modelvane_serving.manifest import ARTIFACTS_DIR, read_tree

from tests.serving.conftest import Fleet
from tests.serving.processes import Server

MODEL = "/v2/models/workbench"
LABELS = r'{[^}]*code="%d"[^}]*path="%s"[^}]*}'


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/ping", "\n"),
        ("/health", "\n"),
        ("/version", "3.17.2"),
        ("/v2/health/live", '{"live":true}'),
        ("/v2/health/ready", '{"ready":true}'),
        (f"{MODEL}/ready", '{"name":"workbench","ready":true}'),
        (f"{MODEL}/versions/3/ready", '{"name":"workbench","ready":true}'),
    ],
)
def test_health_and_version(workbench: Server, path: str, body: str) -> None:
    response = workbench.get(path)
    assert (response.status_code, response.text) == (200, body)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/ping", 200),
        ("HEAD", "/ping", 200),
        ("GET", "/nowhere", 404),
        ("GET", "/invocations", 405),
        ("DELETE", "/ping", 405),
        ("POST", "/v2/health/ready", 405),
        ("GET", "/v2/models/other", 404),
        ("POST", "/v2/models/workbench/versions/4/infer", 404),
        ("POST", "/invocations", 400),
    ],
)
def test_every_answer_names_version_and_revision(workbench: Server, method: str, path: str, status: int) -> None:
    response = requests.request(method, workbench.url + path, headers=workbench.headers, timeout=10)
    assert response.status_code == status
    assert response.headers["Modelvane-Model-Version"] == "3"
    assert response.headers["Modelvane-Revision"] == "v3-0a1b2c3d"
    if status >= 400:
        assert response.json()["error"]["code"]
    if status == 405:
        assert response.headers["Allow"] in {"GET", "POST"}


def test_what_is_not_http_names_them_too(workbench: Server) -> None:
    with socket.create_connection(("127.0.0.1", workbench.port), timeout=10) as connection:
        connection.sendall(b"\x16\x03\x01 not http\r\n\r\n")
        answer = connection.recv(65536).lower()
    assert answer.startswith(b"http/1.1 400")
    assert b"modelvane-revision: v3-0a1b2c3d" in answer


def test_model_info_names_what_is_served(fleet: Fleet, workbench: Server) -> None:
    info: dict[str, Any] = workbench.get("/model-info").json()
    assert info.pop("loaded_at").endswith("+00:00")
    assert info.pop("signature")["inputs"] == [{"type": "double", "name": "x", "required": True}]
    assert info == {
        "model_name": "workbench",
        "stage": None,
        "alias": "champion",
        "version": "3",
        "run_id": "0123abcd",
        "model_uri": "models:/workbench/3",
        "digest": read_tree(fleet.root / "workbench" / ARTIFACTS_DIR).digest,
        "flavor": "python_function",
        "engine": "pyfunc",
        "engine_reason": "models of mlflow.pyfunc.loaders.code_model are called through pyfunc",
        "engine_details": {},
        "environment": None,
        "revision": "v3-0a1b2c3d",
    }


def test_metrics_count_every_request_sent(workbench: Server) -> None:
    answered = "modelvane_requests_total" + LABELS % (200, "/invocations")
    refused = "modelvane_requests_total" + LABELS % (400, "/invocations")
    failed = "modelvane_requests_total" + LABELS % (500, "/invocations")
    unknown = "modelvane_requests_total" + LABELS % (404, "other")
    timed = "modelvane_request_duration_seconds_count{[^}]*}"
    samples = (answered, refused, failed, unknown, timed)
    before = [workbench.metric(sample) for sample in samples]
    for _ in range(20):
        workbench.predict(inputs={"x": [1.0]})
    for _ in range(7):
        workbench.post("/invocations", "no")
    for _ in range(3):
        workbench.post("/invocations", {"inputs": {"x": [1.0]}, "params": {"mode": "raise"}})
    for number in range(5):
        workbench.get(f"/made-up/{number}")
    after = [workbench.metric(sample) for sample in samples]
    assert [new - old for new, old in zip(after, before, strict=True)] == [20, 7, 3, 5, 30]
    assert "made-up" not in workbench.get("/metrics").text


def test_metrics_name_the_model(workbench: Server) -> None:
    text = workbench.get("/metrics").text
    assert workbench.metric("modelvane_model_info{[^}]*}") == 1
    for line in text.splitlines():
        if not line.startswith("#"):
            assert 'model="workbench"' in line
            assert 'version="3"' in line
            assert 'revision="v3-0a1b2c3d"' in line


def test_health_answers_during_a_slow_prediction(workbench: Server) -> None:
    slow = threading.Thread(
        target=workbench.predict, kwargs={"inputs": {"x": [1.0]}, "params": {"sleep": 2.0}}, daemon=True
    )
    slow.start()
    time.sleep(0.2)
    waits = []
    while slow.is_alive():
        started = time.monotonic()
        assert workbench.get("/v2/health/ready").status_code == 200
        waits.append(time.monotonic() - started)
        if len(waits) == 1:
            assert workbench.metric("modelvane_requests_in_flight{[^}]*}") == 1
    assert len(waits) > 3
    assert max(waits) < 1.0
    assert workbench.metric("modelvane_requests_in_flight{[^}]*}") == 0


def test_connections_are_kept(workbench: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", workbench.port, timeout=10)
    with contextlib.closing(connection):
        for _ in range(3):
            connection.request("POST", "/invocations", b'{"inputs": {"x": [1.0]}}', workbench.headers)
            response = connection.getresponse()
            assert (response.status, response.read()) == (200, b'{"predictions":[2.0]}')
            assert response.getheader("connection") is None
        # A refused body does not cost the connection either.
        connection.request("POST", "/invocations", b"x" * 200_000, workbench.headers)
        assert connection.getresponse().read().startswith(b'{"error"')
        connection.request("GET", "/ping")
        assert connection.getresponse().status == 200
