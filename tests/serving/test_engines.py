"""Which engine serves which model, and that a compiled model answers as the original does or is not used."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from modelvane_serving.engines.compiler import find_disagreement
from modelvane_serving.engines.limits import LARGEST_SINGLE, Limits
from modelvane_serving.engines.probes import probe_rows
from modelvane_serving.errors import ApiError
from modelvane_serving.formats.tables import Table, plan_table
from modelvane_serving.manifest import ARTIFACTS_DIR
from modelvane_serving.signature import read_signature

from tests.serving import train
from tests.serving.conftest import Fleet
from tests.serving.differential import corpus
from tests.serving.processes import Server, Start, environment


def random_iris(rows: int) -> pd.DataFrame:
    features, _ = train.iris()
    random = np.random.default_rng(7)
    values = features.to_numpy()[random.integers(len(features), size=rows)] + random.normal(size=(rows, 4))
    return pd.DataFrame(values, columns=features.columns)


def split(table: pd.DataFrame) -> dict[str, Any]:
    return {"columns": list(table.columns), "data": table.to_numpy().tolist()}


@pytest.mark.parametrize("name", ["iris", "tensor", "xgboost"])
def test_models_of_numbers_are_compiled(fleet: Fleet, name: str) -> None:
    info = fleet.servers[name].wait_ready().get("/model-info").json()
    assert (info["engine"], info["engine_reason"]) == ("compiled", None)
    assert info["engine_details"]["checked_rows"] > 1000


@pytest.mark.parametrize("tensor", [False, True])
def test_onnx_models_are_run_as_they_are(start: Start, tmp_path: Path, tensor: bool) -> None:
    corpus.save_onnx(tmp_path / "onnx", tensor=tensor)
    info = start(tmp_path / "onnx").wait_ready().get("/model-info").json()
    assert (info["engine"], info["engine_reason"]) == ("compiled", None)
    assert info["engine_details"] == {"form": "as it was logged"}


def test_an_onnx_model_whose_outputs_make_no_table_is_left_to_mlflow(start: Start, tmp_path: Path) -> None:
    """Three probabilities a row: MLflow refuses them beside one label a row, and says so."""
    corpus.save_onnx(tmp_path / "onnx", outputs=2)
    server = start(tmp_path / "onnx").wait_ready()
    info = server.get("/model-info").json()
    assert (info["engine"], info["engine_reason"]) == ("pyfunc", "a table of zeros is not answered: ValueError")
    assert server.post("/invocations", {"dataframe_split": split(random_iris(2))}).status_code == 500


def test_any_other_model_is_called_through_pyfunc_and_says_why(workbench: Server) -> None:
    info = workbench.get("/model-info").json()
    assert info["engine"] == "pyfunc"
    assert "called through pyfunc" in info["engine_reason"]
    assert workbench.metric(r'modelvane_model_info\{.*engine="pyfunc".*\}') == 1


def test_compiled_labels_are_the_models_own(fleet: Fleet, iris_server: Server) -> None:
    table = random_iris(1000)
    assert iris_server.predict(dataframe_split=split(table)) == fleet.iris.predict(table).tolist()


def test_compiled_probabilities_are_the_models_own(fleet: Fleet, tensor_server: Server) -> None:
    table = random_iris(500).to_numpy()
    np.testing.assert_allclose(
        tensor_server.predict(inputs=table.tolist()), fleet.tensor.predict_proba(table), rtol=1e-9, atol=1e-12
    )


def test_the_engine_can_be_chosen_and_all_of_them_agree(fleet: Fleet, start: Start) -> None:
    table = random_iris(64)
    expected = fleet.iris.predict(table).tolist()
    servers = {engine: start(fleet.root / "iris", MODELVANE_ENGINE=engine) for engine in ("Native", "Pyfunc")}
    for engine, server in servers.items():
        server.wait_ready()
        assert server.get("/model-info").json()["engine"] == engine.lower()
        assert server.predict(dataframe_split=split(table)) == expected


def test_an_unknown_engine_is_an_unusable_setting(fleet: Fleet, start: Start) -> None:
    failure = start(fleet.root / "iris", MODELVANE_ENGINE="Fast").failure()
    assert failure["reason"] == "InvalidSettings"
    assert "MODELVANE_ENGINE must be Auto or Native or Pyfunc, got 'Fast'" in failure["message"]


def test_what_was_compiled_is_not_compiled_again(fleet: Fleet, start: Start, tmp_path: Path) -> None:
    first = start(fleet.root / "iris", MODELVANE_COMPILED_DIR=str(tmp_path / "compiled")).wait_ready()
    assert '"message": "model compiled"' in first.log
    second = start(fleet.root / "iris", MODELVANE_COMPILED_DIR=str(tmp_path / "compiled")).wait_ready()
    assert '"message": "model compiled"' not in second.log
    assert second.get("/model-info").json()["engine"] == "compiled"


def test_compiling_is_given_up_after_its_time(fleet: Fleet, start: Start, tmp_path: Path) -> None:
    settings = {"MODELVANE_COMPILED_DIR": str(tmp_path / "compiled"), "MODELVANE_COMPILE_SECONDS": "0.01"}
    server = start(fleet.root / "iris", **settings).wait_ready()
    info = server.get("/model-info").json()
    assert info["engine"] == "native"
    assert info["engine_reason"] == "not compiled: compiling it took longer than 0.01 s"
    assert server.predict(dataframe_split=split(random_iris(2)))


def test_an_attempt_that_took_the_container_with_it_is_not_made_again(
    fleet: Fleet, start: Start, tmp_path: Path
) -> None:
    compiled = tmp_path / "compiled"
    start(fleet.root / "iris", MODELVANE_COMPILED_DIR=str(compiled)).wait_ready()
    (outcome,) = compiled.glob("*/outcome.json")
    # As it is while the compiler runs.
    outcome.write_text(json.dumps({"reason": "an earlier attempt to compile it did not end", "seconds": 0}))
    server = start(fleet.root / "iris", MODELVANE_COMPILED_DIR=str(compiled)).wait_ready()
    assert "did not end" in server.get("/model-info").json()["engine_reason"]


def test_a_directory_that_others_can_write_is_not_trusted(fleet: Fleet, start: Start, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    info = start(fleet.root / "iris", MODELVANE_COMPILED_DIR=str(shared)).wait_ready().get("/model-info").json()
    assert "can be written by others" in info["engine_reason"]


@pytest.mark.parametrize("save", [train.save_forest, train.save_forest_regressor, train.save_lightgbm])
def test_trees_are_compiled_exactly_or_not_at_all(save: Callable[[Path], Any], tmp_path: Path, start: Start) -> None:
    """Rows at the thresholds of the trees, where single precision takes the other branch."""
    model = save(tmp_path / "trees")
    server = start(tmp_path / "trees").wait_ready()
    info = server.get("/model-info").json()
    assert info["engine"] in {"compiled", "native"}
    table = random_iris(1000)
    np.testing.assert_allclose(server.predict(dataframe_split=split(table)), model.predict(table), rtol=1e-5)


def test_a_forest_of_labels_is_compiled(tmp_path: Path, start: Start) -> None:
    train.save_forest(tmp_path / "forest")
    info = start(tmp_path / "forest").wait_ready().get("/model-info").json()
    assert (info["engine"], info["engine_reason"]) == ("compiled", None)


def test_the_compiler_says_why_it_cannot(fleet: Fleet, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "modelvane_serving.engines.compiler"]
    artifacts = fleet.root / "workbench" / ARTIFACTS_DIR
    subprocess.run([*command, str(artifacts), str(tmp_path)], env=environment(tmp_path, {}), check=True, timeout=120)
    outcome = json.loads((tmp_path / "outcome.json").read_text())
    assert "called through pyfunc" in outcome["reason"]
    assert not (tmp_path / "model.onnx").exists()


@pytest.mark.parametrize(
    ("expected", "got", "said"),
    [
        ([1, 2], [1, 2], None),
        ([1, 2], [1, 3], "1 of 2 values differ"),
        ([0.5, 1.0], [0.500001, 1.0], None),
        ([0.5, 1.0], [0.5001, 1.0], "1 of 2 values differ"),
        ([0.5, np.nan], [0.5, np.nan], None),
        ([0.5], [1], "answers of type int64 for float64"),
        (["a", "b"], ["a", "b"], None),
        (["a", "b"], ["b", "b"], "1 of 2 values differ"),
        ([[0.5, 0.5]], [0.5], "answers of shape (1,) for (1, 2)"),
    ],
)
def test_answers_are_compared(expected: Any, got: Any, said: str | None) -> None:
    assert find_disagreement(np.array(expected), np.array(got)) == said


def test_probes_are_the_same_each_time_and_such_as_a_request_can_have() -> None:
    kinds = {"x": "double", "n": "integer", "t": "boolean", "f": "float"}
    plan = plan_table(read_signature({"inputs": [{"name": name, "type": kind} for name, kind in kinds.items()]}))
    assert plan is not None
    rows = probe_rows(plan, None, {0: np.array([0.1, 7.3])})
    assert np.array_equal(rows, probe_rows(plan, None, {0: np.array([0.1, 7.3])}))
    assert len(rows) > 1000
    assert np.isfinite(rows).all()
    table = plan.table_of_matrix(rows.copy())
    assert table is not None
    assert {0.1, 7.3, np.nextafter(7.3, 8), np.nextafter(7.3, 7)} <= set(rows[:, 0].tolist())


@pytest.mark.parametrize(
    ("limits", "value", "code"),
    [
        (Limits(missing=False), np.nan, "MissingValue"),
        (Limits(missing=True, largest=LARGEST_SINGLE), 1e39, "OutOfRange"),
        (Limits(missing=True, largest=LARGEST_SINGLE), -np.inf, "OutOfRange"),
    ],
)
def test_a_value_that_the_model_would_refuse_is_named(limits: Limits, value: float, code: str) -> None:
    plan = plan_table(read_signature({"inputs": [{"name": name, "type": "double"} for name in "ab"]}))
    assert plan is not None
    with pytest.raises(ApiError) as refused:
        limits.check(Table(rows=2, matrix=np.array([[1.0, 2.0], [3.0, value]])), plan)
    assert (refused.value.status, refused.value.code, refused.value.field) == (400, code, "b")
    limits.check(Table(rows=1, matrix=np.array([[1.0, 2.0]])), plan)


def test_gaps_are_for_models_that_take_them(iris_server: Server, xgboost_server: Server) -> None:
    row = dict.fromkeys(("sepal_length", "petal_length", "petal_width"), 1.0) | {"sepal_width": 3}
    assert xgboost_server.post("/invocations", {"dataframe_records": [row | {"petal_width": None}]}).status_code == 200
    error = iris_server.post("/invocations", {"dataframe_records": [row | {"petal_width": None}]}).json()["error"]
    assert (error["code"], error["field"], error["got"]) == ("MissingValue", "petal_width", "null")


def test_neither_mlflow_nor_pandas_is_loaded_for_a_compiled_model(fleet: Fleet, start: Start, tmp_path: Path) -> None:
    """What makes a pod small and quick to start."""
    compiled = {"MODELVANE_COMPILED_DIR": str(tmp_path)}
    start(fleet.root / "iris", **compiled).wait_ready()
    server = start(fleet.root / "iris", **compiled).wait_ready()
    assert server.predict(dataframe_split=split(random_iris(3)))
    maps = Path(f"/proc/{server.process.pid}/maps").read_text()
    loaded = {name for name in ("pandas", "sklearn", "scipy", "onnxruntime") if f"/{name}/" in maps}
    assert loaded == {"onnxruntime"}
