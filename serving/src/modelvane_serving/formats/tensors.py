"""Tensors of the Open Inference Protocol v2: one input of a request, one output of an answer, in JSON or in bytes."""

import math
import struct
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelvane_serving.errors import ApiError, invalid_request, wrong_shape, wrong_type
from modelvane_serving.formats.bodies import json_type
from modelvane_serving.formats.encoding import is_frame, is_series, to_json

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


class BinaryData:
    """What follows the JSON of a request with binary tensors, taken from the front one tensor at a time."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._taken = 0

    def take(self, size: int, where: str) -> memoryview:
        """Take the next so many bytes."""
        left = len(self._data) - self._taken
        if size > left:
            raise invalid_request("the body ends before the tensor", field=where, expected=size, got=left)
        self._taken += size
        return self._data[self._taken - size : self._taken]

    def check_end(self) -> None:
        """Refuse bytes that belong to no tensor."""
        left = len(self._data) - self._taken
        if left:
            message = "the body goes on behind the last tensor"
            raise invalid_request(message, field="inputs", expected=self._taken, got=len(self._data))


def parse_tensor(value: Any, where: str, binary: BinaryData | None = None) -> Tensor:
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
    parameters = value.get("parameters")
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if size is not None:
        return Tensor(name=name, array=_from_binary(size, datatype, shape, binary, where))
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


def tensor_to_binary(tensor: Tensor) -> tuple[dict[str, Any], bytes]:
    """Write one element of `outputs` without its values, and the values: little-endian, in row-major order."""
    array = tensor.array
    datatype = NAME_OF.get(array.dtype)
    if datatype is None or datatype == "BYTES":
        texts = [item if isinstance(item, str) else to_json(item).decode() for item in array.ravel().tolist()]
        parts = [text.encode() for text in texts]
        data = b"".join(struct.pack("<I", len(part)) + part for part in parts)
        datatype = "BYTES"
    else:
        data = np.ascontiguousarray(array).tobytes()
    description = {"name": tensor.name, "datatype": datatype, "shape": list(array.shape)}
    return {**description, "parameters": {"binary_data_size": len(data)}}, data


def predictions_to_tensors(predictions: Any, names: list[str]) -> list[Tensor]:
    """Turn what a model may return into named arrays: a table or dictionary gives one for each column."""
    if is_frame(predictions):
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


def _from_binary(size: Any, datatype: str, shape: list[int], binary: BinaryData | None, where: str) -> npt.NDArray[Any]:
    field = f"{where}.parameters.binary_data_size"
    if type(size) is not int or size < 0:
        raise wrong_type(field, "whole number, not negative", json_type(size))
    if binary is None:
        message = "binary tensors need the header Inference-Header-Content-Length"
        raise invalid_request(message, field="Inference-Header-Content-Length", expected="number of bytes")
    data = binary.take(size, field)
    dtype, count = TYPE_OF[datatype], math.prod(shape)
    if datatype == "BYTES":
        return _read_texts(data, count, field).reshape(shape)
    if size != count * dtype.itemsize:
        message = f"{size} bytes for shape {shape} of {datatype}"
        raise wrong_shape(message, field=field, expected=count * dtype.itemsize, got=size)
    if datatype == "BOOL":
        numbers = np.frombuffer(data, dtype=np.uint8)
        if numbers.size and numbers.max() > 1:
            raise wrong_type(field, "BOOL, a byte of 0 or 1 each", None)
        return numbers.astype(np.bool_).reshape(shape)
    return np.frombuffer(data, dtype=dtype.newbyteorder("<")).reshape(shape)


def _read_texts(data: memoryview, count: int, field: str) -> npt.NDArray[Any]:
    """Read texts, each behind its length in four bytes."""
    texts: list[str] = []
    place = 0
    while place < len(data) and len(texts) < count:
        if place + 4 > len(data):
            break
        (length,) = struct.unpack_from("<I", data, place)
        place += 4
        try:
            texts.append(bytes(data[place : place + length]).decode())
        except UnicodeDecodeError:
            raise wrong_type(field, "BYTES in UTF-8", None) from None
        place += length
    if len(texts) != count or place != len(data):
        raise wrong_shape("the bytes do not hold as many texts as the shape says", field=field, expected=count)
    array = np.empty(count, dtype=object)
    array[:] = texts
    return array


def _flatten(value: Any, where: str) -> list[Any]:
    """Take data flat or nested, as the protocol allows, without recursion: depth is the caller's choice."""
    if not isinstance(value, list):
        raise wrong_type(where, "array", json_type(value))
    while list in (found := set(map(type, value))):
        if len(found) != 1 or len(set(map(len, value))) != 1:
            raise wrong_shape("nested data must have rows of one length", field=where)
        value = list(chain.from_iterable(value))
    flat: list[Any] = value
    return flat


def _to_array(flat: list[Any], datatype: str, where: str) -> npt.NDArray[Any]:
    dtype = TYPE_OF[datatype]
    allowed: set[type] = {int}
    if datatype == "BOOL":
        allowed = {bool}
    elif datatype == "BYTES":
        allowed = {str}
    elif dtype.kind == "f":
        # null is how an answer of ours says NaN.
        allowed = {int, float, type(None)}
    if not set(map(type, flat)) <= allowed:
        number = next(number for number, item in enumerate(flat) if type(item) not in allowed)
        raise wrong_type(f"{where}[{number}]", datatype, json_type(flat[number]))
    if datatype == "BYTES":
        array = np.empty(len(flat), dtype=object)
        array[:] = flat
        return array
    try:
        return np.array(flat, dtype=dtype)
    except OverflowError:
        raise ApiError(400, "OutOfRange", f"a value does not fit {datatype}", where, datatype) from None


def _as_array(value: Any) -> npt.NDArray[Any]:
    if is_series(value):
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
