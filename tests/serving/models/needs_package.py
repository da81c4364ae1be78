"""A model that answers with the version of a package, as it sees it and as a process that it starts does."""

import subprocess
import sys
from importlib.metadata import version
from typing import Any

import iniconfig
import mlflow.models
import pandas as pd
from mlflow.pyfunc.model import PythonModel, PythonModelContext

TELL = "from importlib.metadata import version; import iniconfig; print(version('iniconfig'), iniconfig.__file__)"


class NeedsPackage(PythonModel):
    def predict(self, context: PythonModelContext, model_input: pd.DataFrame, params: Any = None) -> list[str]:
        child = subprocess.run([sys.executable, "-c", TELL], capture_output=True, text=True, check=True)
        here = f"{version('iniconfig')} {iniconfig.__file__}"
        return [here, child.stdout.strip(), str(getattr(iniconfig, "ANSWER", None))]


mlflow.models.set_model(NeedsPackage())
