"""What a refused request is told: a code, a sentence and, where it is known, the field, what is expected and what came.

Nothing here repeats values that the caller sent: names, types and shapes only.
"""

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final


@dataclass
class ApiError(Exception):
    """An answer other than success. Raised by the decoders and the router, written as JSON by the app."""

    status: int
    code: str
    message: str
    field: str | None = None
    expected: Any = None
    got: Any = None
    # Seconds after which it is worth trying again.
    retry_after: int | None = None

    def body(self) -> dict[str, Any]:
        """Return the JSON object of the answer."""
        error = {"code": self.code, "message": self.message}
        optional = {"field": self.field, "expected": self.expected, "got": self.got}
        return {"error": error | {key: value for key, value in optional.items() if value is not None}}


def invalid_request(message: str, **details: Any) -> ApiError:
    """Build the answer to a request whose form is wrong."""
    return ApiError(400, "InvalidRequest", message, **details)


def wrong_type(field: str | None, expected: str | None, got: str | None) -> ApiError:
    """Build the answer to a value that cannot become what the signature asks for."""
    where = f"{field!r} is" if field else "the input is"
    wanted = f" {expected}" if expected else " what the model's signature asks for"
    return ApiError(400, "WrongType", f"{where} not{wanted}", field, expected, got)


def wrong_shape(message: str, **details: Any) -> ApiError:
    """Build the answer to an array or table of the wrong size."""
    return ApiError(400, "WrongShape", message, **details)


def missing_inputs(missing: list[str], extra: list[str]) -> ApiError:
    """Build the answer to inputs that the signature requires and the request lacks."""
    message = "the model needs " + ", ".join(repr(name) for name in missing)
    if extra:
        message += "; not known to it: " + ", ".join(repr(name) for name in extra)
    return ApiError(400, "MissingInput", message, field=missing[0], expected=missing, got=extra or None)


def from_mlflow(message: str, signature: str | None) -> ApiError:
    """Translate the refusal of MLflow's own schema enforcement.

    MLflow raises one exception type for everything and its text may hold the caller's values, so what is known to be
    safe is taken out of it by pattern. An unknown text gives the general answer with the signature.
    """
    for pattern, build in _TRANSLATIONS:
        match = pattern.search(message)
        if match:
            return build(*match.groups())
    return ApiError(400, "InvalidInput", "the input does not fit the model's signature", expected=signature)


def _missing(missing: str, extra: str | None) -> ApiError:
    return missing_inputs(_names(missing), _names(extra) if extra else [])


def _missing_properties(names: str) -> ApiError:
    return missing_inputs(sorted(_names(names)), [])


def _names(literal: str) -> list[str]:
    """Read a Python list or set of names out of an MLflow message."""
    try:
        return [str(name) for name in ast.literal_eval(literal)]
    except (ValueError, SyntaxError):
        return [literal]


def _shape(got: str, expected: str) -> ApiError:
    return wrong_shape(f"the input has shape {got}, the model needs {expected}", expected=expected, got=got)


def _count(expected: str, got: str) -> ApiError:
    return wrong_shape(f"the model needs {expected} columns, got {got}", expected=int(expected), got=int(got))


def _params(name: str, text: str) -> ApiError:
    wanted = re.search(r"to `(?:DataType\.)?(\w+)`", text)
    return wrong_type(f"params.{name}", wanted.group(1) if wanted else None, None)


_TRANSLATIONS: Final[list[tuple[re.Pattern[str], Callable[..., ApiError]]]] = [
    (re.compile(r"Model is missing inputs (\[.*?\])\.(?: Note that there were extra inputs: (\[.*?\])\.)?"), _missing),
    (re.compile(r"The input column '(.*?)' is required"), lambda name: missing_inputs([name], [])),
    (re.compile(r"Missing required properties: (\{.*?\})"), _missing_properties),
    (re.compile(r"Invalid parameters found: \{\('(.*?)', [\"'](.*)", re.DOTALL), _params),
    (
        re.compile(r"Failed to convert column (.*?) to type '(.*?)'"),
        lambda name, expected: wrong_type(name, expected, None),
    ),
    (
        re.compile(r"Incompatible input types for column (.*?)\. Can not safely convert (.*?) to (.*?)\."),
        lambda name, got, expected: wrong_type(name, expected, got),
    ),
    (
        re.compile(r"Failed to convert column (.*?) from type (.*?) to (.*?)\."),
        lambda name, got, expected: wrong_type(name, expected, got),
    ),
    (
        re.compile(r"Failed to enforce schema for key `(.*?)`. Expected type (.*?), received type (\w+)"),
        wrong_type,
    ),
    (re.compile(r"Shape of input (\(.*?\)) does not match expected shape (\(.*?\))"), _shape),
    (
        re.compile(r"dtype of input (\S+) does not match expected dtype (\w+)"),
        lambda got, expected: wrong_type(None, expected, got),
    ),
    (re.compile(r"signature declares (\d+) inputs\s+but the provided value only has (\d+)"), _count),
    (
        re.compile(r"inhomogeneous shape|length of values for each input/column name are not the same"),
        lambda: wrong_shape("the rows or columns of the input are not of the same length"),
    ),
    (re.compile(r"could not convert string to float|must be real number"), lambda: wrong_type(None, "a number", None)),
    (
        re.compile(r"invalid literal for int\(\)|int\(\) argument must be"),
        lambda: wrong_type(None, "a whole number", None),
    ),
]
