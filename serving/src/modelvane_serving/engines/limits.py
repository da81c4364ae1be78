"""Which numbers a model takes: gaps, infinity, and how large; found by asking it."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from modelvane_serving.errors import ApiError, invalid_request
from modelvane_serving.formats.tables import Array, Table, TablePlan

LARGEST_SINGLE: Final = float(np.finfo(np.float32).max)
LARGEST_DOUBLE: Final = float(np.finfo(np.float64).max)
# Of a linear model the largest double overflows on the way: the sizes below it leave room for that.
SIZES: Final = (np.inf, LARGEST_DOUBLE, 1e300, 1e150, 1e75)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What is refused before the model sees it: one wrong value would make it refuse the whole batch."""

    missing: bool = True
    largest: float = np.inf
    empty: bool = True

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {**asdict(self), "largest": None if np.isinf(self.largest) else self.largest}

    @staticmethod
    def from_dict(content: dict[str, Any]) -> "Limits":
        """Read what `as_dict` wrote."""
        largest = content["largest"]
        return Limits(**{**content, "largest": np.inf if largest is None else largest})

    def check(self, table: Table, plan: TablePlan) -> None:
        """Raise ApiError for the first value that the model would refuse."""
        if not table.rows and not self.empty:
            raise invalid_request("the input has no rows, and the model cannot answer that")
        if table.matrix is not None:
            # The maximum of anything with NaN is NaN, which no comparison holds for.
            matrix = table.matrix
            if matrix.size and not (matrix.max() <= self.largest and matrix.min() >= -self.largest):
                self._find(matrix, range(len(plan.names)), plan)
        elif not (self.missing and np.isinf(self.largest)):
            places = [place for place, kind in enumerate(plan.types) if kind in {"double", "float"}]
            if places:
                self._find(np.column_stack([table.columns[place] for place in places]), places, plan)

    def _find(self, matrix: Array, places: Sequence[int], plan: TablePlan) -> None:
        wrong = np.abs(matrix) > self.largest
        if not self.missing:
            wrong |= np.isnan(matrix)
        if not wrong.any():
            return
        row, column = (int(place) for place in np.argwhere(wrong)[0])
        name, kind = plan.names[places[column]], plan.types[places[column]]
        if np.isnan(matrix[row, column]):
            message = f"row {row} has no value for {name!r}, and the model takes no missing values"
            raise ApiError(400, "MissingValue", message, name, kind, "null")
        message = f"row {row} has a value for {name!r} that is too large for the model"
        raise ApiError(400, "OutOfRange", message, name, f"at most {min(self.largest, LARGEST_DOUBLE):.6g}")


def find_blame(table: Table, plan: TablePlan) -> ApiError | None:
    """Name the gap, or the number without a size, that a model which failed on a table failed on; None without one."""
    try:
        Limits(missing=False, largest=LARGEST_DOUBLE).check(table, plan)
    except ApiError as error:
        return error
    for name, column in zip(plan.names, table.columns, strict=False):
        for row, value in enumerate(column.tolist() if column.dtype == object else ()):
            if value is None:
                message = f"row {row} has no value for {name!r}, and the model takes no missing values"
                return ApiError(400, "MissingValue", message, name, "string", "null")
    return None


def find_limits(ask: Callable[[Table], Any], plan: TablePlan, example: Table | None) -> Limits:
    """Ask the model with gaps, and with numbers of growing size in all columns that can hold them."""
    if example is None and not plan.is_numeric:
        # Nothing is known of its texts: whatever it refuses, it refuses itself.
        return Limits()
    row = Table(rows=1, matrix=np.zeros((1, len(plan.names)))) if example is None else example
    if not _is_answered(ask, row):
        return Limits()
    free = [place for place, kind in enumerate(plan.types) if kind == "double"]
    if not free:
        return Limits(empty=_is_answered(ask, _rows(row, 0)))

    def takes(value: float, places: Sequence[int]) -> bool:
        return _is_answered(ask, _with(row, places, value))

    largest = next((size for size in SIZES if takes(size, free)), LARGEST_SINGLE)
    return Limits(missing=takes(np.nan, free[:1]), largest=largest, empty=_is_answered(ask, _rows(row, 0)))


def _rows(table: Table, count: int) -> Table:
    matrix = table.matrix[:count] if table.matrix is not None else None
    return Table(rows=count, matrix=matrix, columns=tuple(column[:count] for column in table.columns))


def _with(row: Table, places: Sequence[int], value: float) -> Table:
    if row.matrix is not None:
        matrix = row.matrix.copy()
        matrix[:, places] = value
        return Table(rows=row.rows, matrix=matrix)
    columns = [np.full_like(column, value) if place in places else column for place, column in enumerate(row.columns)]
    return Table(rows=row.rows, columns=tuple(columns))


def _is_answered(ask: Callable[[Table], Any], row: Table) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ask(row)
    except Exception:
        return False
    return True
