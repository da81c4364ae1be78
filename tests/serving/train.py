"""Trains and saves the models of these tests, each into a directory laid out as `fetch` leaves it."""

import json
import warnings
from pathlib import Path
from typing import Any

import mlflow.lightgbm
import mlflow.pyfunc
import mlflow.sklearn
import mlflow.xgboost
import numpy as np
import pandas as pd
from lightgbm import LGBMRegressor
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec
from modelvane_serving.manifest import ARTIFACTS_DIR, FACTS_FILE, read_tree, write_manifest
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBRegressor

SCRIPTS = Path(__file__).parent / "models"


def iris() -> tuple[pd.DataFrame, np.ndarray[Any, Any]]:
    features, target = load_iris(as_frame=True, return_X_y=True)
    features.columns = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
    return features, target.to_numpy()


def finish(model_dir: Path) -> Path:
    """Write what `fetch` writes beside the artifacts."""
    write_manifest(read_tree(model_dir / ARTIFACTS_DIR), model_dir)
    facts = {"run_id": "0123abcd", "model_uri": f"models:/{model_dir.name}/3"}
    (model_dir / FACTS_FILE).write_text(json.dumps(facts))
    return model_dir


def save_sklearn(model_dir: Path) -> Pipeline:
    features, target = iris()
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200)).fit(features, target)
    mlflow.sklearn.save_model(
        model,
        str(model_dir / ARTIFACTS_DIR),
        signature=infer_signature(features, model.predict(features)),
        input_example=features.head(3),
        pip_requirements=[],
    )
    finish(model_dir)
    return model


def save_tensor(model_dir: Path) -> LogisticRegression:
    """Save a model that takes one array, without names, and answers probabilities."""
    features, target = iris()
    model = LogisticRegression(max_iter=200).fit(features.to_numpy(), target)
    schema = Schema([TensorSpec(np.dtype(np.float64), (-1, 4))])
    mlflow.sklearn.save_model(
        model,
        str(model_dir / ARTIFACTS_DIR),
        signature=ModelSignature(inputs=schema),
        input_example=features.to_numpy()[:2],
        pyfunc_predict_fn="predict_proba",
        pip_requirements=[],
    )
    finish(model_dir)
    return model


def save_xgboost(model_dir: Path) -> XGBRegressor:
    """Save a model with float32 answers and columns of several types."""
    features, target = iris()
    table = features.assign(sepal_width=(features["sepal_width"] * 10).astype(np.int64))
    model = XGBRegressor(n_estimators=8, max_depth=3, n_jobs=1).fit(table, target)
    mlflow.xgboost.save_model(
        model,
        str(model_dir / ARTIFACTS_DIR),
        signature=infer_signature(table, model.predict(table)),
        input_example=table.head(2),
        pip_requirements=[],
    )
    finish(model_dir)
    return model


def save_forest(model_dir: Path) -> RandomForestClassifier:
    features, target = iris()
    model = RandomForestClassifier(30, random_state=0, n_jobs=1).fit(features, target)
    return _save_trees(model_dir, mlflow.sklearn, model, skops_trusted_types=["sklearn.tree._tree.Tree"])


def save_forest_regressor(model_dir: Path) -> RandomForestRegressor:
    features, target = iris()
    model = RandomForestRegressor(30, random_state=0, n_jobs=1).fit(features, target)
    return _save_trees(model_dir, mlflow.sklearn, model, skops_trusted_types=["sklearn.tree._tree.Tree"])


def save_lightgbm(model_dir: Path) -> Any:
    features, target = iris()
    model = LGBMRegressor(n_estimators=20, n_jobs=1, verbose=-1).fit(features, target)
    return _save_trees(model_dir, mlflow.lightgbm, model)


def _save_trees(model_dir: Path, flavor: Any, model: Any, **options: Any) -> Any:
    features, _ = iris()
    with warnings.catch_warnings():
        # What training libraries warn of is theirs.
        warnings.simplefilter("ignore")
        flavor.save_model(
            model,
            str(model_dir / ARTIFACTS_DIR),
            signature=infer_signature(features, model.predict(features)),
            input_example=features.head(3),
            pip_requirements=[],
            **options,
        )
    finish(model_dir)
    return model


def save_workbench(model_dir: Path) -> None:
    signature = ModelSignature(
        inputs=Schema([ColSpec("double", "x")]),
        params=ParamSchema(
            [
                ParamSpec("mode", "string", "scale"),
                ParamSpec("factor", "double", 2.0),
                ParamSpec("sleep", "double", 0.0),
            ]
        ),
    )
    save_script(model_dir, "workbench", signature=signature, input_example=pd.DataFrame({"x": [1.0, 2.0]}))


def save_script(model_dir: Path, script: str, **options: Any) -> None:
    """Save a model that is a script: its code travels with it, so the server needs nothing of these tests."""
    mlflow.pyfunc.save_model(
        str(model_dir / ARTIFACTS_DIR), python_model=str(SCRIPTS / f"{script}.py"), pip_requirements=[], **options
    )
    finish(model_dir)
