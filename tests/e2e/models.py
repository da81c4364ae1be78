"""Small models with one trait each, logged once and registered as often as tests need versions."""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.models import infer_signature

QUESTION = {"dataframe_split": {"columns": ["x"], "data": [[1.0]]}}
LOAD_ERROR = "the weights are not where they were"
EXAMPLE_ERROR = "x must not be 1"

_CODE = """
import mlflow
import pandas

class Trait(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        {load}

    def predict(self, context, model_input: pandas.DataFrame, params=None):
        {predict}

mlflow.models.set_model(Trait())
"""


class Trait(Enum):
    """What a model does that matters to a test: its code for loading and for predicting, and its example's x."""

    GOOD = "pass", 'return ["good"] * len(model_input)'
    BETTER = "pass", 'return ["better"] * len(model_input)'
    CANNOT_LOAD = f"raise RuntimeError({LOAD_ERROR!r})", "return []"
    FAILS_ITS_EXAMPLE = "pass", f"raise ValueError({EXAMPLE_ERROR!r})"
    FAILS_A_REQUEST = "pass", 'return [1 / (x - 7) and "good" for x in model_input["x"]]'
    WANTS_MORE = "pass", 'return ["more"] * len(model_input)'
    NEVER_READY = "import time; time.sleep(600)", "return []"
    FAILS_UNDER_TRAFFIC = "pass", 'return [1 / (x - 1) and "bad" for x in model_input["x"]]'
    SLOW_UNDER_TRAFFIC = "import time; self.sleep = time.sleep", 'self.sleep(0.3); return ["slow"] * len(model_input)'
    ENDS_UNDER_TRAFFIC = "import os; self.end = os._exit", 'return [x == 1 and self.end(3) for x in model_input["x"]]'
    GROWS_UNDER_TRAFFIC = (
        "pass",
        'return [x == 1 and [b"." * (n + 2**24) for n in range(64)] for x in model_input["x"]]',
    )


# These answer their example and nothing that the load generator asks.
_ASKED_SOMETHING_ELSE = {Trait.FAILS_UNDER_TRAFFIC, Trait.ENDS_UNDER_TRAFFIC, Trait.GROWS_UNDER_TRAFFIC}
# MLflow would load the model to try the example.
_NOT_TRIED = {Trait.CANNOT_LOAD, Trait.NEVER_READY}


@dataclass(frozen=True)
class Logged:
    """A logged model that can become a version of any registered model."""

    uri: str
    model_id: str
    run_id: str


def log_all(tracking_uri: str, folder: Path) -> dict[Trait, Logged]:
    """Log a model of each trait."""
    # MLflow would log the lock file of this checkout with each model.
    os.environ["MLFLOW_UV_AUTO_DETECT"] = "false"
    asked = pd.DataFrame(QUESTION["dataframe_split"]["data"], columns=["x"])
    logged = {}
    with warnings.catch_warnings():
        # MLflow has advice about type hints and examples; these models are as they are on purpose.
        warnings.simplefilter("ignore")
        mlflow.set_tracking_uri(tracking_uri)
        mlflow.set_experiment("modelvane-e2e")
        for trait in Trait:
            load, predict = trait.value
            example = asked + 1 if trait in _ASKED_SOMETHING_ELSE else asked
            if trait is Trait.WANTS_MORE:
                example = example.assign(y=1.0)
            code = folder / f"{trait.name.lower()}.py"
            code.write_text(_CODE.format(load=load, predict=predict))
            with mlflow.start_run(run_name=trait.name):
                info = mlflow.pyfunc.log_model(
                    name=trait.name.lower(),
                    python_model=str(code),
                    signature=infer_signature(example, ["good"]),
                    input_example=None if trait in _NOT_TRIED else example,
                    pip_requirements=["mlflow"],
                )
            assert info.model_id, json.dumps(info.flavors)
            logged[trait] = Logged(info.model_uri, info.model_id, info.run_id)
    return logged


def register(client: MlflowClient, name: str, logged: Logged) -> str:
    """Make a version of a registered model, and the model with its first version; return the number."""
    if not client.search_registered_models(f"name='{name}'"):
        client.create_registered_model(name)
    version = client.create_model_version(
        name, logged.uri, run_id=logged.run_id, model_id=logged.model_id, await_creation_for=0
    )
    return str(version.version)
