"""Loaded by schemathesis, which knows neither CSV nor Arrow: how what it makes for them goes into a body."""

import json
from typing import Any

import schemathesis


@schemathesis.serializer("text/csv", "application/vnd.apache.arrow.stream")
def as_it_is(_context: schemathesis.SerializationContext, value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text.encode("utf-8", "surrogatepass")
