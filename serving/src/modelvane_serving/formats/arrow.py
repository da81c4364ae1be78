"""Arrow IPC streams, in and out: a table whose columns have their types already.

Imported by the first request that needs it, because pyarrow takes longer to import than a small model to load.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from modelvane_serving.errors import ApiError
from modelvane_serving.formats.bodies import ARROW
from modelvane_serving.formats.encoding import is_frame, is_series
from modelvane_serving.formats.tables import EXACT, Array, Table, TablePlan
from modelvane_serving.messages import Response


def is_wanted(kind: str, accept: str | None) -> bool:
    """Tell whether the answer is to be Arrow: who says so in `Accept`, and who sends it and does not say otherwise."""
    if accept is not None and ARROW in accept:
        return True
    return kind == ARROW and (accept is None or "*/*" in accept)


def decode(body: bytes) -> pa.Table:
    """Read a stream."""
    try:
        with pa.ipc.open_stream(pa.BufferReader(body)) as reader:
            # Without what pandas notes about itself: the table is the columns.
            table = reader.read_all().replace_schema_metadata(None)
            # The lengths and offsets in it are the caller's; reading beyond a buffer would end the process.
            table.validate(full=True)
            names = table.column_names
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ApiError(400, "InvalidArrow", f"the body is no Arrow IPC stream: {type(error).__name__}") from None
    if len(set(names)) != table.num_columns:
        raise ApiError(400, "InvalidRequest", "two columns have the same name", got=names)
    return table


def to_table(decoded: pa.Table, plan: TablePlan) -> Table | None:
    """Take the plan's columns as they are; None where a type needs the complete path."""
    if not plan.is_numeric or not decoded.num_rows:
        return None
    names = decoded.column_names
    if plan.tensor is None and not set(names) >= set(plan.names):
        return None
    chosen = [decoded.column(name) for name in (plan.names if plan.tensor is None else names)]
    numbers = [_as_numbers(column) for column in chosen]
    if any(column is None for column in numbers):
        return None
    return plan.table_of_matrix(np.column_stack([column for column in numbers if column is not None]))


def to_frame(decoded: pa.Table) -> Any:
    """Return a pandas DataFrame."""
    return decoded.to_pandas(ignore_metadata=True)


def encoder(names: list[str]) -> Callable[[Any], Response]:
    """Return what writes predictions as a stream; a single output has its name in the signature, or `predictions`."""
    name = names[0] if len(names) == 1 and not names[0].startswith("output-") else "predictions"

    def encode(predictions: Any) -> Response:
        try:
            table = _to_arrow(predictions, name)
        except (pa.ArrowException, TypeError, ValueError):
            raise ApiError(500, "UnencodableOutput", "the model's answer cannot be written as Arrow") from None
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return Response(body=sink.getvalue().to_pybytes(), content_type=ARROW.encode())

    return encode


def _to_arrow(predictions: Any, name: str) -> pa.Table:
    if is_frame(predictions):
        return pa.Table.from_pandas(predictions, preserve_index=False)
    if is_series(predictions):
        predictions = predictions.to_numpy()
    if isinstance(predictions, dict):
        columns = {str(key): _to_column(value) for key, value in predictions.items()}
        return pa.table(columns)
    return pa.table({name: _to_column(predictions)})


def _to_column(value: Any) -> pa.Array:
    if isinstance(value, np.ndarray) and value.ndim > 1 and value.dtype != object:
        width = int(np.prod(value.shape[1:]))
        return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(value).ravel()), width)
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.reshape(1)
    return pa.array(value if isinstance(value, list | np.ndarray) else [value])


def _as_numbers(column: pa.ChunkedArray) -> Array | None:
    kind = column.type
    # Chunks are copied to be put together; one alone is where the body has it.
    values = column.chunk(0) if column.num_chunks == 1 else column
    if pa.types.is_floating(kind) or (pa.types.is_boolean(kind) and not column.null_count):
        return np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64)
    if pa.types.is_integer(kind):
        numbers = values.to_numpy(zero_copy_only=False)
        if kind.bit_width == 64 and not column.null_count and np.abs(numbers).max() > EXACT:
            return None
        return np.asarray(numbers, dtype=np.float64)
    return None
