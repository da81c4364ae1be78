"""Tensors of the Open Inference Protocol v2 in JSON: one input of a request, one output of an answer."""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from modelvane_serving.decoding import json_type
from modelvane_serving.encoding import to_json
from modelvane_serving.errors import ApiError, invalid_request, wrong_shape, wrong_type

TYPE_OF: Final[dict[str, np.dtype[Any]]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BYTES": np.dtype(object),
}
NAME_OF: Final = {dtype: name for name, dtype in TYPE_OF.items()}


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """A named array; BYTES are an object array of str."""

    name: str
    array: npt.NDArray[Any]


def parse_tensor(value: Any, where: str) -> Tensor:
    """Read one element of `inputs`, checking every value against its datatype: numpy would convert silently."""
    if not isinstance(value, dict):
        raise wrong_type(where, "object", json_type(value))
    name = value.get("name")
    if not isinstance(name, str) or not name:
        raise invalid_request("an input needs a name", field=f"{where}.name", expected="string", got=json_type(name))
    datatype = value.get("datatype")
    if not isinstance(datatype, str) or datatype not in TYPE_OF:
        known = datatype if isinstance(datatype, str) and len(datatype) <= 16 else json_type(datatype)
        raise invalid_request(
            f"the datatype of input {name!r} is not known", field=f"{where}.datatype", expected=list(TYPE_OF), got=known
        )
    shape = _parse_shape(value.get("shape"), f"{where}.shape")
    if "data" not in value:
        raise invalid_request(f"input {name!r} has no data", field=f"{where}.data", expected="array")
    flat = _flatten(value["data"], f"{where}.data")
    if len(flat) != math.prod(shape):
        message = f"input {name!r} has {len(flat)} values for shape {shape}"
        raise wrong_shape(message, field=f"{where}.data", expected=math.prod(shape), got=len(flat))
    return Tensor(name=name, array=_to_array(flat, datatype, f"{where}.data").reshape(shape))


def tensor_to_json(tensor: Tensor) -> dict[str, Any]:
    """Write one element of `outputs`: its values are flat, in row-major order."""
    array = tensor.array
    datatype = NAME_OF.get(array.dtype)
    if datatype is None or datatype == "BYTES":
        # Text as it is; anything else that no datatype fits as its JSON text.
        data: list[Any] = [item if isinstance(item, str) else to_json(item).decode() for item in array.ravel().tolist()]
        datatype = "BYTES"
    else:
        data = array.ravel().tolist()
    return {"name": tensor.name, "datatype": datatype, "shape": list(array.shape), "data": data}


def predictions_to_tensors(predictions: Any, names: list[str]) -> list[Tensor]:
    """Turn what a model may return into named arrays: a table or dictionary gives one for each column."""
    if isinstance(predictions, pd.DataFrame):
        return [Tensor(name=str(name), array=_as_array(column)) for name, column in predictions.items()]
    if isinstance(predictions, dict):
        return [Tensor(name=str(name), array=_as_array(value)) for name, value in predictions.items()]
    name = names[0] if len(names) == 1 else "output-0"
    return [Tensor(name=name, array=_as_array(predictions))]


def _parse_shape(value: Any, where: str) -> list[int]:
    if not isinstance(value, list):
        raise wrong_type(where, "array of whole numbers", json_type(value))
    for size in value:
        if type(size) is not int or size < 0:
            raise wrong_type(where, "array of whole numbers, none negative", json_type(size))
    return list(value)


def _flatten(value: Any, where: str) -> list[Any]:
    """Take data flat or nested, as the protocol allows, without recursion: depth is the caller's choice."""
    if not isinstance(value, list):
        raise wrong_type(where, "array", json_type(value))
    while any(isinstance(item, list) for item in value):
        if not all(isinstance(item, list) and len(item) == len(value[0]) for item in value):
            raise wrong_shape("nested data must have rows of one length", field=where)
        value = [inner for item in value for inner in item]
    return list(value)


def _to_array(flat: list[Any], datatype: str, where: str) -> npt.NDArray[Any]:
    dtype = TYPE_OF[datatype]
    allowed: tuple[type, ...] = (int,)
    if datatype == "BOOL":
        allowed = (bool,)
    elif datatype == "BYTES":
        allowed = (str,)
    elif dtype.kind == "f":
        # null is how an answer of ours says NaN.
        allowed = (int, float, type(None))
    for number, item in enumerate(flat):
        if type(item) not in allowed:
            raise wrong_type(f"{where}[{number}]", datatype, json_type(item))
    if datatype == "BYTES":
        array = np.empty(len(flat), dtype=object)
        array[:] = flat
        return array
    try:
        return np.array(flat, dtype=dtype)
    except OverflowError:
        raise ApiError(400, "OutOfRange", f"a value does not fit {datatype}", where, datatype) from None


def _as_array(value: Any) -> npt.NDArray[Any]:
    if isinstance(value, pd.Series):
        value = value.to_numpy()
    try:
        array = np.asarray(value)
    except ValueError:
        # Rows of different lengths: one element each.
        array = np.empty(len(value), dtype=object)
        array[:] = value
    if array.dtype.kind == "U":
        array = array.astype(object)
    elif array.dtype.kind == "M":
        array = np.datetime_as_string(array).astype(object)
    elif array.dtype.kind == "f" and array.dtype not in NAME_OF:
        array = array.astype(np.float64)
    return array.reshape(1) if array.ndim == 0 else array
