"""The Open Inference Protocol v2, in JSON and with its binary tensors: a request to arrays, predictions to an answer.

The binary extension (docs: "Binary Tensor Data Extension" of KServe and Triton) puts the values behind the JSON, whose
length is in the header `Inference-Header-Content-Length`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from modelvane_serving.errors import invalid_request, wrong_type
from modelvane_serving.formats.bodies import json_type, parse_json_object
from modelvane_serving.formats.encoding import to_json
from modelvane_serving.formats.tables import NUMPY_TYPES, Array, Table, TablePlan
from modelvane_serving.formats.tensors import (
    NAME_OF,
    BinaryData,
    Tensor,
    parse_tensor,
    predictions_to_tensors,
    tensor_to_binary,
    tensor_to_json,
)
from modelvane_serving.messages import Response
from modelvane_serving.signature import Field

HEADER_LENGTH: Final = b"inference-header-content-length"
# Parameters by which the protocol's extensions describe the request itself; none is the model's.
PROTOCOL_PARAMETERS: Final = frozenset({"binary_data_output", "content_type", "headers"})


@dataclass(frozen=True, kw_only=True)
class WantedOutput:
    """An output that is asked for by name."""

    name: str
    binary: bool


@dataclass(frozen=True, kw_only=True)
class InferRequest:
    """A parsed request: the inputs, and what the answer must repeat or leave out."""

    tensors: list[Tensor]
    parameters: dict[str, Any] | None
    id: str | None
    outputs: list[WantedOutput] | None
    binary: bool


def decode_infer(body: bytes, header_length: str | None) -> InferRequest:
    """Parse one infer request."""
    head, binary = _split(body, header_length)
    request = parse_json_object(head)
    inputs = request.get("inputs")
    if not isinstance(inputs, list):
        raise wrong_type("inputs", "array", json_type(inputs))
    if not inputs:
        raise invalid_request("the request has no inputs", field="inputs")
    tensors = [parse_tensor(item, f"inputs[{number}]", binary) for number, item in enumerate(inputs)]
    if binary is not None:
        binary.check_end()
    names = [tensor.name for tensor in tensors]
    if len(set(names)) != len(names):
        raise invalid_request("two inputs have the same name", field="inputs", got=names)
    identifier = request.get("id")
    if identifier is not None and not isinstance(identifier, str):
        raise wrong_type("id", "string", json_type(identifier))
    parameters = _parse_parameters(request.get("parameters"), "parameters")
    in_binary = parameters.get("binary_data_output") is True
    return InferRequest(
        tensors=tensors,
        parameters={key: item for key, item in parameters.items() if key not in PROTOCOL_PARAMETERS} or None,
        id=identifier,
        outputs=_parse_outputs(request.get("outputs"), in_binary),
        binary=in_binary,
    )


def encode_infer(predictions: Any, request: InferRequest, model: tuple[str, str], output_names: list[str]) -> Response:
    """Write the answer, with the outputs that were asked for, in that order."""
    tensors = {tensor.name: tensor for tensor in predictions_to_tensors(predictions, output_names)}
    wanted = request.outputs
    if wanted is None:
        wanted = [WantedOutput(name=name, binary=request.binary) for name in tensors]
    answer: dict[str, Any] = {"model_name": model[0], "model_version": model[1]}
    if request.id is not None:
        answer["id"] = request.id
    chunks: list[bytes] = []
    outputs: list[dict[str, Any]] = []
    for number, output in enumerate(wanted):
        tensor = tensors.get(output.name)
        if tensor is None:
            message = f"the model has no output {output.name!r}"
            raise invalid_request(message, field=f"outputs[{number}].name", expected=list(tensors), got=output.name)
        if output.binary:
            description, data = tensor_to_binary(tensor)
            chunks.append(data)
        else:
            description = tensor_to_json(tensor)
        outputs.append(description)
    answer["outputs"] = outputs
    head = to_json(answer)
    if not chunks:
        return Response(body=head)
    headers = ((HEADER_LENGTH, b"%d" % len(head)),)
    return Response(body=b"".join((head, *chunks)), content_type=b"application/octet-stream", headers=headers)


def table_of_tensors(tensors: list[Tensor], plan: TablePlan) -> Table | None:
    """Put tensors together as a clean table: one for each column, or one with a column of it each.

    None is "not for me": then the complete decoder says what is wrong, or takes it.
    """
    first = tensors[0].array
    if len(tensors) == 1 and first.ndim == 2 and tensors[0].name not in plan.names:
        if plan.tensor is not None and not np.can_cast(first.dtype, plan.tensor, "same_kind"):
            return None
        return plan.table_of_matrix(_as_float(first, copy=True)) if plan.is_numeric and len(first) else None
    known = {tensor.name: tensor.array for tensor in tensors}
    if plan.tensor is not None or not known.keys() >= set(plan.names):
        return None
    columns = [known[name] for name in plan.names]
    shape = first.shape
    if shape not in {(len(first),), (len(first), 1)} or any(column.shape != shape for column in columns):
        return None
    if not len(first):
        return None
    if plan.is_numeric:
        numbers = [_as_float(column.ravel(), copy=False) for column in columns]
        if any(column is None for column in numbers):
            return None
        return plan.table_of_matrix(np.column_stack([column for column in numbers if column is not None]))
    typed = [
        column.ravel() if column.dtype == NUMPY_TYPES[kind] else None
        for column, kind in zip(columns, plan.types, strict=True)
    ]
    if any(column is None for column in typed):
        return None
    return Table(rows=len(first), columns=tuple(column for column in typed if column is not None))


def describe_fields(fields: tuple[Field, ...] | None, prefix: str) -> list[dict[str, Any]]:
    """Describe the inputs or outputs of a signature as the protocol's tensor metadata."""
    return [
        {
            "name": field.name or f"{prefix}-{number}",
            "datatype": _datatype(field.type),
            "shape": list(field.type["tensor-spec"]["shape"]) if field.type["type"] == "tensor" else [-1],
        }
        for number, field in enumerate(fields or ())
    ]


