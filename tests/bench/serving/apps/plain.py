"""FastAPI servers as people write them for one model, by two ways. BENCH_MODEL is the folder of the MLflow model.

`/tutorial` is what tutorials show: a pydantic body, a DataFrame, `pyfunc.predict`, in a thread of the pool. `/tuned` is
what is left when a good engineer has measured it: orjson, an array, the model of the flavor itself, no thread.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import orjson
import pandas as pd
from fastapi import FastAPI, HTTPException, Request, Response
from mlflow.models import Model
from pydantic import BaseModel

# A model that was fitted with column names warns of each array, although the columns are checked here.
warnings.filterwarnings("ignore", message="X does not have valid feature names")

FOLDER = Path(os.environ["BENCH_MODEL"])
MODEL = mlflow.pyfunc.load_model(str(FOLDER))
FLAVORS = Model.load(str(FOLDER)).flavors
COLUMNS: list[str] = MODEL.metadata.get_input_schema().input_names()


class Table(BaseModel):
    """The rows, and the names of their columns."""

    columns: list[str]
    data: list[list[float | str]]


class Question(BaseModel):
    """A request."""

    dataframe_split: Table


def native() -> Callable[[list[list[Any]]], Any]:
    """Return the shortest way from rows to predictions that gives the same answers."""
    if "sklearn" not in FLAVORS and "xgboost" not in FLAVORS:
        return lambda rows: MODEL.predict(pd.DataFrame(rows, columns=COLUMNS))
    predict = MODEL.get_raw_model().predict
    if COLUMNS == ["text"]:
        return lambda rows: predict(pd.DataFrame(rows, columns=COLUMNS))
    return lambda rows: predict(np.array(rows, dtype=np.float64))


NATIVE = native()
app = FastAPI()


@app.post("/tutorial")
def tutorial(question: Question) -> dict[str, Any]:
    table = question.dataframe_split
    return {"predictions": np.asarray(MODEL.predict(pd.DataFrame(table.data, columns=table.columns))).tolist()}


@app.post("/tuned")
async def tuned(request: Request) -> Response:
    table = orjson.loads(await request.body())["dataframe_split"]
    if table["columns"] != COLUMNS:
        raise HTTPException(422, f"columns must be {COLUMNS}")
    found = np.asarray(NATIVE(table["data"]))
    # orjson takes arrays of numbers as they are, and no others.
    answer = {"predictions": found if found.dtype.kind in "biuf" else found.tolist()}
    return Response(orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")
