"""Runs the commands of a build: their output goes to a log, a person reads one line, or the end of the log."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from images import BuildError

_TAIL = 25
_running: set[subprocess.Popen[bytes]] = set()


def say(text: str) -> None:
    """Print one line for the person who waits; stdout is left for what programs read."""
    print(f"  {text}", file=sys.stderr, flush=True)


def run(command: Sequence[str], log: Path, what: str) -> None:
    """Run a command and say how long it took; if it fails, raise with the end of its log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    say(f"{what} ...")
    start = time.monotonic()
    with log.open("a") as output:
        print("+", *command, file=output, flush=True)
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output) as process:
            _running.add(process)
            code = process.wait()
            _running.discard(process)
    if code:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-_TAIL:])
        raise BuildError(f"{what} failed (exit code {code}):\n{tail}\nThe whole log: {log}")
    say(f"{what}: {time.monotonic() - start:.1f} s")


def stop() -> None:
    """End what runs, so that nobody who stops a build leaves an engine at work behind."""
    for process in tuple(_running):
        process.terminate()
