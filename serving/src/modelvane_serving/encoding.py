"""Predictions to JSON, the same numbers as MLflow's scoring server writes, but always valid JSON.

NaN and infinity are no JSON: they become null. Everything else follows MLflow: arrays as nested lists, tables as
records, bytes as base64, times in ISO format.
"""

import base64
import datetime
import json
from typing import Any, Final

import numpy as np
import orjson
import pandas as pd
from pydantic import BaseModel

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
    if isinstance(value, pd.DataFrame):
        return value.to_dict(orient="records")
    if isinstance(value, pd.Series):
        return pd.DataFrame(value).to_dict(orient="records")
    return value


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
    if value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, bytes | bytearray):
        return base64.encodebytes(value).decode("ascii")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, BaseModel):
        return value.model_dump()
    if isinstance(value, pd.DataFrame | pd.Series):
        return to_plain(value)
    raise TypeError(type(value).__name__)
