"""Says on stderr what is being done and how long it took; stdout is left for output that programs read."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


def say(text: str) -> None:
    """Print one line for the person who waits."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def step(text: str) -> Iterator[None]:
    """Print what begins now and, when it ends, the seconds it took."""
    print(f"  {text} ... ", end="", file=sys.stderr, flush=True)
    start = time.monotonic()
    try:
        yield
    except BaseException:
        say(f"failed after {time.monotonic() - start:.1f} s")
        raise
    say(f"{time.monotonic() - start:.1f} s")
