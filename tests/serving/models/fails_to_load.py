"""A model that raises when it is loaded."""

from typing import Any

import mlflow.models
import pandas as pd
from mlflow.pyfunc.model import PythonModel, PythonModelContext


class FailsToLoad(PythonModel):
    def load_context(self, context: PythonModelContext) -> None:
        raise ValueError("weights are\nmissing")

    def predict(self, context: PythonModelContext, model_input: pd.DataFrame, params: Any = None) -> Any:
        return model_input


mlflow.models.set_model(FailsToLoad())
