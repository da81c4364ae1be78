"""The types of a model's signature as JSON Schema: what a caller may send in each format, and what comes back.

Pure, and without MLflow. A schema says what is sure to be taken: what is converted besides (a number as text, say)
is not promised.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from modelvane_serving.signature import Field, Type, read_properties

Json = dict[str, Any]

FLOAT32_MAX: Final = 3.4028234663852886e38
_SCALARS: Final[Mapping[str, Json]] = {
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
    "long": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    "float": {"type": "number", "minimum": -FLOAT32_MAX, "maximum": FLOAT32_MAX},
    "double": {"type": "number"},
    "string": {"type": "string"},
    "binary": {"type": "string", "contentEncoding": "base64"},
    "datetime": {"type": "string", "format": "date-time"},
}
_NAME: Final[Json] = {"type": ["string", "integer"]}
_INTEGER_BITS: Final = {"int8": 8, "int16": 16, "int32": 32, "int64": 64}


def type_schema(type_: Type) -> Json:
    """Write one value of a type, as a caller sends it."""
    kind = type_["type"]
    if kind == "tensor":
        return tensor_schema(type_["tensor-spec"]["dtype"], type_["tensor-spec"]["shape"])
    if kind == "array":
        return {"type": "array", "items": type_schema(type_["items"])}
    if kind == "map":
        return {"type": "object", "additionalProperties": type_schema(type_["values"])}
    if kind == "object":
        return object_schema(read_properties(type_))
    return dict(_SCALARS.get(kind, {}))


def object_schema(fields: Sequence[Field]) -> Json:
    """Write an object with a property a field; what else it has is ignored."""
    schema: Json = {"type": "object", "properties": {field.name: _value(field) for field in fields}}
    required = [field.name for field in fields if field.required]
    return schema | ({"required": required} if required else {})


def tensor_schema(dtype: str, shape: Sequence[int], *, output: bool = False) -> Json:
    """Write a tensor as nested arrays; a size of -1 is any."""
    schema = _element(dtype, output=output)
    for size in reversed(shape):
        fixed: Json = {} if size < 0 else {"minItems": size, "maxItems": size}
        schema = {"type": "array", "items": schema, **fixed}
    return schema


def format_schemas(inputs: tuple[Field, ...] | None) -> dict[str, Json]:
    """Write what may stand below the name of each JSON format of /invocations."""
    if inputs is None:
        rows: Json = {"type": "array", "items": {"type": "array"}}
        records: Json = {"type": "array", "items": {"type": "object"}}
        return {"dataframe_split": _split(rows, None), "dataframe_records": records, "instances": {}, "inputs": {}}
    named = [field for field in inputs if field.name is not None]
    if len(named) == len(inputs):
        return _named(named)
    if len(inputs) == 1 and inputs[0].type["type"] == "tensor":
        tensor = {**type_schema(inputs[0].type), "minItems": 1}
        return {"instances": tensor, "inputs": tensor}
    cells = [type_schema(field.type) for field in inputs]
    row = {"type": "array", "prefixItems": cells, "minItems": len(cells), "maxItems": len(cells)}
    rows = {"type": "array", "items": row, "minItems": 1}
    # The names do not matter where the signature has none.
    return {"dataframe_split": _split(rows, None), "instances": rows, "inputs": rows}


def output_schema(outputs: tuple[Field, ...] | None) -> Json:
    """Write what `predictions` holds. Only tensors are certain: MLflow does not hold models to the rest."""
    if outputs is None or any(field.type["type"] != "tensor" for field in outputs):
        return {}
    if len(outputs) == 1 and outputs[0].name is None:
        spec = outputs[0].type["tensor-spec"]
        return tensor_schema(spec["dtype"], spec["shape"], output=True)
    return {}


def _named(fields: Sequence[Field]) -> dict[str, Json]:
    if any(field.type["type"] == "tensor" for field in fields):
        instance = [Field(name=f.name, type=_without_batch(f.type), required=f.required) for f in fields]
        return {
            "inputs": object_schema(fields),
            "instances": {"type": "array", "items": object_schema(instance), "minItems": 1},
        }
    records = {"type": "array", "items": object_schema(fields), "minItems": 1}
    names = [field.name for field in fields]
    cells = [_value(field) for field in fields]
    row = {"type": "array", "prefixItems": cells, "minItems": len(cells), "maxItems": len(cells)}
    table = {"dataframe_split": _split({"type": "array", "items": row, "minItems": 1}, names)}
    scalars = all(field.type["type"] not in {"array", "object", "map"} for field in fields)
    by_column: Json = {
        "type": "object",
        "description": "one array a column, all of the same length",
        "properties": {
            field.name: {"type": "array", "items": _value(field), "minItems": 1, "maxItems": 1} for field in fields
        },
        "required": [field.name for field in fields if field.required],
    }
    by_name: Json = {"instances": records, "inputs": by_column} if scalars else {"inputs": object_schema(fields)}
    return {**table, "dataframe_records": records, **by_name}


def _split(rows: Json, names: Sequence[str | None] | None) -> Json:
    columns: Json = {"const": list(names)} if names is not None else {"type": "array", "items": _NAME}
    return {
        "type": "object",
        "properties": {"columns": columns, "data": rows},
        "required": ["data"] if names is None else ["columns", "data"],
        "additionalProperties": False,
    }


def _value(field: Field) -> Json:
    schema = type_schema(field.type)
    return schema if field.required or not schema else {"anyOf": [schema, {"type": "null"}]}


def _without_batch(type_: Type) -> Type:
    """Drop a tensor's first axis: one instance is one of it."""
    spec = type_["tensor-spec"]
    return {**type_, "tensor-spec": {**spec, "shape": spec["shape"][1:]}}


def _element(dtype: str, *, output: bool) -> Json:
    if dtype in _INTEGER_BITS:
        half = 2 ** (_INTEGER_BITS[dtype] - 1)
        return {"type": "integer", "minimum": -half, "maximum": half - 1}
    if dtype.startswith("uint"):
        return {"type": "integer", "minimum": 0, "maximum": 2 ** int(dtype.removeprefix("uint")) - 1}
    if dtype.startswith("float"):
        # NaN and infinity are written as null.
        if output:
            return {"type": ["number", "null"]}
        return dict(_SCALARS["float" if dtype in {"float16", "float32"} else "double"])
    if dtype == "bool":
        return {"type": "boolean"}
    return {"type": "string"} if dtype == "str" or dtype.startswith("<U") else {}
