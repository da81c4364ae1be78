"""What the user's verification requests expect, and how an answer differs from it. Pure.

The requests come as JSON in one variable of the environment, which the operator copies from the spec.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from modelvane_serving.failure import INVALID_SETTINGS, StartError, one_line

VARIABLE: Final = "MODELVANE_VERIFY_REQUESTS"
DEFAULT_TOLERANCE: Final = 1e-6
# Of a value in a message: a row or two, never a whole answer.
SHOWN: Final = 160
# Expected of an answer whose content does not matter; None would be JSON's null.
ANYTHING: Final = object()


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What the answer must be."""

    status: int = 200
    json: Any = ANYTHING
    tolerance: float = DEFAULT_TOLERANCE
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class VerificationRequest:
    """One request, sent by POST as JSON. `where` is its place in the setting."""

    where: str
    name: str
    path: str
    body: bytes
    expect: Expectation


def read_requests(text: str | None) -> tuple[VerificationRequest, ...]:
    """Read the setting; what cannot be used is named by its place in it."""
    if not text:
        return ()
    try:
        items = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StartError(INVALID_SETTINGS, f"{VARIABLE} is not JSON: {error}") from None
    if not isinstance(items, list):
        raise _unusable(VARIABLE, "a list", items)
    return tuple(_read_request(f"{VARIABLE}[{number}]", item) for number, item in enumerate(items))


def find_difference(expected: Any, got: Any, tolerance: float, where: str = "") -> str | None:
    """Name the first place where two JSON values differ: numbers by the tolerance, everything else exactly."""
    if isinstance(expected, dict) and isinstance(got, dict):
        for key in expected:
            if key not in got:
                return f"expected {_path(where, key)}, got {show(got)} without it"
        for key in got:
            if key not in expected:
                return f"expected no {_path(where, key)}, got {show(got[key])}"
        pairs = [(_path(where, key), expected[key], got[key]) for key in expected]
    elif isinstance(expected, list) and isinstance(got, list):
        if len(expected) != len(got):
            return f"{where or 'the answer'}: expected {len(expected)} items, got {len(got)}: {show(got)}"
        pairs = [(f"{where}[{number}]", *both) for number, both in enumerate(zip(expected, got, strict=True))]
    elif _are_equal(expected, got, tolerance):
        return None
    else:
        return f"{where or 'the answer'}: expected {show(expected)}, got {show(got)}"
    differences = (find_difference(old, new, tolerance, place) for place, old, new in pairs)
    return next((difference for difference in differences if difference is not None), None)


def show(value: Any) -> str:
    """Write a JSON value for a message, cut where it gets long."""
    return one_line(json.dumps(value, ensure_ascii=False), SHOWN)


def _are_equal(expected: Any, got: Any, tolerance: float) -> bool:
    if not (_is_number(expected) and _is_number(got)):
        # True is 1 to Python and is not to JSON.
        return type(expected) is type(got) and bool(expected == got)
    try:
        return bool(expected == got or abs(expected - got) <= tolerance * max(1, abs(expected)))
    except OverflowError:
        # A whole number beyond what a float holds.
        return False


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _path(where: str, key: str) -> str:
    if not key.isidentifier():
        return f"{where}[{key!r}]"
    return f"{where}.{key}" if where else key


def _read_request(where: str, item: Any) -> VerificationRequest:
    if not isinstance(item, dict):
        raise _unusable(where, "an object", item)
    if "body" not in item:
        raise StartError(INVALID_SETTINGS, f"{where}.body is missing")
    path = item.get("path", "/invocations")
    if not (isinstance(path, str) and path.startswith("/")):
        raise _unusable(f"{where}.path", "a path that begins with '/'", path)
    name = item.get("name")
    if not (isinstance(name, str) and name):
        raise _unusable(f"{where}.name", "a name", name)
    expect = item.get("expect", {})
    if not isinstance(expect, dict):
        raise _unusable(f"{where}.expect", "an object", expect)
    return VerificationRequest(
        where=where,
        name=name,
        path=path,
        body=json.dumps(item["body"]).encode(),
        expect=_read_expectation(f"{where}.expect", expect),
    )


def _read_expectation(where: str, item: Mapping[str, Any]) -> Expectation:
    status = item.get("status", 200)
    if type(status) is not int or not 100 <= status <= 599:
        raise _unusable(f"{where}.status", "a status code from 100 to 599", status)
    tolerance = item.get("tolerance", DEFAULT_TOLERANCE)
    if not _is_number(tolerance) or not tolerance >= 0:
        raise _unusable(f"{where}.tolerance", "a number of 0 or more", tolerance)
    schema = item.get("schema")
    if not isinstance(schema, dict | None):
        raise _unusable(f"{where}.schema", "a JSON Schema object", schema)
    return Expectation(status=status, json=item.get("json", ANYTHING), tolerance=float(tolerance), schema=schema)


def _unusable(where: str, expected: str, got: Any) -> StartError:
    return StartError(INVALID_SETTINGS, f"{where} must be {expected}, got {show(got)}")
