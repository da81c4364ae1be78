"""Register an iris model that cannot be loaded: it wants a file that was on its author's laptop.

Nothing about it looks wrong in the registry. The demo promotes it to show that it never gets traffic.
"""

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from mlflow.pyfunc.model import PythonModel, PythonModelContext

COLUMNS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]


class Forgetful(PythonModel):
    """Answers with names from a file that nobody logged with it."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read what the model needs: fails everywhere but on the author's machine."""
        self.names = Path("/home/alice/iris/names.txt").read_text().splitlines()

    def predict(self, context: PythonModelContext, model_input: Any, params: dict[str, Any] | None = None) -> list[str]:
        """Answer with the first name."""
        return [self.names[0]] * len(model_input)


mlflow.set_experiment("iris")
with mlflow.start_run():
    logged = mlflow.pyfunc.log_model(
        name="model",
        python_model=Forgetful(),
        signature=infer_signature(pd.DataFrame([[5.1, 3.5, 1.4, 0.2]], columns=COLUMNS), np.array(["setosa"])),
        pip_requirements=["cloudpickle"],
        registered_model_name="iris",
    )

print(f"iris version {logged.registered_model_version}, which cannot be loaded")
