"""Waits for facts with a deadline, and says in the failure what was last seen."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from examples.demo.kube import CommandFailedError

T = TypeVar("T")


def eventually(
    what: str,
    read: Callable[[], T],
    holds: Callable[[T], bool] = bool,
    *,
    seconds: float = 60,
    show: Callable[[T], str] = repr,
) -> T:
    """Read until it holds and return what was read; a command that fails counts as not yet."""
    deadline = time.monotonic() + seconds
    last = "nothing"
    while True:
        try:
            seen = read()
            if holds(seen):
                return seen
            last = show(seen)
        except CommandFailedError as error:
            last = str(error)
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds:.0f} s. Last seen: {last}")
        time.sleep(0.25)


def throughout(
    what: str,
    read: Callable[[], T],
    holds: Callable[[T], bool],
    *,
    seconds: float,
    show: Callable[[T], str] = repr,
) -> None:
    """Read for some seconds and fail the first time that it does not hold."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        seen = read()
        assert holds(seen), f"{what}: no longer. Seen: {show(seen)}"
        time.sleep(0.5)