def _split(body: bytes, header_length: str | None) -> tuple[bytes, BinaryData | None]:
    if header_length is None:
        return body, None
    if not header_length.isdigit() or int(header_length) > len(body):
        message = "the length of the JSON part is not a number of bytes within the body"
        raise invalid_request(
            message, field="Inference-Header-Content-Length", expected=f"0 to {len(body)}", got=header_length[:32]
        )
    length = int(header_length)
    return body[:length], BinaryData(memoryview(body)[length:])


def _as_float(array: Array, *, copy: bool) -> Array | None:
    """Return float64 where that holds every value. Without a copy it may be the body itself, read-only."""
    if array.dtype.kind in "iu" and array.dtype.itemsize == 8 and array.size and np.abs(array).max() > 2**53:
        return None
    return array.astype(np.float64, copy=copy) if array.dtype.kind in "fiub" else None


def _parse_parameters(value: Any, where: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise wrong_type(where, "object", json_type(value))
    return value


def _parse_outputs(value: Any, in_binary: bool) -> list[WantedOutput] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise wrong_type("outputs", "array", json_type(value))
    wanted = []
    for number, item in enumerate(value):
        if not isinstance(item, dict) or not isinstance(item.get("name"), str):
            raise invalid_request("an output needs a name", field=f"outputs[{number}].name", expected="string")
        parameters = _parse_parameters(item.get("parameters"), f"outputs[{number}].parameters")
        binary = parameters.get("binary_data", in_binary)
        if not isinstance(binary, bool):
            raise wrong_type(f"outputs[{number}].parameters.binary_data", "boolean", json_type(binary))
        wanted.append(WantedOutput(name=item["name"], binary=binary))
    return wanted or None


def _datatype(type_: Mapping[str, Any]) -> str:
    if type_["type"] != "tensor":
        dtype = NUMPY_TYPES.get(type_["type"])
    else:
        try:
            dtype = np.dtype(type_["tensor-spec"]["dtype"])
        except TypeError:
            dtype = None
    return NAME_OF.get(dtype, "BYTES") if dtype is not None else "BYTES"
