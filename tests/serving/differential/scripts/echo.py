"""A model that answers with what it was given and of which types, so that a difference in decoding shows."""

from typing import Any

import mlflow.models
import numpy as np
import pandas as pd
from mlflow.pyfunc.model import PythonModel, PythonModelContext


class Echo(PythonModel):
    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> Any:
        return {"input": describe(model_input), "params": params}


def describe(value: Any) -> Any:
    if isinstance(value, pd.DataFrame):
        types = [str(kind) for kind in value.dtypes]
        return {"columns": list(value.columns), "types": types, "rows": value.to_numpy(dtype=object).tolist()}
    if isinstance(value, np.ndarray):
        return {"dtype": str(value.dtype), "shape": list(value.shape), "values": value.tolist()}
    if isinstance(value, dict):
        return {key: describe(item) for key, item in value.items()}
    if isinstance(value, list):
        return [describe(item) for item in value]
    return {"type": type(value).__name__, "value": value}


mlflow.models.set_model(Echo())
