"""What a server does with more than it can answer, with callers that do not come to the point, and with TLS."""

import contextlib
import json
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

import pytest
import requests

from tests.serving.conftest import Fleet
from tests.serving.processes import Server, Start


def sleepy(server: Server, seconds: float) -> requests.Response:
    return server.post("/invocations", {"inputs": {"x": [1.0]}, "params": {"sleep": seconds}})


def test_whoever_cannot_be_answered_in_time_is_sent_away_at_once(fleet: Fleet, start: Start) -> None:
    server = start(fleet.root / "workbench", MODELVANE_MAX_WAITING="2").wait_ready()
    answers: list[tuple[int, float, str | None]] = []

    def ask() -> None:
        started = time.monotonic()
        response = sleepy(server, 1.0)
        answers.append((response.status_code, time.monotonic() - started, response.headers.get("Retry-After")))

    callers = [threading.Thread(target=ask) for _ in range(60)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    refused = [(seconds, after) for status, seconds, after in answers if status == 429]
    assert {status for status, _, _ in answers} == {200, 429}
    assert all(after is not None and int(after) >= 1 for _, after in refused)
    # Before anything that runs is done.
    assert min(seconds for seconds, _ in refused) < 1.0
    assert server.metric(r'modelvane_requests_total\{.*code="429".*\}') == len(refused)
    assert server.metric(r'modelvane_errors_total\{.*code="TooManyRequests".*\}') == len(refused)
    assert sleepy(server, 0.0).status_code == 200


def test_an_answer_that_takes_too_long_is_given_up(fleet: Fleet, start: Start) -> None:
    server = start(fleet.root / "workbench", MODELVANE_REQUEST_SECONDS="0.5").wait_ready()
    response = sleepy(server, 5.0)
    assert response.status_code == 504
    assert response.json()["error"]["code"] == "DeadlineExceeded"
    assert response.elapsed.total_seconds() < 4
    assert server.get("/ping").status_code == 200


def converse(server: Server, *parts: bytes) -> bytes:
    """Send the parts and read until the server closes the connection."""
    with contextlib.closing(socket.create_connection(("127.0.0.1", server.port), 30)) as connection:
        for part in parts:
            connection.sendall(part)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer


def error_of(answer: bytes) -> dict[str, object]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/json" in head
    assert b"connection: close" in head
    error: dict[str, object] = json.loads(body)["error"]
    return error


@pytest.mark.parametrize(
    "part",
    [
        b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-",
        b"POST /invocations HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{",
    ],
    ids=["head", "body"],
)
def test_a_request_that_does_not_arrive_is_not_waited_for(fleet: Fleet, start: Start, part: bytes) -> None:
    server = start(fleet.root / "workbench", MODELVANE_RECEIVE_SECONDS="1").wait_ready()
    started = time.monotonic()
    answer = converse(server, part)
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout")
    assert error_of(answer)["code"] == "RequestTimeout"
    assert time.monotonic() - started < 20


def test_who_has_an_answer_already_gets_no_second_one(fleet: Fleet, start: Start) -> None:
    server = start(fleet.root / "workbench", MODELVANE_RECEIVE_SECONDS="1").wait_ready()
    answer = converse(server, b"POST /invocations HTTP/1.1\r\nContent-Length: 9\r\n\r\n{")
    assert answer.startswith(b"HTTP/1.1 415 ")
    assert answer.count(b"HTTP/1.1") == 1


def test_a_connection_without_a_word_is_closed(fleet: Fleet, start: Start) -> None:
    server = start(fleet.root / "workbench", MODELVANE_RECEIVE_SECONDS="1").wait_ready()
    assert converse(server) == b""


def test_a_head_that_has_no_end_is_refused(workbench: Server) -> None:
    lines = b"".join(b"X-%d: %s\r\n" % (number, b"x" * 1000) for number in range(100))
    answer = converse(workbench, b"POST /invocations HTTP/1.1\r\n" + lines + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert error_of(answer)["code"] == "HeaderTooLarge"


def test_what_is_not_http_is_told_so_in_json(workbench: Server) -> None:
    answer = converse(workbench, b"\x16\x03\x01 hello\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 Bad Request")
    assert error_of(answer)["code"] == "InvalidHttp"


def test_tls_from_the_files_of_a_secret(fleet: Fleet, start: Start, tmp_path: Path) -> None:
    key, cert = tmp_path / "tls.key", tmp_path / "tls.crt"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(cert)]
    subprocess.run([*command, "-days", "1", *subject], check=True, capture_output=True)
    server = start(fleet.root / "workbench", MODELVANE_TLS_CERT=str(cert), MODELVANE_TLS_KEY=str(key))
    url = f"https://127.0.0.1:{server.port}"
    deadline = time.monotonic() + 120
    while True:
        assert server.process.poll() is None, server.log
        assert time.monotonic() < deadline
        try:
            assert requests.get(f"{url}/v2/health/ready", verify=str(cert), timeout=10).status_code == 200
            break
        except requests.ConnectionError:
            time.sleep(0.1)
    answer = requests.post(f"{url}/invocations", json={"inputs": {"x": [1.0]}}, verify=str(cert), timeout=30)
    assert answer.json() == {"predictions": [2.0]}
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"{url}/ping", timeout=10)
    assert ssl.get_server_certificate(("127.0.0.1", server.port)).strip() == cert.read_text().strip()


@pytest.mark.parametrize("missing", ["MODELVANE_TLS_CERT", "MODELVANE_TLS_KEY"])
def test_tls_needs_both_files(fleet: Fleet, start: Start, tmp_path: Path, missing: str) -> None:
    files = {"MODELVANE_TLS_CERT": str(tmp_path / "a"), "MODELVANE_TLS_KEY": str(tmp_path / "b")}
    files.pop(missing)
    failure = start(fleet.root / "workbench", **files).failure()
    assert failure["reason"] == "InvalidSettings"
    assert missing in failure["message"]
