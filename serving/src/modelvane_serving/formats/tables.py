"""The plan of a model that takes a table of plain columns, made once when it is loaded, and what it decodes by it.

Most requests are a clean table: every column there, every value of its type. Those become numpy arrays here, without
pandas and without MLflow. Whatever is not clean is left to the complete decoder, which is MLflow's own, so nothing is
accepted, refused or converted otherwise than there: `decode_*` returns None for "not for me", never an error.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelvane_serving.signature import Signature

Array = npt.NDArray[Any]

NUMPY_TYPES: Final[Mapping[str, np.dtype[Any]]] = {
    "double": np.dtype(np.float64),
    "float": np.dtype(np.float32),
    "long": np.dtype(np.int64),
    "integer": np.dtype(np.int32),
    "boolean": np.dtype(np.bool_),
    "string": np.dtype(object),
}
# Beyond it not every whole number has a float64.
EXACT: Final = 2.0**53
NUMBERS: Final = frozenset({float, int, bool, type(None)})


@dataclass(frozen=True, slots=True)
class Table:
    """A decoded table. Numbers are one float64 matrix (rows, columns); with texts among them, an array a column."""

    rows: int
    matrix: Array | None = None
    columns: tuple[Array, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TablePlan:
    """The columns of a signature, in its order, and how each is checked."""

    names: tuple[str, ...]
    types: tuple[str, ...]
    # Places of the columns in the matrix that float64 holds more than.
    whole: Array
    single: Array
    boolean: Array
    # The largest absolute value of each of the `whole` columns.
    limits: Array
    take: Callable[[Mapping[str, Any]], tuple[Any, ...]]
    # The table is a matrix; and then, any number is right in any column.
    is_numeric: bool
    is_plain: bool
    # Set where the signature is one array without a name instead of columns: its type.
    tensor: np.dtype[Any] | None = None

    def table_of_rows(self, rows: Sequence[Sequence[Any]]) -> Table | None:
        """Check rows whose values are in the order of the columns."""
        if not rows:
            return None
        if self.is_numeric:
            return self.table_of_matrix(self._read_numbers(rows))
        if set(map(len, rows)) != {len(self.names)}:
            return None
        return self.table_of_columns(list(zip(*rows, strict=True)))

    def table_of_columns(self, columns: Sequence[Sequence[Any] | Array]) -> Table | None:
        """Check columns in their order."""
        if len(set(map(len, columns))) != 1 or not len(columns[0]):
            return None
        if self.is_numeric:
            matrix = self._read_numbers(columns)
            return None if matrix is None else self.table_of_matrix(np.ascontiguousarray(matrix.T))
        arrays = [_as_column(column, kind) for column, kind in zip(columns, self.types, strict=True)]
        if any(array is None for array in arrays):
            return None
        return Table(rows=len(columns[0]), columns=tuple(array for array in arrays if array is not None))

    def table_of_matrix(self, matrix: Array | None) -> Table | None:
        """Check numbers: whole ones that are whole, truth that is 0 or 1, single precision rounded as it would be."""
        if matrix is None or matrix.ndim != 2 or matrix.shape[1] != len(self.names):
            return None
        if self.is_plain:
            return Table(rows=len(matrix), matrix=matrix)
        if len(self.whole):
            part = matrix[:, self.whole]
            # A missing value is no whole number, and not equal to itself.
            if not (np.abs(part) <= self.limits).all() or (part != np.trunc(part)).any():
                return None
        if len(self.boolean):
            part = matrix[:, self.boolean]
            if not ((part == 0) | (part == 1)).all():
                return None
        if len(self.single):
            with np.errstate(over="ignore"):
                matrix[:, self.single] = matrix[:, self.single].astype(np.float32)
        return Table(rows=len(matrix), matrix=matrix)

    def _read_numbers(self, rows: Sequence[Sequence[Any] | Array]) -> Array | None:
        """Read numbers, null as NaN. In a column of doubles whatever becomes a float does so in MLflow too."""
        if not self.is_plain and not set(map(type, chain.from_iterable(rows))) <= NUMBERS:
            return None
        return np.array(rows, dtype=np.float64)

    def typed_columns(self, table: Table) -> tuple[Array, ...]:
        """Return each column with the type that the signature gives it."""
        if table.matrix is None:
            return table.columns
        matrix = table.matrix
        return tuple(matrix[:, number].astype(NUMPY_TYPES[kind], copy=False) for number, kind in enumerate(self.types))


def plan_table(signature: Signature | None) -> TablePlan | None:
    """Plan for a signature of named plain columns, or of one array of rows; None where it has anything else."""
    if signature is None or not signature.inputs:
        return None
    fields = signature.inputs
    names = [field.name for field in fields]
    if names == [None] and fields[0].type["type"] == "tensor":
        return _plan_tensor(fields[0].type["tensor-spec"])
    known = tuple(name for name in names if name is not None)
    kinds = [field.type["type"] for field in fields]
    if len(set(known)) != len(names) or not set(kinds) <= NUMPY_TYPES.keys():
        return None
    return _plan(known, kinds, None)


def _plan_tensor(spec: Mapping[str, Any]) -> TablePlan | None:
    kinds = {dtype.name: kind for kind, dtype in NUMPY_TYPES.items() if dtype.kind in "fi"}
    kind, shape = kinds.get(spec["dtype"]), spec["shape"]
    if kind is None or len(shape) != 2 or shape[0] != -1 or shape[1] < 1:
        return None
    return _plan(tuple(f"[:, {place}]" for place in range(shape[1])), [kind] * shape[1], NUMPY_TYPES[kind])


def _plan(names: tuple[str, ...], kinds: Sequence[str], tensor: np.dtype[Any] | None) -> TablePlan:
    whole = _places(kinds, {"long", "integer"})
    # One name would be a value, not a tuple of one.
    take = itemgetter(*names) if len(names) > 1 else _take_one(names[0])
    return TablePlan(
        tensor=tensor,
        names=names,
        types=tuple(kinds),
        whole=whole,
        single=_places(kinds, {"float"}),
        boolean=_places(kinds, {"boolean"}),
        limits=np.array([EXACT if kinds[place] == "long" else 2.0**31 - 1 for place in whole]),
        take=take,
        is_numeric="string" not in kinds,
        is_plain=set(kinds) == {"double"},
    )


def decode_table(name: str, value: Any, plan: TablePlan) -> Table | None:
    """Decode what a body has under one of MLflow's names for it."""
    try:
        if plan.tensor is not None:
            return _decode_tensor(name, value, plan)
        if name == "dataframe_split":
            return _decode_split(value, plan)
        if type(value) is list and value and type(value[0]) is dict:
            return plan.table_of_rows([plan.take(row) for row in value])
        if name == "inputs" and type(value) is dict and value.keys() == set(plan.names):
            columns = plan.take(value)
            return plan.table_of_columns(columns) if all(type(column) is list for column in columns) else None
    except (KeyError, IndexError, TypeError, ValueError, OverflowError):
        # A column that is not there, text among numbers, rows of several lengths: the complete decoder names it.
        return None
    return None


