"""The models that are served, saved as MLflow saves them, and what they are asked.

Each model's answers tell rows apart (several classes, or a number of its own for each row), so that an answer that went
to the wrong request is seen as wrong.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import mlflow.sklearn
import mlflow.xgboost
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from modelvane_serving.manifest import ARTIFACTS_DIR
from sklearn.compose import ColumnTransformer
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBRegressor

from tests.bench.serving.subject import Subject
from tests.serving.train import finish

SEED = 20260101
TRAINING_ROWS = 2000
OPAQUE = Path(__file__).parent / "apps" / "opaque.py"
TOPICS = ("billing", "delivery", "praise", "returns")
_WORDS = 400


def build(name: str, root: Path) -> Subject:
    """Train and save one of the models."""
    # A model here is its own files: not the lock file of whatever project this is run from.
    os.environ.update(MLFLOW_UV_AUTO_DETECT="false", MLFLOW_LOG_UV_FILES="false")
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # What training libraries warn of is theirs; what is measured runs in processes of its own.
        warnings.simplefilter("ignore")
        return {"lr": _sklearn, "rf": _sklearn, "wide": _sklearn, "text": _text, "xgb": _xgboost, "opaque": _opaque}[
            name
        ](name, root / name)


def numbers(columns: int) -> Callable[[int, int], pd.DataFrame]:
    """Return a maker of tables with so many columns of numbers of four decimals, as people send them."""
    names = [f"feature_{number}" for number in range(columns)]

    def frame(rows: int, seed: int) -> pd.DataFrame:
        values = np.random.default_rng(SEED + seed).normal(0, 2, (rows, columns)).round(4)
        return pd.DataFrame(values, columns=names)

    return frame


def texts(rows: int, seed: int) -> pd.DataFrame:
    """Make one column of 12 to 40 words each."""
    random = np.random.default_rng(SEED + seed)
    words = [
        [f"word{number}" for number in random.integers(0, _WORDS, length)] for length in random.integers(12, 40, rows)
    ]
    return pd.DataFrame({"text": [" ".join(line) for line in words]})


def _sklearn(name: str, model_dir: Path) -> Subject:
    columns = 600 if name == "wide" else 10
    values, target = make_classification(
        TRAINING_ROWS, columns, n_informative=8, n_redundant=0, n_classes=5, random_state=SEED
    )
    frame = numbers(columns)
    table = pd.DataFrame(values, columns=frame(1, 0).columns)
    estimator: Any = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    if name == "rf":
        estimator = RandomForestClassifier(n_estimators=100, random_state=SEED)
    model = estimator.fit(table, target)
    _save_sklearn(model, model_dir, table)
    return Subject(name, model_dir, frame, model.predict)


def _text(name: str, model_dir: Path) -> Subject:
    table = texts(TRAINING_ROWS, -1)
    # Which topic a text has is what most of its words belong to.
    counts = np.array(
        [[sum(int(word[4:]) % 4 == k for word in line.split()) for k in range(4)] for line in table["text"]]
    )
    target = np.array(TOPICS)[counts.argmax(axis=1)]
    model = make_pipeline(
        ColumnTransformer([("text", TfidfVectorizer(), "text")]), LogisticRegression(max_iter=300)
    ).fit(table, target)
    _save_sklearn(model, model_dir, table)
    return Subject(name, model_dir, texts, model.predict)


def _save_sklearn(model: Any, model_dir: Path, table: pd.DataFrame) -> None:
    mlflow.sklearn.save_model(
        model,
        str(model_dir / ARTIFACTS_DIR),
        serialization_format=mlflow.sklearn.SERIALIZATION_FORMAT_CLOUDPICKLE,
        signature=infer_signature(table, model.predict(table)),
        input_example=table.head(3),
        pip_requirements=[],
    )
    finish(model_dir)


def _xgboost(name: str, model_dir: Path) -> Subject:
    frame = numbers(10)
    table = frame(TRAINING_ROWS, -1)
    values = table.to_numpy()
    model = XGBRegressor(n_estimators=100, max_depth=6, n_jobs=1).fit(table, values[:, 0] * values[:, 1] + values[:, 2])
    mlflow.xgboost.save_model(
        model,
        str(model_dir / ARTIFACTS_DIR),
        signature=infer_signature(table, model.predict(table)),
        input_example=table.head(3),
        pip_requirements=[],
    )
    finish(model_dir)
    return Subject(name, model_dir, frame, model.predict)


def _opaque(name: str, model_dir: Path) -> Subject:
    frame = numbers(10)
    table = frame(3, -1)
    mlflow.pyfunc.save_model(
        str(model_dir / ARTIFACTS_DIR),
        python_model=str(OPAQUE),
        signature=infer_signature(table, table.to_numpy().sum(axis=1)),
        input_example=table,
        pip_requirements=[],
    )
    finish(model_dir)
    return Subject(name, model_dir, frame, lambda asked: asked.to_numpy().sum(axis=1))
