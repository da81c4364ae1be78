"""`python -m modelvane_serving.engines.compiler ARTIFACTS DIRECTORY`: a model to ONNX, in a process of its own.

A converter needs the training libraries and much memory, neither of which the server that uses the result should hold.
It writes `model.onnx` and `outcome.json`; what cannot be converted, or answers differently, is an outcome as well.
"""

import importlib
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from modelvane_serving.engines.flavors import NativeModel, NotNativeError, load_native
from modelvane_serving.engines.folding import fold_scaling
from modelvane_serving.engines.frames import frame_maker
from modelvane_serving.engines.limits import Limits, find_limits
from modelvane_serving.engines.outcome import MODEL_FILE, write_outcome
from modelvane_serving.engines.probes import probe_rows, tree_thresholds
from modelvane_serving.engines.session import open_session
from modelvane_serving.failure import one_line
from modelvane_serving.formats.tables import Array, Table, TablePlan, plan_table
from modelvane_serving.input_example import read_example_table
from modelvane_serving.mlmodel import MlModel, read_mlmodel
from modelvane_serving.signature import read_signature

# Of probabilities and other fractions; labels and whole numbers must be equal.
TOLERANCE: Final = 1e-5
FLOAT: Final = 1
DOUBLE: Final = 11


class Candidate:
    """One way to write the model in ONNX, and the type of its input."""

    def __init__(self, name: str, model: Any, dtype: str) -> None:
        self.name = name
        self.model = model
        self.dtype = dtype


def main() -> None:
    """Compile and write down what came of it."""
    artifacts, directory = Path(sys.argv[1]), Path(sys.argv[2])
    warnings.simplefilter("ignore")
    started = time.monotonic()
    try:
        outcome = compile_model(read_mlmodel(artifacts), artifacts, directory)
    except NotNativeError as error:
        outcome = {"reason": str(error)}
    except Exception as error:
        outcome = {"reason": one_line(f"{type(error).__name__}: {error}", 300)}
    outcome["seconds"] = round(time.monotonic() - started, 3)
    write_outcome(directory, outcome)


def compile_model(mlmodel: MlModel, artifacts: Path, directory: Path) -> dict[str, Any]:
    """Try each candidate; the first that agrees with the original everywhere is written."""
    plan = plan_table(read_signature(mlmodel.signature or {}))
    if plan is None or not plan.is_numeric:
        raise NotNativeError("only tables of numbers are compiled")
    native = load_native(mlmodel, artifacts, threads=1)
    if not (native.takes_matrix and native.row_wise):
        raise NotNativeError("the model picks columns by name, or has parts that are not known here")
    make_frame = frame_maker(plan)

    def ask(table: Table) -> Array:
        return np.asarray(native.predict(make_frame(table)))

    example = read_example_table(mlmodel, artifacts, plan)
    limits = find_limits(ask, plan, example)
    known = example.matrix if example is not None else None
    refused: list[str] = []
    for candidate in _candidates(native, len(plan.names)):
        rows = _with_missing(probe_rows(plan, known, tree_thresholds(candidate.model, len(plan.names))), plan, limits)
        expected = ask(Table(rows=len(rows), matrix=rows))
        found = _agree(candidate, rows, expected)
        if isinstance(found, str):
            refused.append(f"{candidate.name}: {found}")
            continue
        (directory / MODEL_FILE).write_bytes(_with_output(candidate.model, found).SerializeToString())
        return {
            "input": candidate.dtype,
            "answer": {"dtype": expected.dtype.str, "shape": [-1, *expected.shape[1:]]},
            "limits": limits.as_dict(),
            "rows": len(rows),
            "form": candidate.name,
        }
    return {"reason": one_line("; ".join(refused) or "there is no converter for it", 600)}


def _candidates(native: NativeModel, width: int) -> Iterator[Candidate]:
    """Yield what the converters make of the model, the form most likely to be exact first."""
    yield from _from_sklearn(native, width) if native.flavor == "sklearn" else _from_boosting(native, width)


def _from_sklearn(native: NativeModel, width: int) -> Iterator[Candidate]:
    skl2onnx = importlib.import_module("skl2onnx")
    types = importlib.import_module("skl2onnx.common.data_types")

    def convert(kind: Any) -> Any:
        # A map for each row is what no client of MLflow gets; and it is slow.
        options = {"zipmap": False} if _is_classifier(native.model) else None
        return skl2onnx.to_onnx(native.model, initial_types=[("input", kind([None, width]))], options=options)

    double = convert(types.DoubleTensorType)
    if any(node.op_type.startswith("TreeEnsemble") for node in double.graph.node):
        # scikit-learn's trees see their input in single precision and compare it with thresholds in double.
        _follow_missing(double, native.model)
        yield Candidate("double with single-precision input to trees", _cast_before_trees(double), "float64")
        double = convert(types.DoubleTensorType)
    elif fold_scaling(double):
        yield Candidate("double with scaling folded in", double, "float64")
        double = convert(types.DoubleTensorType)
    yield Candidate("double", double, "float64")
    yield Candidate("single", convert(types.FloatTensorType), "float32")


