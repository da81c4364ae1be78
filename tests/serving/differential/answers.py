"""Answers of the two servers, and whether they agree."""

import http.client
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.serving.differential.tables import Request


class NonFiniteError(ValueError):
    """An answer has a bare NaN or Infinity, which JSON does not know."""


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    content_type: str | None
    body: bytes

    def value(self) -> Any:
        """Read as JSON with the words that Python's own writer uses beyond it."""
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """Return the error object of an answer of ours; empty if it has not that form."""
        try:
            content = strict(self.body)
        except ValueError:
            return {}
        error = content.get("error") if isinstance(content, dict) else None
        if not isinstance(error, dict) or not isinstance(error.get("code"), str) or not error.get("message"):
            return {}
        return error if set(error) <= {"code", "message", "field", "expected", "got"} else {}

    def __str__(self) -> str:
        shown = self.body[:400].decode("utf-8", "backslashreplace")
        return f"{self.status} {shown}{'...' if len(self.body) > 400 else ''}"


@dataclass(frozen=True)
class Exchange:
    """One request and both answers."""

    request: Request
    theirs: Answer
    ours: Answer
    tolerance: float

    @property
    def both_answered(self) -> bool:
        return self.theirs.status == self.ours.status == 200

    @property
    def refused_here_only(self) -> bool:
        """Whether we refuse, in good form, what MLflow answers."""
        return self.theirs.status == 200 and is_refusal(self.ours)

    @property
    def refused_there_only(self) -> bool:
        return self.theirs.status != 200 and self.ours.status == 200

    def agree(self) -> bool:
        """Whether the same is answered, or both refuse, ours as a caller's mistake and in the form of its errors."""
        if self.theirs.status != 200:
            return is_refusal(self.ours)
        return self.ours.status == 200 and same(self.theirs.value(), strict(self.ours.body), self.tolerance)

    def __str__(self) -> str:
        return f"{self.request}\n    theirs {self.theirs}\n    ours   {self.ours}"


def is_refusal(answer: Answer) -> bool:
    return 400 <= answer.status < 500 and answer.content_type == "application/json" and bool(answer.error)


def strict(body: bytes) -> Any:
    """Read JSON, and only that."""

    def refuse(word: str) -> Any:
        raise NonFiniteError(word)

    return json.loads(body, parse_constant=refuse)


def same(theirs: Any, ours: Any, tolerance: float) -> bool:
    """Whether two JSON values are equal: types exactly, floats within the tolerance, relative above 1."""
    if type(theirs) is not type(ours):
        return False
    if isinstance(theirs, dict):
        return theirs.keys() == ours.keys() and all(same(theirs[key], ours[key], tolerance) for key in theirs)
    if isinstance(theirs, list):
        return len(theirs) == len(ours) and all(same(a, b, tolerance) for a, b in zip(theirs, ours, strict=True))
    if isinstance(theirs, float):
        return bool(theirs == ours or abs(theirs - ours) <= tolerance * max(abs(theirs), 1.0))
    return bool(theirs == ours)


def with_null(value: Any) -> Any:
    """Put null where a number is not finite."""
    if isinstance(value, dict):
        return {key: with_null(item) for key, item in value.items()}
    if isinstance(value, list):
        return [with_null(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Caller:
    """A kept connection to one server. The headers are those of the request and no other."""

    def __init__(self, port: int, prefix: str = "") -> None:
        self._prefix = prefix
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def send(self, request: Request) -> Answer:
        headers = {} if request.content_type is None else {"Content-Type": request.content_type}
        return self._once(
            lambda: self._connection.request("POST", f"{self._prefix}/invocations", request.body, headers)
        )

    def _once(self, ask: Callable[[], None]) -> Answer:
        try:
            ask()
            response = self._connection.getresponse()
            return Answer(response.status, response.getheader("content-type"), response.read())
        except (http.client.HTTPException, OSError):
            # A server may end a connection after an answer; what fails twice fails the test.
            self._connection.close()
            ask()
            response = self._connection.getresponse()
            return Answer(response.status, response.getheader("content-type"), response.read())

    def close(self) -> None:
        self._connection.close()
