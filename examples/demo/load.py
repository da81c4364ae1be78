"""Sends prediction requests at a steady rate and counts every answer. Runs in a pod; needs nothing but Python.

Each worker keeps one connection and sends on it; one request in ten opens a connection of its own, as a new client
would. It begins when the target answers for the first time. Nothing is sent twice: whatever is not a good answer is a
failure, a refused connection as much as a 500. Once a second a line of JSON lists what came back since the last one:
for each request how many milliseconds before the line it ended, how many it took, the model version that the answer
names (empty for none), 1 if its connection had carried a request before and 0 if it was new, and what was wrong, if
anything was. SIGTERM ends it: what is under way is finished and printed.
"""

from __future__ import annotations

import argparse
import http.client
import json
import signal
import threading
import time
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NEW_CONNECTION_EVERY = 10
TIMEOUT_SECONDS = 10.0
START_SECONDS = 30.0


class Tally:
    """What came back since the last line, filled by all workers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended: list[tuple[float, float, str, bool, str | None]] = []

    def note(self, started: float, version: str, kept: bool, wrong: str | None) -> None:
        """Note a request that has ended just now."""
        ended = time.time()
        with self._lock:
            self._ended.append((ended, ended - started, version, kept, wrong))

    def take(self) -> dict[str, Any]:
        """Return what was noted and begin again with nothing."""
        with self._lock:
            ended, self._ended = self._ended, []
        at = time.time()
        lines = [
            [round((at - end) * 1000), round(took * 1000, 1), version, int(kept), *([wrong[:200]] if wrong else [])]
            for end, took, version, kept, wrong in ended
        ]
        return {"at": at, "ended": lines}


class Worker(threading.Thread):
    """One client of several: it keeps a connection and renews it every `hold` seconds (0: when the server ends it)."""

    def __init__(self, number: int, plan: Plan, tally: Tally, stop: threading.Event) -> None:
        super().__init__()
        self._target, self._tally, self._stop_asked = plan.target, tally, stop
        self._hold = plan.hold[number % len(plan.hold)]
        # The workers take turns, so that the requests come evenly spaced.
        self._period = plan.workers / plan.rate
        self._due = time.monotonic() + number / plan.rate

    def run(self) -> None:
        """Send until asked to stop."""
        kept, opened, sent = self._target.connect(), time.monotonic(), 0
        while not self._stop_asked.wait(max(0.0, self._due - time.monotonic())):
            # A worker that fell behind by more than a second does not try to make up for it in a burst.
            self._due = max(self._due, time.monotonic() - 1) + self._period
            sent += 1
            if sent % NEW_CONNECTION_EVERY == 0:
                new = self._target.connect()
                self._send(new, "close")
                new.close()
                continue
            if self._hold and time.monotonic() - opened > self._hold:
                kept.close()
                opened = time.monotonic()
            self._send(kept, "keep-alive")
        kept.close()

    def _send(self, connection: http.client.HTTPConnection, reuse: str) -> None:
        started, kept = time.time(), connection.sock is not None
        headers = {"Content-Type": "application/json", "Connection": reuse}
        try:
            connection.request("POST", self._target.path, self._target.body, headers)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            self._tally.note(started, "", kept, f"{reuse} connection: {type(error).__name__}: {error}")
            return
        version, wrong = answer.headers.get("Modelvane-Model-Version", ""), None
        if answer.status != 200 or b'"predictions"' not in text:
            wrong = f"HTTP {answer.status} by version {version}: {text[:150].decode(errors='replace')}"
        self._tally.note(started, version, kept, wrong)


class Target:
    """Where the requests go and what they say."""

    def __init__(self, url: str, body: bytes) -> None:
        parts = urllib.parse.urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self.path, self.body = parts.path or "/", body

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection that opens with its first request."""
        return http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_SECONDS)

    def wait_for(self) -> None:
        """Wait until something answers, good or bad; nothing of this is counted.

        A node learns of a Service's first pods up to a second after they are Ready. A request before that reaches
        nothing, which says nothing about what serves.
        """
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            connection = self.connect()
            try:
                connection.request("POST", self.path, self.body, {"Content-Type": "application/json"})
                connection.getresponse().read()
                return
            except (OSError, http.client.HTTPException):
                time.sleep(0.1)
            finally:
                connection.close()


@dataclass(frozen=True)
class Plan:
    """What is sent, how often, by how many workers, and how long each keeps its connection."""

    target: Target
    rate: float
    workers: int
    hold: list[float]


def read_plan() -> Plan:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--body", required=True, type=Path, help="file with the JSON to send")
    parser.add_argument("--rate", type=float, default=120, help="requests a second, all workers together")
    parser.add_argument("--workers", type=int, default=12)
    parser.add_argument("--hold", type=float, nargs="+", default=[5], help="seconds a worker keeps its connection")
    said = parser.parse_args()
    return Plan(Target(said.url, said.body.read_bytes()), said.rate, said.workers, said.hold)


def main() -> None:
    """Start the workers, print a line a second, and end when told to."""
    plan, tally, stop = read_plan(), Tally(), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    plan.target.wait_for()
    workers = [Worker(number, plan, tally, stop) for number in range(plan.workers)]
    for worker in workers:
        worker.start()
    while not stop.wait(1 - time.time() % 1):
        print(json.dumps(tally.take()), flush=True)
    for worker in workers:
        worker.join()
    print(json.dumps({**tally.take(), "done": True}), flush=True)


if __name__ == "__main__":
    main()
