"""Several serving processes behind one socket, for models that one Python process cannot use all the CPUs for.

The parent imports, forks, and waits until each child has loaded and verified its own copy of the model; only then do
all of them listen. After that it passes SIGTERM on and ends when a child does.
"""

import json
import logging
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

from modelvane_serving.failure import MODEL_LOAD_FAILED, StartError

_log = logging.getLogger(__name__)

READY = b"ready"


@dataclass(frozen=True)
class Gate:
    """A child's two pipes: on one it says that it is ready, from the other it hears that all are."""

    report: int
    start: int

    def wait(self) -> None:
        """Report and wait. An end of file instead of the word means that the parent gave up."""
        os.write(self.report, READY)
        os.close(self.report)
        if not os.read(self.start, 1):
            os._exit(1)

    def fail(self, failure: StartError) -> None:
        """Report why not."""
        os.write(self.report, json.dumps({"reason": failure.reason, "message": failure.message}).encode())


def run_workers(count: int, work: Callable[[Gate], None]) -> None:
    """Fork the workers and stay until they end. A worker that cannot start fails them all, with its reason."""
    start_read, start_write = os.pipe()
    children: dict[int, int] = {}
    for _ in range(count):
        report_read, report_write = os.pipe()
        pid = os.fork()
        if pid == 0:
            for fd in (start_write, report_read, *children.values()):
                os.close(fd)
            _work_and_exit(work, Gate(report=report_write, start=start_read))
        os.close(report_write)
        children[pid] = report_read
    os.close(start_read)
    _pass_on_signals(list(children))
    try:
        for pid, report in children.items():
            _await_report(pid, report)
    except StartError:
        _stop(list(children))
        raise
    os.write(start_write, b"g" * count)
    _wait_for_all(list(children))


def _work_and_exit(work: Callable[[Gate], None], gate: Gate) -> None:
    code = 1
    try:
        work(gate)
        code = 0
    except StartError as failure:
        gate.fail(failure)
    except Exception as error:
        _log.error("a worker failed", extra={"fields": {"error": f"{type(error).__name__}: {error}"}})
    finally:
        # Never return into the parent's code, whatever happened.
        os._exit(code)


def _await_report(pid: int, report: int) -> None:
    with os.fdopen(report, "rb") as pipe:
        text = pipe.read()
    if text == READY:
        return
    if not text:
        raise StartError(MODEL_LOAD_FAILED, f"worker {pid} died while it loaded the model")
    failure = json.loads(text)
    raise StartError(failure["reason"], failure["message"])


def _pass_on_signals(pids: list[int]) -> None:
    def pass_on(_signal: int, _frame: FrameType | None) -> None:
        for pid in pids:
            _kill(pid, signal.SIGTERM)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, pass_on)


def _wait_for_all(pids: list[int]) -> None:
    """Wait for the children. One that ends with an error takes the others with it: Kubernetes restarts the whole."""
    failed = False
    waiting = set(pids)
    while waiting:
        pid, status = os.wait()
        waiting.discard(pid)
        code = os.waitstatus_to_exitcode(status)
        if code != 0 and not failed:
            failed = True
            _log.error("a worker ended", extra={"fields": {"pid": pid, "code": code}})
            for other in waiting:
                _kill(other, signal.SIGTERM)
    if failed:
        raise SystemExit(1)


def _stop(pids: list[int]) -> None:
    for pid in pids:
        _kill(pid, signal.SIGKILL)
    for pid in pids:
        os.waitpid(pid, 0)


def _kill(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
