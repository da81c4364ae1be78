"""A decoded table as the DataFrame, or the array, that MLflow would have made of the same request."""

from collections.abc import Callable
from typing import Any

import pandas as pd

from modelvane_serving.formats.tables import Table, TablePlan


def frame_maker(plan: TablePlan) -> Callable[[Table], Any]:
    """Return what makes frames of one plan: the column index is made once."""
    tensor = plan.tensor
    if tensor is not None:
        return lambda table: table.matrix if table.matrix is None else table.matrix.astype(tensor, copy=False)
    index = pd.Index(plan.names)

    def make(table: Table) -> pd.DataFrame:
        if plan.is_plain:
            return pd.DataFrame(table.matrix, columns=index, copy=False)
        return pd.DataFrame(dict(zip(plan.names, plan.typed_columns(table), strict=True)))

    return make
