"""A model that loads and then fails on anything, its own input example first."""

from typing import Any

import mlflow.models
import pandas as pd
from mlflow.pyfunc.model import PythonModel, PythonModelContext


class FailsToPredict(PythonModel):
    def predict(self, context: PythonModelContext, model_input: pd.DataFrame, params: Any = None) -> Any:
        raise KeyError("no such feature")


mlflow.models.set_model(FailsToPredict())
