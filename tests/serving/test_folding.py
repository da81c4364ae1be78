"""Scaled linear models as one product: the same answers, and nothing is folded that would lose digits."""

import importlib
import warnings
from typing import Any

import numpy as np
import pytest
from modelvane_serving.engines.folding import fold_scaling
from modelvane_serving.formats.tables import Array
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import DoubleTensorType

onnxruntime: Any = importlib.import_module("onnxruntime")
ROWS, TARGET = make_classification(600, 6, n_informative=5, n_redundant=0, n_classes=4, random_state=7)


def to_double(model: Any) -> Any:
    options = {"zipmap": False} if isinstance(model.steps[-1][1], LogisticRegression) else None
    return to_onnx(model, initial_types=[("input", DoubleTensorType([None, ROWS.shape[1]]))], options=options)


def answer(graph: Any, rows: Array) -> list[Any]:
    return list(onnxruntime.InferenceSession(graph.SerializeToString()).run(None, {"input": rows}))


@pytest.mark.parametrize(
    "steps",
    [
        (StandardScaler(), LogisticRegression()),
        (StandardScaler(with_mean=False), LogisticRegression()),
        (StandardScaler(), StandardScaler(with_std=False), LogisticRegression()),
        (StandardScaler(), Ridge()),
        (LogisticRegression(),),
    ],
    ids=lambda steps: "+".join(type(step).__name__ for step in steps),
)
def test_what_is_folded_answers_as_before(steps: tuple[Any, ...]) -> None:
    model = make_pipeline(*steps).fit(ROWS, TARGET)
    graph = to_double(model)
    before = len(graph.graph.node)
    rows = np.random.default_rng(3).normal(0, 3, (20_000, ROWS.shape[1]))
    expected = answer(graph, rows)
    assert fold_scaling(graph)
    assert len(graph.graph.node) < before
    assert [node.op_type for node in graph.graph.node].count("Gemm") == 1
    for got, wanted in zip(answer(graph, rows), expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(answer(graph, rows)[0].ravel(), model.predict(rows), rtol=1e-9)


def test_a_column_far_from_zero_keeps_its_subtraction() -> None:
    far = ROWS + np.array([0, 0, 1e9, 0, 0, 0])
    graph = to_double(make_pipeline(StandardScaler(), LogisticRegression()).fit(far, TARGET))
    before = graph.SerializeToString()
    assert not fold_scaling(graph)
    assert graph.SerializeToString() == before
