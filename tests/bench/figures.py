"""What was measured, and what it comes to. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Move:
    """One move of the alias, in seconds."""

    call: float
    """How long the call that moved it took."""
    written: float
    """How long after that call had returned the Deployment was there; below zero when it was there before."""


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that so many are not above: no value that was not measured."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def report(results: Iterable[tuple[str, Move]], poll_interval: Mapping[str, str]) -> str:
    """Write the table of the documentation."""
    results = list(results)
    lines = [
        "| way | poll interval | moves | median | p95 | p99 | longest | the alias call itself (median) |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for mode, interval in poll_interval.items():
        moves = [move for way, move in results if way == mode]
        if moves:
            written, calls = [move.written for move in moves], [move.call for move in moves]
            figures = [percentile(written, share) for share in (0.5, 0.95, 0.99, 1)] + [percentile(calls, 0.5)]
            cells = [mode, interval, str(len(moves)), *(f"{figure * 1000:.0f} ms" for figure in figures)]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
