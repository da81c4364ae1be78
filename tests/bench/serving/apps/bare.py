"""The model alone, in a loop, without any server: `bare.py MODEL SECONDS ROWS.json...` writes calls a second as JSON.

The ways are those that servers choose from: MLflow's pyfunc on a DataFrame, the flavor's own model on a DataFrame and
on an array, and for a PythonModel its own `predict`.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd


def rate(predict: Callable[[], Any], seconds: float) -> float:
    """Call again and again."""
    predict()
    calls, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < seconds:
        predict()
        calls += 1
    return calls / spent


def ways(folder: str, split: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    """List the ways that there are for this model."""
    model = mlflow.pyfunc.load_model(folder)
    frame = pd.DataFrame(split["data"], columns=split["columns"])
    if not {"sklearn", "xgboost"} & set(model.metadata.flavors):
        python_model = model.unwrap_python_model()
        return {"pyfunc": lambda: model.predict(frame), "native": lambda: python_model.predict(None, frame)}
    native = model.get_raw_model()
    found = {"pyfunc": lambda: model.predict(frame), "native": lambda: native.predict(frame)}
    if split["columns"] != ["text"]:
        array = np.array(split["data"], dtype=np.float64)
        found["native, array"] = lambda: native.predict(array)
    return found


def main(folder: str, seconds: float, files: list[str]) -> None:
    """Measure each way with each table."""
    warnings.simplefilter("ignore")
    tables = {len(split["data"]): split for split in (json.loads(Path(file).read_text()) for file in files)}
    figures = {
        rows: {name: rate(predict, seconds) for name, predict in ways(folder, split).items()}
        for rows, split in tables.items()
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3:])
