"""Small predictions go beside ASGI, all others through it: nobody can tell from the answers."""

import json
import re
import socket
import time
from typing import Any

import pytest
import requests

from tests.serving.conftest import Fleet
from tests.serving.processes import Server

JSON = "application/json"
ROW = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
LONG = {"inputs": {"x": [1.5] * 8000}, "params": {"factor": 123456789.125}}
IN_FLIGHT = r"modelvane_requests_in_flight\{[^}]*\}"


def told(response: requests.Response) -> tuple[int, dict[str, str], str]:
    headers = {name.lower(): value for name, value in response.headers.items() if name.lower() != "date"}
    return response.status_code, headers, response.text


@pytest.mark.parametrize(
    ("model", "body", "content_type", "status"),
    [
        ("iris", {"dataframe_records": [ROW]}, JSON, 200),
        ("iris", {"dataframe_records": [ROW]}, "application/json; charset=utf-8", 200),
        ("iris", "sepal_length,sepal_width,petal_length,petal_width\n5.1,3.5,1.4,0.2\n", "text/csv", 200),
        ("iris", "{", JSON, 400),
        ("iris", {"dataframe_records": [{**ROW, "petal_width": "wide"}]}, JSON, 400),
        ("iris", {"dataframe_records": [ROW]}, "text/html", 415),
        ("iris", {"dataframe_records": [ROW]}, None, 415),
        ("workbench", {"inputs": {"x": [1.0]}, "params": {"mode": "raise"}}, JSON, 500),
        ("workbench", {"inputs": {"x": [1.0, 2.0]}}, JSON, 200),
        ("workbench", LONG, JSON, 200),
    ],
)
def test_both_ways_answer_alike(fleet: Fleet, model: str, body: Any, content_type: str | None, status: int) -> None:
    server = fleet.servers[model].wait_ready()
    data = body if isinstance(body, str) else json.dumps(body)
    headers = {"Content-Type": content_type} if content_type else {}
    at_once, through_asgi = (
        told(requests.post(server.url + path, data=data.encode(), headers=headers, timeout=30))
        for path in ("/invocations", "/invocations?")
    )
    assert at_once[0] == status
    assert at_once == through_asgi


def test_an_answer_of_any_size_is_whole(fleet: Fleet) -> None:
    answer = fleet.servers["workbench"].wait_ready().predict(**LONG)
    assert len(json.dumps(answer)) > 64 * 1024
    assert answer == [1.5 * 123456789.125] * 8000


def post(body: bytes, *headers: bytes) -> bytes:
    lines = (b"POST /invocations HTTP/1.1", b"Host: model", b"Content-Type: application/json", *headers)
    return b"\r\n".join((*lines, b"Content-Length: %d" % len(body), b"", body))


def read_answers(connection: socket.socket, count: int) -> list[Any]:
    """Read answers that have a length, and return their JSON."""
    raw, found = b"", list[Any]()
    connection.settimeout(30)
    while len(found) < count:
        raw += connection.recv(65536)
        while match := re.search(rb"content-length: (\d+)(?:\r\n[^\r]+)*\r\n\r\n", raw):
            end = match.end() + int(match[1])
            if len(raw) < end:
                break
            found.append(json.loads(raw[match.end() : end]))
            raw = raw[end:]
    return found


def test_a_body_may_come_in_pieces(fleet: Fleet) -> None:
    server = fleet.servers["workbench"].wait_ready()
    whole = post(b'{"inputs": {"x": [1.0, 2.0]}}')
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(whole), 30):
            connection.sendall(whole[start : start + 30])
            time.sleep(0.01)
        assert read_answers(connection, 1) == [{"predictions": [2.0, 4.0]}]


def test_answers_of_both_ways_keep_the_order_of_requests(fleet: Fleet) -> None:
    """The first takes a while, and the others are there before it has its answer."""
    server = fleet.servers["workbench"].wait_ready()

    def ask(x: float, sleep: float = 0.0) -> bytes:
        return json.dumps({"inputs": {"x": [x]}, "params": {"sleep": sleep}}).encode()

    chunked = ask(2.0)
    chunks = b"POST /invocations HTTP/1.1\r\nHost: model\r\nContent-Type: application/json\r\n"
    chunks += b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(chunked), chunked)
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(post(ask(1.0, 0.3)) + chunks + post(ask(3.0)) + post(ask(4.0, 0.1)) + post(ask(5.0)))
        answers = read_answers(connection, 5)
    assert answers == [{"predictions": [2.0 * x]} for x in (1.0, 2.0, 3.0, 4.0, 5.0)]


def test_a_caller_that_is_gone_leaves_nothing_behind(fleet: Fleet) -> None:
    server: Server = fleet.servers["workbench"].wait_ready()
    lines = len(server.log.splitlines())
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(post(json.dumps({"inputs": {"x": [1.0]}, "params": {"sleep": 0.5}}).encode()))
        time.sleep(0.1)
        assert server.metric(IN_FLIGHT) == 1
    deadline = time.monotonic() + 30
    while server.metric(IN_FLIGHT) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert server.metric(IN_FLIGHT) == 0
    assert server.log.splitlines()[lines:] == []
