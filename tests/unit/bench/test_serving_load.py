"""The load generator against a real HTTP server whose answers are known, and the requests that it is given."""

import json
import shutil
import struct
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.bench.serving import environments
from tests.bench.serving.dialects import Arrow, Binary, Columns, Request, Split, same
from tests.bench.serving.load import Load, Question, UnfitError, prepare, run

FRAME = pd.DataFrame({"a": [1.5, 2.0], "b": [0.25, -1.0]})


class Answers(BaseHTTPRequestHandler):
    """Adds up each row, and misbehaves by path."""

    protocol_version = "HTTP/1.1"
    count = 0

    def do_POST(self) -> None:
        rows = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["dataframe_split"]["data"]
        Answers.count += 1
        text = json.dumps({"predictions": [sum(row) for row in rows]})
        if self.path == "/slow":
            time.sleep(0.05)
        spoilt = self.path == "/spoilt" and Answers.count % 3 == 0
        if self.path == "/rounded" and Answers.count > 2:
            text = text.replace("1.75", "1.7500000001")
        body = (text.replace("7", "8") if spoilt else text).encode()
        self.send_response(429 if self.path == "/full" and Answers.count > 2 else 200)
        self.send_header("Content-Length", str(len(body)))
        if self.path == "/closing":
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def port() -> Iterator[int]:
    Answers.count = 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def generator() -> Path:
    if shutil.which("go") is None:
        pytest.skip("the load generator is built with Go")
    return environments.load_generator()


def prepared(port: int, path: str, folder: Path) -> Path:
    other = FRAME + 1
    questions = [Question(frame, frame.to_numpy().sum(axis=1).tolist()) for frame in (FRAME, other)]
    return prepare(port, Split(path), questions, folder / "requests.bin")


def test_every_answer_is_counted(port: int, generator: Path, tmp_path: Path) -> None:
    counted = run(generator, port, prepared(port, "/", tmp_path), Load(4, 0.3))
    assert counted["sent"] == counted["correct"] == Answers.count - 2 > 10
    assert (counted["wrong"], counted["near"], counted["statuses"], counted["broken"]) == (0, 0, {}, 0)
    assert 0 < counted["p50"] <= counted["p99"] <= counted["max"]
    assert sum(counted["per_second"]) == sum(counted["in_time_per_second"]) == counted["correct"]


def test_a_wrong_answer_is_not_a_correct_one(port: int, generator: Path, tmp_path: Path) -> None:
    counted = run(generator, port, prepared(port, "/spoilt", tmp_path), Load(1, 0.3))
    assert counted["wrong"] >= 1
    assert counted["correct"] + counted["wrong"] == counted["sent"]
    assert counted["wrong"] == pytest.approx(counted["sent"] / 3, abs=1)
    assert counted["first_wrong"].startswith('{"predictions"')


def test_a_number_within_the_tolerance_is_near(port: int, generator: Path, tmp_path: Path) -> None:
    counted = run(generator, port, prepared(port, "/rounded", tmp_path), Load(1, 0.2))
    assert counted["wrong"] == 0
    assert 0 < counted["near"] < counted["correct"]


def test_refusals_are_counted_by_status(port: int, generator: Path, tmp_path: Path) -> None:
    counted = run(generator, port, prepared(port, "/full", tmp_path), Load(2, 0.2))
    assert counted["correct"] == 0
    assert counted["statuses"] == {"429": counted["sent"]}


def test_a_connection_that_the_server_closes_is_opened_anew(port: int, generator: Path, tmp_path: Path) -> None:
    counted = run(generator, port, prepared(port, "/closing", tmp_path), Load(2, 0.2))
    assert counted["correct"] == counted["sent"] == counted["reconnects"] > 2
    assert counted["broken"] == 0


