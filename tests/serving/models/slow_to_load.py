"""A model that takes longer to load than anybody waits."""

import time
from typing import Any

import mlflow.models
import pandas as pd
from mlflow.pyfunc.model import PythonModel, PythonModelContext


class SlowToLoad(PythonModel):
    def load_context(self, context: PythonModelContext) -> None:
        print("loading", flush=True)
        time.sleep(60)

    def predict(self, context: PythonModelContext, model_input: pd.DataFrame, params: Any = None) -> Any:
        return model_input


mlflow.models.set_model(SlowToLoad())
