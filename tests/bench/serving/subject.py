"""A model as the bench sees it. Importing this imports no model library; models.py builds them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from modelvane_serving.manifest import ARTIFACTS_DIR

NAMES = {
    "lr": "LogisticRegression after a scaler, 10 columns, 5 classes",
    "rf": "RandomForest of 100 trees, 10 columns, 5 classes",
    "xgb": "XGBoost regression of 100 trees, 10 columns",
    "wide": "LogisticRegression after a scaler, 600 columns, 5 classes",
    "text": "TF-IDF and LogisticRegression, one column of text, 4 classes",
    "opaque": "PythonModel that adds up 10 columns",
}


@dataclass(frozen=True)
class Subject:
    """A model in its folder, and what it is to answer."""

    name: str
    model_dir: Path
    frame: Callable[[int, int], pd.DataFrame]
    """Make a table of so many rows, by a seed."""
    predict: Callable[[pd.DataFrame], Any]

    @property
    def artifacts(self) -> Path:
        """The folder that MLflow wrote."""
        return self.model_dir / ARTIFACTS_DIR

    def answers(self, frame: pd.DataFrame) -> list[Any]:
        """Ask the model itself."""
        found: list[Any] = np.asarray(self.predict(frame)).tolist()
        return found


def write_rows(frame: pd.DataFrame, path: Path) -> Path:
    """Write a table for a program of another environment."""
    path.write_text(json.dumps({"columns": list(frame.columns), "data": frame.to_numpy().tolist()}))
    return path
