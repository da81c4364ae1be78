"""The Open Inference Protocol v2 (JSON): a request to what `predict` takes, predictions to an answer, and metadata."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from mlflow.types import Schema
from mlflow.types.schema import TensorSpec

from modelvane_serving.decoding import InputSpec, ModelInput, cast_table, json_type, parse_json_object
from modelvane_serving.encoding import to_json
from modelvane_serving.errors import invalid_request, missing_inputs, wrong_shape, wrong_type
from modelvane_serving.tensors import NAME_OF, Tensor, parse_tensor, predictions_to_tensors, tensor_to_json

DATATYPE_OF_COLUMN = {
    "boolean": "BOOL",
    "integer": "INT32",
    "long": "INT64",
    "float": "FP32",
    "double": "FP64",
}
# Parameters by which the protocol's extensions describe the request itself; none is the model's.
PROTOCOL_PARAMETERS = frozenset({"binary_data_output", "content_type", "headers"})


@dataclass(frozen=True, kw_only=True)
class InferRequest:
    """A parsed request: the model's input, and what the answer must repeat or leave out."""

    input: ModelInput
    id: str | None
    outputs: list[str] | None


def decode_infer(body: bytes, spec: InputSpec) -> InferRequest:
    """Parse one infer request."""
    request = parse_json_object(body)
    inputs = request.get("inputs")
    if not isinstance(inputs, list):
        raise wrong_type("inputs", "array", json_type(inputs))
    if not inputs:
        raise invalid_request("the request has no inputs", field="inputs")
    tensors = [parse_tensor(item, f"inputs[{number}]") for number, item in enumerate(inputs)]
    names = [tensor.name for tensor in tensors]
    if len(set(names)) != len(names):
        raise invalid_request("two inputs have the same name", field="inputs", got=names)
    identifier = request.get("id")
    if identifier is not None and not isinstance(identifier, str):
        raise wrong_type("id", "string", json_type(identifier))
    return InferRequest(
        input=ModelInput(data=_to_model_input(tensors, spec), params=_parse_parameters(request.get("parameters"))),
        id=identifier,
        outputs=_parse_outputs(request.get("outputs")),
    )


def encode_infer(predictions: Any, request: InferRequest, model: tuple[str, str], output_names: list[str]) -> bytes:
    """Write the answer, with the outputs that were asked for, in that order."""
    tensors = {tensor.name: tensor for tensor in predictions_to_tensors(predictions, output_names)}
    wanted = list(tensors) if request.outputs is None else request.outputs
    for number, name in enumerate(wanted):
        if name not in tensors:
            raise invalid_request(
                f"the model has no output {name!r}", field=f"outputs[{number}].name", expected=list(tensors), got=name
            )
    answer: dict[str, Any] = {"model_name": model[0], "model_version": model[1]}
    if request.id is not None:
        answer["id"] = request.id
    answer["outputs"] = [tensor_to_json(tensors[name]) for name in wanted]
    return to_json(answer)


def describe_schema(schema: Schema | None, prefix: str) -> list[dict[str, Any]]:
    """Describe the inputs or outputs of a signature as the protocol's tensor metadata."""
    if schema is None:
        return []
    return [
        {"name": spec.name or f"{prefix}-{number}", "datatype": _datatype(spec), "shape": _shape(spec)}
        for number, spec in enumerate(schema.inputs)
    ]


def _parse_parameters(value: Any) -> dict[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise wrong_type("parameters", "object", json_type(value))
    return {key: item for key, item in value.items() if key not in PROTOCOL_PARAMETERS} or None


def _parse_outputs(value: Any) -> list[str] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise wrong_type("outputs", "array", json_type(value))
    for number, item in enumerate(value):
        if not isinstance(item, dict) or not isinstance(item.get("name"), str):
            raise invalid_request("an output needs a name", field=f"outputs[{number}].name", expected="string")
    return [item["name"] for item in value] or None


def _to_model_input(tensors: list[Tensor], spec: InputSpec) -> Any:
    schema = spec.schema
    if schema is None:
        return tensors[0].array if len(tensors) == 1 else _table(tensors, [])
    if schema.is_tensor_spec():
        return _to_tensor_input(tensors, schema)
    names = schema.input_names() if schema.has_input_names() else []
    table = _table(tensors, names or list(range(len(schema.inputs))))
    return cast_table(table, schema)


def _to_tensor_input(tensors: list[Tensor], schema: Schema) -> Any:
    if not schema.has_input_names():
        if len(tensors) != 1:
            raise invalid_request("the model takes one input", field="inputs", expected=1, got=len(tensors))
        return _cast(tensors[0], schema.inputs[0])
    specs = schema.input_dict()
    missing = [str(name) for name in schema.required_input_names() if name not in {tensor.name for tensor in tensors}]
    if missing:
        raise missing_inputs(missing, [tensor.name for tensor in tensors if tensor.name not in specs])
    return {tensor.name: _cast(tensor, specs[tensor.name]) for tensor in tensors if tensor.name in specs}


def _cast(tensor: Tensor, spec: Any) -> Any:
    """Take a wider or narrower number of the same kind; the signature's own check sees to the rest."""
    array = tensor.array
    if spec.type.kind == "U" and array.dtype == object:
        return array.astype(str)
    return array.astype(spec.type) if np.can_cast(array.dtype, spec.type, "same_kind") else array


def _table(tensors: list[Tensor], columns: list[Any]) -> pd.DataFrame:
    """Make a table of one tensor a column, or of a single two-dimensional tensor whose columns are the signature's."""
    first = tensors[0]
    if len(tensors) == 1 and first.array.ndim == 2 and first.name not in columns:
        width = first.array.shape[1]
        if columns and width != len(columns):
            message = f"input {first.name!r} has {width} columns, the model needs {len(columns)}"
            raise wrong_shape(message, field="inputs[0].shape", expected=[-1, len(columns)], got=[*first.array.shape])
        return pd.DataFrame(first.array, columns=columns or None)
    rows = first.array.shape[0] if first.array.ndim else 0
    for number, tensor in enumerate(tensors):
        shape = list(tensor.array.shape)
        if shape not in ([rows], [rows, 1]):
            message = f"input {tensor.name!r} has shape {shape}, a column needs {[rows]} or {[rows, 1]}"
            raise wrong_shape(message, field=f"inputs[{number}].shape", expected=[rows], got=shape)
    return pd.DataFrame({tensor.name: tensor.array.ravel() for tensor in tensors})


def _datatype(spec: Any) -> str:
    if isinstance(spec, TensorSpec):
        return NAME_OF.get(spec.type, "BYTES")
    return DATATYPE_OF_COLUMN.get(getattr(spec.type, "name", ""), "BYTES")


def _shape(spec: Any) -> list[int]:
    return list(spec.shape) if isinstance(spec, TensorSpec) else [-1]
