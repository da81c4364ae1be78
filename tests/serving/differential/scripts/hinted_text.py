"""A model whose type hint is a list of texts."""

import mlflow.models
from mlflow.pyfunc.model import PythonModel


class HintedText(PythonModel):
    def predict(self, model_input: list[str]) -> list[str]:  # type: ignore[override]
        return [text.upper() for text in model_input]


mlflow.models.set_model(HintedText())