def _decode_tensor(name: str, value: Any, plan: TablePlan) -> Table | None:
    rows = value
    if name == "dataframe_split":
        columns = value.get("columns", plan.names) if type(value) is dict else None
        if type(columns) is str or columns is None or len(columns) != len(plan.names):
            return None
        if not value.keys() <= {"columns", "data"}:
            return None
        rows = value["data"]
    return plan.table_of_rows(rows) if type(rows) is list and type(rows[0]) is list else None


def concatenate(tables: Sequence[Table]) -> Table:
    """Put tables of one plan below each other."""
    if len(tables) == 1:
        return tables[0]
    rows = sum(table.rows for table in tables)
    if tables[0].matrix is not None:
        return Table(rows=rows, matrix=np.concatenate([table.matrix for table in tables if table.matrix is not None]))
    columns = zip(*(table.columns for table in tables), strict=True)
    return Table(rows=rows, columns=tuple(np.concatenate(parts) for parts in columns))


def _decode_split(value: Any, plan: TablePlan) -> Table | None:
    columns, rows = value["columns"], value["data"]
    if len(value) != 2 or type(rows) is not list or type(columns) is not list:
        return None
    if tuple(columns) == plan.names:
        return plan.table_of_rows(rows)
    if len(set(columns)) != len(columns):
        return None
    places = {name: place for place, name in enumerate(columns)}
    order = [places[name] for name in plan.names]
    if set(map(len, rows)) != {len(columns)}:
        return None
    # Without the columns that the signature does not name: what is in them is nobody's business.
    return plan.table_of_rows([[row[place] for place in order] for row in rows])


def _as_column(values: Sequence[Any] | Array, kind: str) -> Array | None:
    found = set(map(type, values))
    if kind == "string":
        if not found <= {str, type(None)}:
            return None
        column = np.empty(len(values), dtype=object)
        column[:] = values
        return column
    if kind in {"double", "float"} and found <= {float, int, type(None)}:
        return np.array(values, dtype=np.float64).astype(NUMPY_TYPES[kind], copy=False)
    if (kind in {"long", "integer"} and found == {int}) or (kind == "boolean" and found == {bool}):
        # Out of range is an OverflowError, which is for the complete decoder.
        return np.array(values, dtype=NUMPY_TYPES[kind])
    return None


def _places(kinds: Sequence[str], wanted: set[str]) -> Array:
    return np.array([place for place, kind in enumerate(kinds) if kind in wanted], dtype=np.intp)


def _take_one(name: str) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    return lambda row: (row[name],)
