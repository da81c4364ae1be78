"""The body of a request, before anything is known of its content: its media type and its JSON."""

import json
import re
from functools import lru_cache
from typing import Any, Final

import orjson

from modelvane_serving.errors import ApiError, invalid_request

JSON: Final = "application/json"
CSV: Final = "text/csv"
ARROW: Final = "application/vnd.apache.arrow.stream"
MEDIA_TYPES: Final = (JSON, CSV, ARROW)
LONG_NUMBER: Final = re.compile(rb"[0-9]{19}")


@lru_cache(maxsize=64)
def media_type(content_type: str | None) -> str:
    """Read the Content-Type header by MLflow's rules: UTF-8 only, no other parameter."""
    if not content_type:
        raise _unsupported("the request has no Content-Type", None)
    name, *parameters = (part.strip() for part in content_type.split(";"))
    for parameter in filter(None, parameters):
        key, _, value = parameter.partition("=")
        if key.strip().lower() != "charset":
            raise _unsupported(f"parameter {key.strip()!r} of Content-Type is not known", content_type)
        if value.strip().strip('"').lower() not in {"utf-8", "utf8"}:
            raise _unsupported("the text must be UTF-8", content_type)
    if name.lower() not in MEDIA_TYPES:
        raise _unsupported(f"media type {name.lower()!r} is not known here", content_type)
    return name.lower()


def parse_json_object(body: bytes, *, exact: bool = False) -> dict[str, Any]:
    """Parse a JSON object; the bare words NaN and Infinity are taken, as MLflow's own clients write them.

    `exact` keeps integers beyond 64 bits, which orjson reads as floats.
    """
    try:
        slowly = exact and LONG_NUMBER.search(body) is not None
        parsed = json.loads(body) if slowly else _parse(body)
    except orjson.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ApiError(400, "InvalidJson", f"the body is not JSON: {error.msg} at {where}") from None
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "InvalidJson", f"the body is not JSON: {type(error).__name__}") from None
    if not isinstance(parsed, dict):
        raise invalid_request("the body must be a JSON object", expected="object", got=json_type(parsed))
    return parsed


def _parse(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        if b"NaN" in body or b"Infinity" in body:
            return json.loads(body)
        raise


def is_deeper(value: Any, levels: int) -> bool:
    """Tell whether a parsed value has lists and objects within each other for more than so many levels."""
    level = [value]
    for _ in range(levels + 1):
        level = [
            item
            for part in level
            if isinstance(part, dict | list)
            for item in (part.values() if isinstance(part, dict) else part)
        ]
    return bool(level)


def json_type(value: Any) -> str:
    """Name a parsed value by its JSON type."""
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "number", float: "number"}
    return names.get(type(value), "null")


def _unsupported(message: str, got: str | None) -> ApiError:
    return ApiError(415, "UnsupportedMediaType", message, "Content-Type", list(MEDIA_TYPES), got)
