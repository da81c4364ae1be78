"""A model whose input is said by a type hint, so that MLflow validates it and gives it objects."""

from typing import Any

import mlflow.models
from mlflow.pyfunc.model import PythonModel
from pydantic import BaseModel


class Point(BaseModel):
    x: float
    count: int
    label: str
    note: str | None = None
    tags: list[str] = []


class Hinted(PythonModel):
    def predict(self, model_input: list[Point]) -> list[dict[str, Any]]:  # type: ignore[override]
        return [{"type": type(point).__name__, "sum": point.x + point.count, **dict(point)} for point in model_input]


mlflow.models.set_model(Hinted())
