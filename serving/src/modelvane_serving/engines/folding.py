"""Scaled linear models in ONNX as one product: (x - mean) / scale @ weights + bias is x @ weights' + bias'.

Most linear models come after a StandardScaler, and ONNX Runtime goes through the whole table for each of its steps: for
thousands of rows they take several times what the product itself does.
"""

import importlib
from typing import Any, Final

import numpy as np

from modelvane_serving.formats.tables import Array

# Of the mean to the scale. Beyond, the difference of two large numbers would lose digits that the subtraction keeps.
FARTHEST: Final = 1e6


def fold_scaling(model: Any) -> bool:
    """Fold what comes first into one Gemm, in place. Return whether there was anything to fold."""
    onnx = importlib.import_module("onnx")
    graph = model.graph
    constants = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    chain = _first_steps(graph, constants)
    kinds = [node.op_type for node in chain]
    if len(chain) < 2 or kinds.count("MatMul") != 1:
        return False
    slope: Array = np.ones(1)
    offset: Array = np.zeros(1)
    for node in chain:
        value = constants[node.input[1]].astype(np.float64)
        if node.op_type == "MatMul":
            if np.abs(offset).max() > FARTHEST:
                return False
            width = len(value)
            slope = np.broadcast_to(slope.ravel(), (width,))[:, None] * value
            offset = np.broadcast_to(offset.ravel(), (width,)) @ value
        else:
            slope, offset = _step(node.op_type, value.ravel(), slope, offset)
    if not (np.isfinite(slope).all() and np.isfinite(offset).all()):
        return False
    made = [onnx.numpy_helper.from_array(slope, "folded_weights"), onnx.numpy_helper.from_array(offset, "folded_bias")]
    graph.initializer.extend(made)
    product = onnx.helper.make_node(
        "Gemm", [graph.input[0].name, "folded_weights", "folded_bias"], [chain[-1].output[0]]
    )
    kept = [node for node in graph.node if not any(node is folded for folded in chain)]
    copies = [type(node).FromString(node.SerializeToString()) for node in (product, *kept)]
    del graph.node[:]
    graph.node.extend(copies)
    return True


def _step(kind: str, value: Array, slope: Array, offset: Array) -> tuple[Array, Array]:
    """Compose one step for each column with those before it."""
    if kind in {"Add", "Sub"}:
        return slope, offset + value if kind == "Add" else offset - value
    return (slope * value, offset * value) if kind == "Mul" else (slope / value, offset / value)


def _first_steps(graph: Any, constants: dict[str, Array]) -> list[Any]:
    """List the steps from the input on of which each has a constant, and no other reader of what came before it."""
    chain: list[Any] = []
    name, outputs = graph.input[0].name, {output.name for output in graph.output}
    while name not in outputs:
        readers = [node for node in graph.node if name in node.input]
        if len(readers) != 1 or readers[0].op_type not in {"Sub", "Div", "Mul", "Add", "MatMul"}:
            break
        (node,) = readers
        if node.input[0] != name or node.input[1] not in constants:
            break
        chain.append(node)
        name = node.output[0]
    return chain
