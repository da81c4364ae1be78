"""The model's input example as a table."""

from pathlib import Path

import orjson

from modelvane_serving.formats.tables import Table, TablePlan, decode_table
from modelvane_serving.mlmodel import MlModel


def read_example_table(mlmodel: MlModel, artifacts: Path, plan: TablePlan) -> Table | None:
    """Read the example; None where there is none, or it is no clean table."""
    if mlmodel.serving_input_example is None:
        return None
    try:
        body = orjson.loads((artifacts / mlmodel.serving_input_example).read_bytes())
    except (OSError, ValueError):
        return None
    for name, value in body.items() if isinstance(body, dict) else ():
        table = decode_table(name, value, plan)
        if table is not None:
            return table
    return None
