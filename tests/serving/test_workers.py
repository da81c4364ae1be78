"""Several workers behind one port: counted together, ready together, gone together."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests.serving.conftest import Fleet
from tests.serving.load import Load
from tests.serving.processes import Server

ANSWERED = 'modelvane_requests_total{[^}]*code="200"[^}]*path="/invocations"[^}]*}'


def children(server: Server) -> list[int]:
    pid = server.process.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def busy(pid: int) -> int:
    """Return the clock ticks that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def test_two_workers_share_the_load_and_add_up_their_metrics(fleet: Fleet, start: Callable[..., Server]) -> None:
    server = start(fleet.root / "workbench", MODELVANE_WORKERS="2", MODELVANE_DRAIN_SECONDS="1").wait_ready()
    first, second = children(server)
    before = busy(first), busy(second)
    load = Load(server.port)
    load.start(clients=8)
    time.sleep(1)
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.4)
    load.stop()
    assert load.failures == []
    # Asked of either worker, the sum of both.
    for _ in range(6):
        assert server.metric(ANSWERED) == load.answered
    assert busy(first) > before[0]
    assert busy(second) > before[1]
    assert server.metric("modelvane_model_info{[^}]*}") == 1
    assert server.process.wait(10) == 0


def test_a_worker_that_dies_ends_the_whole(fleet: Fleet, start: Callable[..., Server]) -> None:
    server = start(fleet.root / "workbench", MODELVANE_WORKERS="2").wait_ready()
    victim, other = children(server)
    os.kill(victim, signal.SIGKILL)
    assert server.process.wait(10) == 1
    assert not Path(f"/proc/{other}").exists()


def test_workers_do_not_outlive_their_parent(fleet: Fleet, start: Callable[..., Server]) -> None:
    server = start(fleet.root / "workbench", MODELVANE_WORKERS="2").wait_ready()
    orphans = children(server)
    server.process.kill()
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}/exe").exists() for pid in orphans):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_workers_that_cannot_load_say_why(fleet: Fleet, start: Callable[..., Server]) -> None:
    failure = start(fleet.root / "fails_to_load", MODELVANE_WORKERS="2").failure()
    assert failure["reason"] == "ModelLoadFailed"
    assert "ValueError: weights are missing" in failure["message"]
