"""A model whose behaviour is asked for by params, so that one process serves many tests."""

import time
from typing import Any

import mlflow.models
import numpy as np
import pandas as pd
from mlflow.pyfunc.model import PythonModel, PythonModelContext

SECRET = "the-callers-own-words"  # noqa: S105 - not a password: what must not show up in a log


class Workbench(PythonModel):
    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> Any:
        assert params is not None
        values = model_input["x"].to_numpy()
        time.sleep(params["sleep"])
        mode = params["mode"]
        if mode == "raise":
            raise RuntimeError(f"cannot predict {SECRET}")
        if mode == "exit":
            raise SystemExit(7)
        if mode == "unencodable":
            return {"answer": object()}
        answers = {
            "scale": values * params["factor"],
            "float32": values.astype(np.float32),
            "nonfinite": np.array([np.nan, np.inf, -np.inf, 1.5]),
            "table": pd.DataFrame({"y": values, "label": [f"row {v}" for v in values]}),
            "series": pd.Series(values, name="y"),
            "list": [float(v) for v in values],
            "dict": {"y": values, "text": ["a", "b"]},
            "nested": [{"y": np.float32(0.1), "n": np.int64(7), "when": pd.Timestamp("2026-01-02T03:04:05")}],
            "bytes": [b"\x00\xff"],
            "strings": np.array(["a", "ü"], dtype=object),
            "big": [2**60, 2**70],
        }
        return answers[mode]


mlflow.models.set_model(Workbench())