def test_an_open_loop_counts_from_when_a_request_was_due(port: int, generator: Path, tmp_path: Path) -> None:
    # One connection does 20 a second of the 40 that are due: the last one waits for about half of the time.
    counted = run(generator, port, prepared(port, "/slow", tmp_path), Load(1, 1, rate=40))
    assert counted["max"] > 300
    assert counted["correct"] + counted["given_up"] == pytest.approx(40, abs=1)
    steady = run(generator, port, prepared(port, "/", tmp_path), Load(4, 1, rate=40))
    assert steady["correct"] == pytest.approx(40, abs=1)


def test_a_server_that_is_wrong_from_the_start_is_not_measured(port: int, tmp_path: Path) -> None:
    with pytest.raises(UnfitError, match="wrong predictions"):
        prepare(port, Split(), [Question(FRAME, [0.0, 0.0])], tmp_path / "requests.bin")
    with pytest.raises(UnfitError, match="HTTP 429"):
        [prepare(port, Split("/full"), [Question(FRAME, [1.75, 1.0])], tmp_path / "r.bin") for _ in range(3)]


def test_the_load_ends_with_a_reason_when_nobody_listens(generator: Path, tmp_path: Path, port: int) -> None:
    requests = prepared(port, "/", tmp_path)
    with pytest.raises(UnfitError, match="connection refused"):
        run(generator, 1, requests, Load(1, 0.1))


def test_a_request_goes_over_the_wire_as_http(port: int) -> None:
    wire = Request("/x", {"A": "b"}, b"{}").wire("host:1")
    assert wire == b"POST /x HTTP/1.1\r\nHost: host:1\r\nA: b\r\nContent-Length: 2\r\n\r\n{}"


def test_binary_tensors_are_one_matrix_and_come_back_as_numbers() -> None:
    request = Binary("m").encode(FRAME)
    size = int(request.headers["Inference-Header-Content-Length"])
    tensor = json.loads(request.body[:size])["inputs"][0]
    assert (tensor["shape"], tensor["parameters"]) == ([2, 2], {"binary_data_size": 32})
    assert np.frombuffer(request.body[size:]).tolist() == [1.5, 0.25, 2.0, -1.0]
    head = json.dumps({"outputs": [{"datatype": "INT64", "parameters": {"binary_data_size": 16}}]}).encode()
    answer = head + struct.pack("<qq", 7, -1)
    assert Binary("m").read({"inference-header-content-length": str(len(head))}, answer) == [7, -1]


def test_binary_texts_carry_their_lengths() -> None:
    request = Binary("m").encode(pd.DataFrame({"text": ["ä", "bc"]}))
    assert request.body.endswith(b"\x02\x00\x00\x00\xc3\xa4\x02\x00\x00\x00bc")
    head = json.dumps({"outputs": [{"datatype": "BYTES", "parameters": {"binary_data_size": 12}}]}).encode()
    answer = head + request.body[-12:]
    assert Binary("m").read({"inference-header-content-length": str(len(head))}, answer) == ["ä", "bc"]


def test_an_arrow_stream_has_the_table() -> None:
    request = Arrow().encode(FRAME)
    assert Arrow().read({"content-type": request.headers["Accept"]}, request.body) == [1.5, 2.0]
    with pytest.raises(ValueError, match="application/json, expected"):
        Arrow().read({"content-type": "application/json"}, b"{}")


def test_mlservers_request_has_an_input_a_column() -> None:
    content = json.loads(Columns("m").encode(FRAME.assign(text="x")).body)
    assert [(one["name"], one["datatype"]) for one in content["inputs"]] == [
        ("a", "FP64"),
        ("b", "FP64"),
        ("text", "BYTES"),
    ]


@pytest.mark.parametrize(
    ("got", "expected", "equal"),
    [
        ([1.0, 2], [1.000001, 2], True),
        ([1.0], [1.1], False),
        ([1], [2], False),
        ([1, 2], [1], False),
        (["a"], ["b"], False),
        ([float("nan")], [1.0], False),
        ([[1.0, "x"]], [[1.0, "x"]], True),
        ([[1.0]], [[2.0]], False),
        ([None], [1.0], False),
    ],
)
def test_answers_are_compared_as_numbers(got: list[object], expected: list[object], equal: bool) -> None:
    assert same(got, expected) is equal
