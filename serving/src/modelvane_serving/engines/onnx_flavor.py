"""A model that was logged as ONNX, run as it is: what MLflow's wrapper does around the session, without its frames."""

import importlib
from pathlib import Path
from typing import Any, Final

import numpy as np

from modelvane_serving.engines import COMPILED, Engine
from modelvane_serving.engines.flavors import NotNativeError
from modelvane_serving.engines.session import CPU, open_session
from modelvane_serving.formats.tables import Array, Table, TablePlan
from modelvane_serving.mlmodel import PYFUNC_FLAVOR, MlModel

LOADER: Final = "mlflow.onnx"
# What a session takes, by the columns that MLflow hands over as one array; it makes double single where that is wanted.
INPUTS: Final = {("double", "tensor(float)"), ("double", "tensor(double)"), ("float", "tensor(float)")}
DTYPES: Final = {"tensor(float)": np.float32, "tensor(double)": np.float64}


def is_onnx(mlmodel: MlModel) -> bool:
    """Tell whether MLflow would load it by its ONNX flavor."""
    return mlmodel.configurations[PYFUNC_FLAVOR].get("loader_module") == LOADER


def onnx_engine(mlmodel: MlModel, artifacts: Path, plan: TablePlan, *, threads: int) -> Engine:
    """Load the graph. Raises NotNativeError, with the reason, for one that is MLflow's to run."""
    onnxruntime = importlib.import_module("onnxruntime")
    configuration = mlmodel.configurations["onnx"]
    if mlmodel.signature is not None and mlmodel.signature.get("params"):
        raise NotNativeError("the model takes params")
    if configuration.get("onnx_session_options"):
        raise NotNativeError("the model has options for its session")
    if set(configuration.get("providers") or ()) & set(onnxruntime.get_available_providers()) - {CPU}:
        raise NotNativeError("the model asks for an accelerator that is there")
    session = open_session(artifacts / configuration["data"], threads)
    inputs = session.get_inputs()
    kinds = set(plan.types)
    if len(inputs) != 1 or len(kinds) != 1 or (*kinds, inputs[0].type) not in INPUTS:
        raise NotNativeError("the model takes more than one array of numbers of one type")
    feed, dtype = inputs[0].name, DTYPES[inputs[0].type]
    names = [output.name for output in session.get_outputs()]

    def run(matrix: Array) -> dict[str, Any]:
        return dict(zip(names, session.run(names, {feed: matrix.astype(dtype, copy=False)}), strict=True))

    def predict_array(table: Table) -> Any:
        return run(_matrix(table))

    def predict_records(table: Table) -> Any:
        columns = [np.asarray(output).reshape(-1) for output in run(_matrix(table)).values()]
        if {len(column) for column in columns} != {table.rows}:
            raise ValueError("an output of the model has not one value for each row")
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return [dict(zip(names, row, strict=True)) for row in rows]

    predict = predict_array if plan.tensor is not None else predict_records
    # MLflow makes a table of the outputs; it says itself what it makes of outputs that are none.
    for rows in (1, 2):
        try:
            predict(Table(rows=rows, matrix=np.zeros((rows, len(plan.names)))))
        except Exception as error:
            raise NotNativeError(f"a table of zeros is not answered: {type(error).__name__}") from None
    # Nothing is known of what a graph does with its rows.
    return Engine(name=COMPILED, predict=predict, plan=plan, row_wise=False, details={"form": "as it was logged"})


def _matrix(table: Table) -> Array:
    if table.matrix is None:
        raise TypeError("an ONNX model takes numbers")
    return table.matrix
