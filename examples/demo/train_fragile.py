"""Register an iris model that passes its own input example and fails on some of the flowers it is asked about.

No check before the traffic finds that. The demo promotes it to show that a canary does, and what happens then.
"""

from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from mlflow.pyfunc.model import PythonModel, PythonModelContext

COLUMNS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]


class Fragile(PythonModel):
    """Divides by what a petal is longer than the shortest one it was trained on."""

    def predict(self, context: PythonModelContext, model_input: Any, params: dict[str, Any] | None = None) -> list[str]:
        """Answer; a petal of 1.4 cm is a division by zero."""
        ratios = [width / (length - 1.4) for length, width in model_input[COLUMNS[2:]].itertuples(index=False)]
        return ["virginica" if ratio < 1 else "versicolor" for ratio in ratios]


virginica = pd.DataFrame([[6.3, 3.3, 6.0, 2.5]], columns=COLUMNS)

mlflow.set_experiment("iris")
with mlflow.start_run():
    logged = mlflow.pyfunc.log_model(
        name="model",
        python_model=Fragile(),
        signature=infer_signature(virginica, np.array(["virginica"])),
        input_example=virginica,
        pip_requirements=["cloudpickle"],
        registered_model_name="iris",
    )

print(f"iris version {logged.registered_model_version}, which fails on petals of 1.4 cm")
