"""What is not said as HTTP clients say it: wrong lengths, bad chunks, endless heads, slow senders."""

import contextlib
import http.client
import json
import re
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.serving.conftest import Fleet
from tests.serving.processes import Server

ROW = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
BODY = json.dumps({"dataframe_records": [ROW]}).encode()
HEAD = b"POST /invocations HTTP/1.1\r\nHost: model\r\nContent-Type: application/json\r\n"
PING = b"GET /ping HTTP/1.1\r\nHost: model\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


def length(value: object) -> bytes:
    return b"Content-Length: %s\r\n" % str(value).encode()


GOOD = HEAD + length(len(BODY)) + b"\r\n" + BODY
CHUNKS = HEAD + CHUNKED + b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)


def nested(depth: int) -> bytes:
    body = b'{"inputs": ' + b"[" * depth + b"]" * depth + b"}"
    return HEAD + length(len(body)) + b"\r\n" + body


@dataclass
class Told:
    """All that came back on one connection, and whether the server ended it."""

    raw: bytes
    closed: bool

    @property
    def statuses(self) -> list[int]:
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", self.raw)]

    @property
    def codes(self) -> list[str]:
        return [code.decode() for code in re.findall(rb'\{"error":\{"code":"(\w+)"', self.raw)]


def tell(server: Server, data: bytes, *, half_closed: bool = False, seconds: float = 5.0) -> Told:
    """Send bytes and listen until the server ends the connection, or says nothing more for a while."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=seconds) as connection:
        connection.sendall(data)
        if half_closed:
            connection.shutdown(socket.SHUT_WR)
        raw = b""
        try:
            while part := connection.recv(65536):
                raw += part
                # What is said in answer is said at once; only the first word may take a while.
                connection.settimeout(1.0)
        except TimeoutError:
            return Told(raw, closed=False)
        except ConnectionResetError:
            pass
        return Told(raw, closed=True)


@dataclass
class Case:
    """Bytes, and what must come back: the statuses, the codes of our errors among them, and the end or not."""

    name: str
    data: bytes
    statuses: list[int]
    codes: list[str]
    closed: bool = False


CASES = [
    Case("well-formed", GOOD, [200], []),
    Case("three in a row, and another", GOOD * 3 + PING, [200] * 4, []),
    Case("empty lines before", b"\r\n\r\n" + GOOD, [200], []),
    Case("asked to close", GOOD.replace(b"Host", b"Connection: close\r\nHost"), [200], [], closed=True),
    Case("chunks", CHUNKS, [200], []),
    Case("chunks, then another", CHUNKS + PING, [200, 200], []),
    Case("the same length twice", HEAD + length(len(BODY)) * 2 + b"\r\n" + BODY, [400], ["InvalidHttp"], closed=True),
    Case("two lengths", HEAD + length(len(BODY)) + length(5) + b"\r\n" + BODY, [400], ["InvalidHttp"], closed=True),
    Case("a negative length", HEAD + length(-5) + b"\r\n" + BODY, [400], ["InvalidHttp"], closed=True),
    Case("a length in words", HEAD + length("ten") + b"\r\n" + BODY, [400], ["InvalidHttp"], closed=True),
    Case("a signed length", HEAD + length("+5") + b"\r\n" + BODY, [400], ["InvalidHttp"], closed=True),
    Case("a length of 30 digits", HEAD + length(10**30) + b"\r\n" + BODY, [400], ["InvalidHttp"], closed=True),
    Case(
        "a length and chunks",
        HEAD + length(5) + CHUNKED + b"5\r\nhello\r\n0\r\n\r\n",
        [400],
        ["InvalidHttp"],
        closed=True,
    ),
    Case("no length", HEAD + b"\r\n", [400], ["InvalidJson"]),
    Case("a length of 0", HEAD + length(0) + b"\r\n", [400], ["InvalidJson"]),
    Case("nested 100,000 deep", nested(100_000), [413], ["BodyTooLarge"]),
    Case("nested 40,000 deep", nested(40_000), [400], ["InvalidJson"]),
    Case("nested 40,000 deep, then another", nested(40_000) + PING, [400, 200], ["InvalidJson"]),
    Case("not UTF-8", HEAD + length(14) + b'\r\n{"inputs":"\xff"}', [400], ["InvalidJson"]),
    Case("told to wait", HEAD + length(len(BODY)) + b"Expect: 100-continue\r\n\r\n" + BODY, [100, 200], []),
    Case(
        "too large, then another",
        HEAD + length(150_000) + b"\r\n" + b"x" * 150_000 + PING,
        [413, 200],
        ["BodyTooLarge"],
    ),
    Case(
        "a body for nobody, then another",
        PING.replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\nabc") + PING,
        [200, 200],
        [],
    ),
    Case(
        "a header of 100 kB", PING[:-2] + b"X: " + b"a" * 100_000 + b"\r\n\r\n", [431], ["HeaderTooLarge"], closed=True
    ),
    Case(
        "4,000 headers",
        PING[:-2] + b"X-Header: some value or other\r\n" * 4000 + b"\r\n",
        [431],
        ["HeaderTooLarge"],
        True,
    ),
    Case("a path of 100 kB", PING.replace(b"/ping", b"/" + b"a" * 100_000), [400], ["InvalidHttp"], closed=True),
    Case(
        "chunks of another coding",
        HEAD + b"Transfer-Encoding: gzip\r\n\r\n" + BODY,
        [400],
        ["InvalidHttp"],
        closed=True,
    ),
    Case("lines without CR", PING.replace(b"\r\n", b"\n"), [400], ["InvalidHttp"], closed=True),
    Case("a folded header", PING[:-2] + b"X: a\r\n b\r\n\r\n", [400], ["InvalidHttp"], closed=True),
    Case("a path not ASCII", PING.replace(b"ping", b"\xff"), [400], ["InvalidHttp"], closed=True),
    Case("a whole URL", PING.replace(b"/ping", b"http://model/ping"), [200], []),
    Case("an upgrade", PING[:-2] + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", [200], []),
    Case("an unknown method", b"BREW /ping HTTP/1.1\r\nHost: model\r\n\r\n", [400], ["InvalidHttp"], closed=True),
    Case("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", [400], ["InvalidHttp"], closed=True),
    Case("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400], ["InvalidHttp"], closed=True),
    Case("a space before the colon", PING.replace(b"Host:", b"Host :"), [400], ["InvalidHttp"], closed=True),
    Case("NUL in a header", PING.replace(b"model", b"mo\x00del"), [400], ["InvalidHttp"], closed=True),
    Case("a path of odd bytes", b"GET /%ff%00 HTTP/1.1\r\nHost: model\r\n\r\n", [404], ["NotFound"]),
    Case("a path that climbs", b"GET /v2/../metrics HTTP/1.1\r\nHost: model\r\n\r\n", [404], ["NotFound"]),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_has_a_defined_answer(iris_server: Server, case: Case) -> None:
    told = tell(iris_server, case.data)
    assert (told.statuses, told.codes[: len(case.codes)], told.closed) == (case.statuses, case.codes, case.closed), told
    assert b"Traceback" not in told.raw
    assert iris_server.get("/ping").status_code == 200


def test_answers_come_in_the_order_of_requests(iris_server: Server) -> None:
    paths = ("/version", "/v2/health/live", "/nowhere", "/v2/health/ready")
    told = tell(iris_server, b"".join(PING.replace(b"/ping", path.encode()) for path in paths))
    assert told.statuses == [200, 200, 404, 200]
    places = [told.raw.index(word) for word in (b"3.17.2", b'"live"', b"NotFound", b'"ready"')]
    assert places == sorted(places)


def test_more_body_than_its_length_is_not_part_of_it(iris_server: Server) -> None:
    told = tell(iris_server, HEAD + length(10) + b"\r\n" + BODY)
    # What follows is no request: it may be found out before the first is answered.
    assert set(told.statuses) == {400}
    assert told.closed


def test_less_body_than_its_length_is_no_prediction(iris_server: Server) -> None:
    told = tell(iris_server, HEAD + length(len(BODY) + 50) + b"\r\n" + BODY, half_closed=True)
    assert 200 not in told.statuses
    assert told.closed


@pytest.mark.parametrize(
    "chunks", [b"zz\r\nhello\r\n0\r\n\r\n", b"-1\r\n\r\n", b"2\r\nhello\r\n0\r\n\r\n", b"5 5\r\nhello\r\n"]
)
def test_a_bad_chunk_is_no_prediction(iris_server: Server, chunks: bytes) -> None:
    told = tell(iris_server, HEAD + CHUNKED + chunks)
    assert (told.statuses, told.codes, told.closed) == ([400], ["InvalidHttp"], True)


def test_chunks_that_stop_are_no_prediction(iris_server: Server) -> None:
    told = tell(iris_server, HEAD + CHUNKED + b"%x\r\n%s" % (len(BODY), BODY[:20]), half_closed=True)
    assert 200 not in told.statuses
    assert told.closed


@pytest.mark.parametrize("data", [PING, GOOD, PING.replace(b"Host: model\r\n", b"")], ids=["GET", "POST", "no Host"])
def test_http_1_0_is_answered_and_the_connection_closed(iris_server: Server, data: bytes) -> None:
    told = tell(iris_server, data.replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert (told.statuses, told.closed) == ([200], True)


@pytest.fixture
def impatient(fleet: Fleet, start: Callable[..., Server]) -> Server:
    return start(
        fleet.root / "workbench", MODELVANE_RECEIVE_SECONDS="2", MODELVANE_MAX_BODY_BYTES="100000"
    ).wait_ready()


def drip(server: Server, head: bytes, byte: bytes) -> Told:
    """Send a byte twice a second until the server has had enough."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=0.5) as connection:
        connection.sendall(head)
        raw, deadline = b"", time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                connection.sendall(byte)
                part = connection.recv(65536)
            except TimeoutError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                return Told(raw, closed=True)
            if not part:
                return Told(raw, closed=True)
            raw += part
        return Told(raw, closed=False)


def test_a_slow_sender_is_not_waited_for(impatient: Server) -> None:
    head = b"POST /invocations HTTP/1.1\r\nHost: model\r\n"
    in_head = drip(impatient, head + b"X-Name: ", b"a")
    assert (in_head.closed, 200 in in_head.statuses) == (True, False)
    in_body = drip(impatient, HEAD + length(1000) + b"\r\n", b" ")
    assert (in_body.statuses, in_body.codes, in_body.closed) == ([408], ["RequestTimeout"], True)
    # Those who have nothing to send for a while are not slow.
    connection = http.client.HTTPConnection("127.0.0.1", impatient.port, timeout=10)
    with contextlib.closing(connection):
        connection.connect()
        before = connection.sock
        for pause in (3, 3, 0):
            connection.request("GET", "/ping")
            response = connection.getresponse()
            assert (response.status, response.read()) == (200, b"\n")
            time.sleep(pause)
        assert connection.sock is before
