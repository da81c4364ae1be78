"""Do two revisions answer the same? Answers are compared as JSON, numbers with a tolerance. Pure."""

import json
from collections.abc import Iterable
from math import isclose, isnan
from typing import Any

from modelvane.analysis.figures import Comparison

LONGEST_EXAMPLE = 80


def read_inputs(text: str) -> list[bytes]:
    """Read recorded inputs: on each line one body for /invocations. JSON may hold what Unicode calls a line's end."""
    return [line.encode() for line in text.split("\n") if line.strip()]


def compare_answers(candidate: bytes, stable: bytes, tolerance: float) -> Comparison:
    """Compare what both answered to one input: prediction by prediction where both have as many, else as a whole."""
    try:
        ours, theirs = _predictions(json.loads(candidate)), _predictions(json.loads(stable))
        if len(ours) != len(theirs):
            ours, theirs = [ours], [theirs]
        # Of a million that differ no list is made.
        different, example = 0, None
        for one, other in zip(ours, theirs, strict=True):
            if not _alike(one, other, tolerance):
                different += 1
                example = example or f"{_show(one)} instead of {_show(other)}"
    except (ValueError, RecursionError, OverflowError):  # An integer may have more digits than a float can hold.
        same = candidate == stable
        return Comparison(1, 0 if same else 1, None if same else "the answers cannot be compared as JSON and differ")
    return Comparison(len(ours), different, example)


def count_predictions(answer: bytes) -> int:
    """Count the predictions of one answer."""
    try:
        return len(_predictions(json.loads(answer)))
    except (ValueError, RecursionError):
        return 1


def add_up(parts: Iterable[Comparison], trouble: str | None = None) -> Comparison:
    """Add up the comparisons of several inputs: the first example and the first trouble stand for all."""
    parts = list(parts)
    return Comparison(
        sum(part.compared for part in parts),
        sum(part.different for part in parts),
        next((part.example for part in parts if part.example), None),
        trouble or next((part.trouble for part in parts if part.trouble), None),
    )


def _predictions(answer: Any) -> list[Any]:
    """Return the list of predictions, or the whole answer as the only one."""
    predictions = answer.get("predictions") if isinstance(answer, dict) else None
    return predictions if isinstance(predictions, list) and predictions else [answer]


def _alike(one: Any, other: Any, tolerance: float) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return isclose(one, other, rel_tol=tolerance, abs_tol=tolerance) or (isnan(one) and isnan(other))
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_alike(a, b, tolerance) for a, b in zip(one, other, strict=True))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_alike(value, other[key], tolerance) for key, value in one.items())
    return bool(one == other)


def _show(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= LONGEST_EXAMPLE else f"{text[:LONGEST_EXAMPLE]}..."