def _from_boosting(native: NativeModel, width: int) -> Iterator[Candidate]:
    tools = importlib.import_module("onnxmltools")
    types = importlib.import_module("onnxmltools.convert.common.data_types")
    convert = getattr(tools, f"convert_{native.flavor}")
    if native.flavor == "xgboost":
        # The converter only knows the names that XGBoost makes up itself.
        booster = native.model.get_booster() if hasattr(native.model, "get_booster") else native.model
        booster.feature_names = None
    forms = [("single", types.FloatTensorType, "float32")]
    if native.flavor == "lightgbm":
        forms.insert(0, ("double", types.DoubleTensorType, "float64"))
    for name, kind, dtype in forms:
        options = {"zipmap": False} if native.flavor == "lightgbm" else {}
        try:
            model = convert(native.model, initial_types=[("input", kind([None, width]))], **options)
        except Exception as error:
            # A form that the converter does not know is no reason against the other.
            if name == forms[-1][0]:
                raise NotNativeError(one_line(f"the converter failed: {error}", 300)) from None
            continue
        yield Candidate(name, model, dtype)


def _is_classifier(model: Any) -> bool:
    return bool(importlib.import_module("sklearn.base").is_classifier(model))


def _cast_before_trees(model: Any) -> Any:
    helper = importlib.import_module("onnx").helper
    nodes = []
    for number, node in enumerate(model.graph.node):
        if node.op_type.startswith("TreeEnsemble"):
            single, again = f"single_{number}", f"double_{number}"
            nodes.append(helper.make_node("Cast", [node.input[0]], [single], to=FLOAT))
            nodes.append(helper.make_node("Cast", [single], [again], to=DOUBLE))
            node.input[0] = again
        nodes.append(node)
    copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)
    return model


def _follow_missing(model: Any, original: Any) -> None:
    """Send missing values the way that scikit-learn does, which the converter leaves out."""
    helper = importlib.import_module("onnx").helper
    last = original.steps[-1][1] if hasattr(original, "steps") else original
    trees = [tree.tree_ for tree in np.ravel(getattr(last, "estimators_", [last])) if hasattr(tree, "tree_")]
    for node in model.graph.node:
        if not node.op_type.startswith("TreeEnsemble"):
            continue
        attributes = {attribute.name: attribute for attribute in node.attribute}
        places = list(zip(attributes["nodes_treeids"].ints, attributes["nodes_nodeids"].ints, strict=True))
        if len({tree for tree, _ in places}) != len(trees):
            return
        ways = [int(trees[tree].missing_go_to_left[place]) for tree, place in places]
        if "nodes_missing_value_tracks_true" in attributes:
            node.attribute.remove(attributes["nodes_missing_value_tracks_true"])
        node.attribute.append(helper.make_attribute("nodes_missing_value_tracks_true", ways))


def _with_missing(rows: Array, plan: TablePlan, limits: Limits) -> Array:
    """Add rows with gaps where the model takes them."""
    if not limits.missing:
        return rows
    gaps = rows[:200].copy()
    gaps[np.random.default_rng(1).uniform(size=gaps.shape) < 0.3] = np.nan
    # Only numbers with a fraction can be missing in a request.
    gaps[:, plan.whole], gaps[:, plan.boolean] = rows[:200][:, plan.whole], rows[:200][:, plan.boolean]
    return np.concatenate([rows, gaps])


def _agree(candidate: Candidate, rows: Array, expected: Array) -> int | str:
    """Return the number of the output that has the expected answers, or what is wrong."""
    try:
        session = open_session(candidate.model.SerializeToString(), threads=1)
        outputs = session.run(None, {session.get_inputs()[0].name: rows.astype(candidate.dtype)})
        one = session.run(None, {session.get_inputs()[0].name: rows[:1].astype(candidate.dtype)})
    except Exception as error:
        return one_line(f"ONNX Runtime refused it: {error}", 200)
    reasons = []
    for number, output in enumerate(outputs):
        difference = "it gives no array" if not isinstance(output, np.ndarray) else find_disagreement(expected, output)
        if difference is None and find_disagreement(expected[:1], one[number]) is None:
            return number
        reasons.append(difference or "one row alone is answered differently")
    return reasons[0] if len(set(reasons)) == 1 else "; ".join(reasons)


def find_disagreement(expected: Array, got: Array) -> str | None:
    """Say how answers differ: texts and whole numbers must be equal, fractions close."""
    if expected.size != got.size or len(expected) != len(got):
        return f"answers of shape {got.shape} for {expected.shape}"
    got = got.reshape(expected.shape)
    if expected.dtype.kind == "f":
        if got.dtype.kind != "f":
            return f"answers of type {got.dtype} for {expected.dtype}"
        close = np.isclose(got, expected, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
    elif expected.dtype.kind in "OUS":
        close = got.astype(str) == expected.astype(str)
    elif got.dtype.kind in "iub":
        close = got == expected
    else:
        return f"answers of type {got.dtype} for {expected.dtype}"
    wrong = int(close.size - np.count_nonzero(close))
    return f"{wrong} of {close.size} values differ" if wrong else None


def _with_output(model: Any, number: int) -> Any:
    """Return the part of a model that one output needs: ONNX Runtime would compute the others for nobody."""
    extractor = importlib.import_module("onnx.utils").Extractor(model)
    return extractor.extract_model([node.name for node in model.graph.input], [model.graph.output[number].name])


if __name__ == "__main__":
    main()
