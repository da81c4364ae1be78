"""Predictions to JSON, the same numbers as MLflow's scoring server writes, but always valid JSON.

NaN and infinity are no JSON: they become null. Everything else follows MLflow: arrays as nested lists, tables as
records, bytes as base64, times in ISO format.
"""

import base64
import datetime
import json
import sys
from typing import Any, Final

import numpy as np
import orjson

from modelvane_serving.errors import ApiError

# Times go through `_plain`, so that they are written as MLflow writes them.
OPTIONS: Final = orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATETIME


def encode_predictions(predictions: Any) -> bytes:
    """Write MLflow's envelope."""
    return to_json({"predictions": to_plain(predictions)})


def to_plain(value: Any) -> Any:
    """Turn the table and array types that a model may return into lists and dictionaries."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if is_frame(value):
        return value.to_dict(orient="records")
    if is_series(value):
        return value.to_frame().to_dict(orient="records")
    return value


def is_frame(value: Any) -> bool:
    """Tell whether it is a table of pandas, without importing pandas for a model that does not."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, pandas.DataFrame)


def is_series(value: Any) -> bool:
    """Tell whether it is a column of pandas."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, pandas.Series)


def to_json(value: Any) -> bytes:
    """Serialise; a model's answer that JSON has no form for is the model's fault, not the caller's."""
    try:
        return orjson.dumps(value, default=_plain, option=OPTIONS)
    except TypeError:
        # Integers beyond 64 bits, which orjson does not write; or something that nothing writes.
        return _to_json_slowly(value)


def _to_json_slowly(value: Any) -> bytes:
    try:
        return json.dumps(value, default=_plain, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        raise ApiError(500, "UnencodableOutput", "the model's answer cannot be written as JSON") from None


def _plain(value: Any) -> Any:
    """Convert what the serialiser does not know; called for each such value."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.datetime64):
        return np.datetime_as_string(value)
    if isinstance(value, np.generic):
        return value.item()
    if type(value).__name__ in {"NaTType", "NAType"}:
        return None
    if isinstance(value, bytes | bytearray):
        return base64.encodebytes(value).decode("ascii")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    pydantic = sys.modules.get("pydantic")
    if pydantic is not None and isinstance(value, pydantic.BaseModel):
        return value.model_dump()
    if is_frame(value) or is_series(value):
        return to_plain(value)
    raise TypeError(type(value).__name__)
