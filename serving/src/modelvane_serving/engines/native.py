"""The native engine: the flavor's own object, called with what MLflow's wrapper would call it with."""

import importlib
from pathlib import Path
from typing import Any

from modelvane_serving.engines import NATIVE, Engine
from modelvane_serving.engines.flavors import NativeModel, forget_names, load_native
from modelvane_serving.engines.limits import Limits, find_limits
from modelvane_serving.formats.tables import Table, TablePlan
from modelvane_serving.input_example import read_example_table
from modelvane_serving.mlmodel import MlModel


def native_engine(mlmodel: MlModel, artifacts: Path, plan: TablePlan, *, threads: int, reason: str | None) -> Engine:
    """Load the flavor's object. Raises NotNativeError, or whatever the model's own code raises."""
    native = load_native(mlmodel, artifacts, threads)
    example = read_example_table(mlmodel, artifacts, plan)
    if plan.is_numeric and native.takes_matrix:
        forget_names(native)
        predict = native.predict

        def answer_matrix(table: Table) -> Any:
            return predict(table.matrix)

        return _engine(native, answer_matrix, plan, find_limits(answer_matrix, plan, example), reason)
    # Only now: pandas takes longer to import than a small model to answer.
    make_frame = importlib.import_module("modelvane_serving.engines.frames").frame_maker(plan)

    def answer_frame(table: Table) -> Any:
        return native.predict(make_frame(table))

    return _engine(native, answer_frame, plan, find_limits(answer_frame, plan, example), reason)


def _engine(native: NativeModel, predict: Any, plan: TablePlan, limits: Limits, reason: str | None) -> Engine:
    return Engine(name=NATIVE, predict=predict, plan=plan, row_wise=native.row_wise, limits=limits, reason=reason)
