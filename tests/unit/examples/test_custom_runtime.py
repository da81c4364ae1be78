"""The example of a server of one's own keeps the contract that docs/runtimes.md writes down."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from modelvane.analysis.exposition import read_figures

SERVER = Path(__file__).parents[3] / "examples" / "custom_runtime" / "server.py"
TABLE = {"dataframe_split": {"columns": ["x"], "data": [[1.0], [2.0]]}}


@dataclass
class Running:
    """The server as a pod would run it."""

    process: subprocess.Popen[bytes]
    port: int

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)

    def ask(self, path: str, body: Any = None, way: http.client.HTTPConnection | None = None) -> tuple[int, str]:
        connection = way or self.connect()
        connection.request("GET" if body is None else "POST", path, None if body is None else json.dumps(body))
        answer = connection.getresponse()
        text = answer.read().decode()
        assert answer.headers["Modelvane-Model-Version"] == "7"
        if way is None:
            connection.close()
        return answer.status, text


def start(folder: Path, content: str) -> Running:
    weights = folder / "artifacts" / "artifacts" / "weights.json"
    weights.parent.mkdir(parents=True)
    weights.write_text(content)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    env = {
        "MODELVANE_MODEL_DIR": str(folder),
        "MODELVANE_MODEL_VERSION": "7",
        "MODELVANE_PORT": str(port),
        "TERMINATION_LOG": str(folder / "termination-log"),
    }
    return Running(subprocess.Popen([sys.executable, str(SERVER)], env={**os.environ, **env}), port)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    running = start(tmp_path, '{"bias": 0.5, "weights": {"x": 2.0}}')
    deadline = time.monotonic() + 20
    while True:
        try:
            assert running.ask("/v2/health/ready")[0] == 200
            break
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    yield running
    running.process.kill()
    running.process.wait()


def test_it_predicts_and_says_what_it_wants(server: Running) -> None:
    assert server.ask("/invocations", TABLE) == (200, '{"predictions": [2.5, 4.5]}')
    example = json.loads(server.ask("/input-example")[1])
    assert server.ask("/invocations", example) == (200, '{"predictions": [2.5]}')
    assert server.ask("/invocations", {"inputs": []})[0] == 400
    assert server.ask("/elsewhere", TABLE)[0] == 404
    assert server.ask("/elsewhere")[0] == 404


def test_the_operator_can_read_its_figures(server: Running) -> None:
    bodies: list[Any] = [TABLE, TABLE, {"inputs": []}]
    for body in bodies:
        server.ask("/invocations", body)
    status, page = server.ask("/metrics")
    figures = read_figures(page)
    assert status == 200
    assert figures is not None
    assert (figures.requests, figures.errors) == (3, 0)
    assert figures.quantile(0.95) is not None


def test_on_sigterm_it_answers_on_and_ends_when_nobody_comes_any_more(server: Running) -> None:
    kept = server.connect()
    assert server.ask("/invocations", TABLE, kept)[0] == 200
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    assert server.ask("/v2/health/ready")[0] == 503
    kept.request("POST", "/invocations", json.dumps(TABLE))
    answer = kept.getresponse()
    assert (answer.status, answer.headers["Connection"]) == (200, "close")
    assert server.process.wait(10) == 0


def test_what_it_cannot_load_it_says_to_the_operator(tmp_path: Path) -> None:
    running = start(tmp_path, "{}")
    assert running.process.wait(20) == 1
    told = json.loads((tmp_path / "termination-log").read_text())
    assert told == {"reason": "ModelLoadFailed", "message": "weights.json cannot be used: KeyError: 'bias'"}
