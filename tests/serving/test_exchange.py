"""Small predictions go beside ASGI, all others through it: nobody can tell from the answers."""

import asyncio
import json
import re
import socket
import time
from itertools import pairwise
from typing import Any

import pytest
import requests
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from modelvane_serving.connection import Connection

from tests.serving.conftest import Fleet
from tests.serving.processes import Server, Start

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


def doubled(x: float) -> tuple[bytes, Any]:
    """Ask for the double of one number, and say what the answer is; bodies of like numbers have the same head."""
    return post(json.dumps({"inputs": {"x": [x]}}).encode()), {"predictions": [2.0 * x]}


OTHERS = [
    (post(b'{"inputs": {"x": [1.0, 2.0]}}', b"X-Request-Id: 1"), {"predictions": [2.0, 4.0]}),
    (b"GET /v2/health/live HTTP/1.1\r\nHost: model\r\n\r\n", {"live": True}),
    (post(b'{"inputs": {"x": [7.0]}}').replace(b"/invocations", b"/invocations?"), {"predictions": [14.0]}),
    # What looks like a head in a body is part of the body.
    (post(b'{"inputs":\r\n\r\n{"x": [3.0]}}'), {"predictions": [6.0]}),
    (post(b"POST /invocations HTTP/1.1\r\n\r\n"), None),
]


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_head_that_is_known_is_read_as_when_it_was_new(fleet: Fleet, data: st.DataObject) -> None:
    """Whatever comes one after another on a connection, and wherever it is cut, each gets its own answer."""
    server = fleet.servers["workbench"].wait_ready()
    numbers = st.integers(10, 99).map(lambda number: doubled(float(number)))
    asked = data.draw(st.lists(st.one_of(numbers, numbers, st.sampled_from(OTHERS)), min_size=2, max_size=8))
    raw = b"".join(request for request, _ in asked)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(raw) - 1), max_size=6)))
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start, end in pairwise((0, *cuts, len(raw))):
            connection.sendall(raw[start:end])
            time.sleep(0.002)
        answers = read_answers(connection, len(asked))
    for answer, (_, expected) in zip(answers, asked, strict=True):
        assert answer == expected if expected is not None else "error" in answer


def test_a_body_that_does_not_come_is_refused_also_where_its_head_is_known(fleet: Fleet, start: Start) -> None:
    server = start(fleet.root / "workbench", MODELVANE_RECEIVE_SECONDS="1").wait_ready()
    whole, answer = doubled(3.5)
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(whole)
        assert read_answers(connection, 1) == [answer]
        connection.sendall(whole[:-5])
        (refused,) = read_answers(connection, 1)
        assert refused["error"]["code"] == "RequestTimeout"
        assert connection.recv(1) == b""


def test_a_connection_that_nobody_uses_is_closed() -> None:
    asyncio.run(leave_a_connection_alone())


async def leave_a_connection_alone() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"{}"})

    config = uvicorn.Config(app, http=Connection, lifespan="off", port=0, log_config=None)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    reader, writer = await asyncio.open_connection(*server.servers[0].sockets[0].getsockname()[:2])
    writer.write(b"GET / HTTP/1.1\r\nHost: model\r\n\r\n")
    assert (await reader.readuntil(b"{}")).startswith(b"HTTP/1.1 200")
    (connection,) = server.server_state.connections
    assert isinstance(connection, Connection)
    for now in (100.0, 175.0):
        connection.check_time(now, 30, 75)
    assert not connection.transport.is_closing()
    connection.check_time(175.1, 30, 75)
    assert await reader.read() == b""
    writer.close()
    server.should_exit = True
    await serving
