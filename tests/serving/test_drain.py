"""SIGTERM under load: not ready at once, answering for the drain, gone after it, and nothing lost."""

import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.serving.conftest import Fleet
from tests.serving.load import Load
from tests.serving.processes import Server

# Long enough that a busy machine starts and stops the clients well within it.
DRAIN = 4.0


def test_no_request_is_lost_by_a_drain(fleet: Fleet, start: Callable[..., Server]) -> None:
    server = start(fleet.root / "workbench", MODELVANE_DRAIN_SECONDS=str(DRAIN)).wait_ready()
    idle = socket.create_connection(("127.0.0.1", server.port))
    load = Load(server.port)
    load.start(clients=8)
    time.sleep(0.5)
    assert load.closing == 0

    signalled = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    assert server.get("/v2/health/ready").status_code == 503
    assert server.get("/ping").status_code == 503
    live = server.get("/v2/health/live")
    assert (live.status_code, live.headers["connection"]) == (200, "close")

    slow: list[Any] = []
    body = {"inputs": {"x": [1.0]}, "params": {"sleep": DRAIN + 1.0}}
    in_flight = threading.Thread(target=lambda: slow.append(server.post("/invocations", body)), daemon=True)
    in_flight.start()

    # By now Kubernetes has told everybody: nobody comes any more. The drain is not over yet.
    time.sleep(1.5)
    load.stop()
    assert load.failures == []
    assert load.answered > 50
    assert load.closing > 20
    assert server.process.poll() is None

    # After it: no more connections, the idle one closed, the one in flight answered, and an orderly end.
    time.sleep(max(0.0, signalled + DRAIN + 0.4 - time.monotonic()))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=1).close()
    idle.settimeout(2)
    assert idle.recv(1) == b""
    idle.close()
    in_flight.join(10)
    assert [response.json() for response in slow] == [{"predictions": [2.0]}]
    assert server.process.wait(30) == 0
    assert "Traceback" not in server.log


def test_a_second_signal_ends_the_drain(fleet: Fleet, start: Callable[..., Server]) -> None:
    server = start(fleet.root / "workbench", MODELVANE_DRAIN_SECONDS="60").wait_ready()
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    assert server.get("/v2/health/live").status_code == 200
    assert server.stop() == 0
