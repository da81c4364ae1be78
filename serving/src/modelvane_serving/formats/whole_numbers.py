"""Numbers for integer columns, looked at before MLflow casts them: it cuts fractions off and lets large ones wrap.

Who sends 1.5 to a column of whole numbers, or 3000000000 to one of 32 bits, asks another question than the one that
would be answered.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
from mlflow.types import DataType, Schema
from mlflow.types.schema import TensorSpec

from modelvane_serving.errors import ApiError, wrong_type

BITS: Final = {DataType.integer: 32, DataType.long: 64}


def check_body(form: str, value: Any, schema: Schema | None) -> None:
    """Check what a body has under one of MLflow's four names. What has no such form the decoder refuses."""
    if schema is None:
        return
    if schema.is_tensor_spec():
        _check_tensors(value["data"] if form == "dataframe_split" else value, schema)
        return
    for place, spec in enumerate(schema.inputs):
        if isinstance(spec.type, DataType) and spec.type in BITS:
            for number in _values(form, value, spec.name, place):
                check_number(number, spec.name or str(place), spec.type.name, BITS[spec.type])


def check_frame(table: pd.DataFrame, schema: Schema) -> None:
    """Check the columns of a table that came with types of its own."""
    if schema.is_tensor_spec() or not schema.has_input_names():
        return
    for spec in schema.inputs:
        if not isinstance(spec.type, DataType) or spec.type not in BITS or spec.name is None:
            continue
        if spec.name in table and table[spec.name].dtype.kind in "fiu":
            for number in table[spec.name].tolist():
                check_number(number, spec.name, spec.type.name, BITS[spec.type])


def check_number(number: Any, field: str, kind: str, bits: int) -> None:
    """Refuse a number that the column cannot hold as it is. Raises ApiError."""
    if type(number) is float:
        if not np.isfinite(number):
            return
        if not number.is_integer():
            raise wrong_type(field, kind, "a number with a fraction")
    elif type(number) is not int:
        return
    if not -(2 ** (bits - 1)) <= number < 2 ** (bits - 1):
        raise ApiError(400, "OutOfRange", f"a value for {field!r} does not fit {bits} bits", field, kind)


def _values(form: str, value: Any, name: str | None, place: int) -> Iterator[Any]:
    """Yield the values of one column."""
    if form == "dataframe_split":
        columns = value.get("columns")
        if name is not None and columns is not None:
            if name not in columns:
                return
            place = columns.index(name)
        yield from (row[place] for row in value["data"] if isinstance(row, list) and len(row) > place)
    elif isinstance(value, list):
        for row in value:
            if isinstance(row, Mapping):
                yield row.get(name) if name is not None else None
            elif isinstance(row, list) and name is None and len(row) > place:
                yield row[place]
            elif place == 0 and not isinstance(row, list):
                # A single column may be sent as a list of its values.
                yield row
    elif isinstance(value, Mapping):
        column = value.get(name) if name is not None else None
        yield from column if isinstance(column, list) else (column,)


def _check_tensors(value: Any, schema: Schema) -> None:
    for spec in schema.inputs:
        if not isinstance(spec, TensorSpec) or spec.type.kind not in "iu":
            continue
        values = value.get(spec.name) if isinstance(value, Mapping) else value
        try:
            array = np.asarray(values)
        except (ValueError, OverflowError):
            continue
        if array.dtype.kind == "f" and (array[np.isfinite(array)] != np.trunc(array[np.isfinite(array)])).any():
            raise wrong_type(spec.name or "inputs", spec.type.name, "a number with a fraction")
