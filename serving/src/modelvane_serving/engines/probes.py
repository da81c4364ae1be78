"""The rows on which a compiled model must agree with the original: the example's, many like them, awkward ones."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from modelvane_serving.formats.tables import Array, TablePlan

LIKE_EXAMPLE: Final = 1000
AT_THRESHOLDS: Final = 1500


def probe_rows(plan: TablePlan, example: Array | None, thresholds: Mapping[int, Array]) -> Array:
    """Generate rows (float64, finite), the same for the same input; more than a thousand."""
    random = np.random.default_rng(20240229)
    width = len(plan.names)
    known = example if example is not None and len(example) else np.zeros((1, width))
    known = np.nan_to_num(known, nan=0.0, posinf=0.0, neginf=0.0)
    center = known.mean(axis=0)
    scale = np.maximum(np.maximum(known.std(axis=0), np.abs(center)), 1.0)
    count = LIKE_EXAMPLE // 4
    near = center + scale * random.normal(size=(2 * count, width))
    far = center + 10 * scale * random.uniform(-1, 1, size=(count, width))
    sparse = near[:count] * (random.uniform(size=(count, width)) < 0.2)
    rows = np.concatenate([known, near, far, sparse, *_rows_at(thresholds, near, random)])
    return _as_typed(rows, plan)


def _rows_at(thresholds: Mapping[int, Array], near: Array, random: np.random.Generator) -> Iterator[Array]:
    """Yield rows in which one value is at a threshold of a tree, or next to it in double or single precision."""
    if not thresholds:
        return
    pairs = [(place, value) for place, values in sorted(thresholds.items()) for value in values.tolist()]
    chosen = random.choice(len(pairs), size=min(len(pairs), AT_THRESHOLDS // 5), replace=False)
    with np.errstate(over="ignore"):
        for index in chosen:
            place, value = pairs[index]
            single = np.float32(value)
            values = [value, np.nextafter(value, np.inf), np.nextafter(value, -np.inf), float(single)]
            values.append(float(np.nextafter(single, np.float32(np.inf))))
            block = near[random.integers(len(near), size=len(values))].copy()
            block[:, place] = values
            yield block[np.isfinite(block).all(axis=1)]


def _as_typed(rows: Array, plan: TablePlan) -> Array:
    """Make the values such as a request can have them."""
    limits = np.minimum(plan.limits, 2.0**31 - 1)
    rows[:, plan.whole] = np.clip(np.rint(rows[:, plan.whole]), -limits, limits)
    rows[:, plan.boolean] = (rows[:, plan.boolean] > 0).astype(np.float64)
    rows[:, plan.single] = rows[:, plan.single].astype(np.float32)
    return rows


def tree_thresholds(model: Any, width: int) -> dict[int, Array]:
    """Read the thresholds of trees that look at the input itself, by column. `model` is an ONNX ModelProto."""
    inputs = {item.name for item in model.graph.input}
    for node in model.graph.node:
        if node.op_type == "Cast" and node.input[0] in inputs:
            inputs.add(node.output[0])
    found: dict[int, set[float]] = {}
    for node in model.graph.node:
        if node.op_type.startswith("TreeEnsemble") and node.input[0] in inputs:
            attributes = {attribute.name: attribute for attribute in node.attribute}
            columns = attributes["nodes_featureids"].ints
            modes = attributes["nodes_modes"].strings
            for column, mode, value in zip(columns, modes, _values(attributes), strict=True):
                if mode != b"LEAF" and column < width:
                    found.setdefault(column, set()).add(float(value))
    return {column: np.array(sorted(values)) for column, values in found.items()}


def _values(attributes: Mapping[str, Any]) -> Array:
    tensor = attributes.get("nodes_values_as_tensor")
    if tensor is None:
        return np.array(attributes["nodes_values"].floats)
    return np.frombuffer(tensor.t.raw_data, dtype=np.float64) if tensor.t.raw_data else np.array(tensor.t.double_data)
