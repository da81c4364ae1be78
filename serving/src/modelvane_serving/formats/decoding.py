"""The complete decoder: any body of `POST /invocations` to what a model's `predict` takes.

The formats and the casts are MLflow's own; what is added is that a refusal names the field, that no refusal is a server
error, and that no number is changed silently.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.types import DataType, Schema
from mlflow.utils.proto_json_utils import (
    cast_df_types_according_to_schema,
    dataframe_from_parsed_json,
    parse_tf_serving_input,
)

from modelvane_serving.errors import ApiError, from_mlflow, invalid_request, wrong_shape, wrong_type
from modelvane_serving.formats.bodies import CSV, json_type, media_type, parse_json_object
from modelvane_serving.formats.whole_numbers import check_body, check_frame

FORMATS: Final = ("dataframe_split", "dataframe_records", "instances", "inputs")
# Bodies of MLflow's chat, completion and embedding models come without an envelope, and so do their answers.
LLM_KEYS: Final = ("messages", "prompt", "input")


@dataclass(frozen=True, kw_only=True)
class ModelInput:
    """What `predict` is called with; `enveloped` says whether the answer is wrapped in `predictions`."""

    data: Any
    params: dict[str, Any] | None = None
    enveloped: bool = True

    @property
    def is_empty(self) -> bool:
        """Whether there is no row in it, which few models can answer."""
        return isinstance(self.data, pd.DataFrame | np.ndarray | list | dict) and len(self.data) == 0


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """What the model's signature says about its input."""

    schema: Schema | None
    param_names: frozenset[str] = frozenset()
    # A PythonModel with type hints validates its input itself and takes the plain JSON value.
    from_type_hint: bool = False

    def __str__(self) -> str:
        return str(self.schema) if self.schema is not None else "anything"


def decode_invocation(body: bytes, content_type: str | None, spec: InputSpec) -> ModelInput:
    """Decode one request."""
    if media_type(content_type) == CSV:
        return ModelInput(data=_decode_csv(body, spec.schema))
    return _decode_object(parse_json_object(body, exact=True), spec)


def cast_table(table: pd.DataFrame, schema: Schema | None) -> pd.DataFrame:
    """Cast the columns as MLflow's server does (times parsed, base64 decoded, numbers to the column's type)."""
    if schema is None:
        return table
    check_frame(table, schema)
    try:
        return cast_df_types_according_to_schema(table, schema)  # type: ignore[no-untyped-call]
    except MlflowException as error:
        raise name_type(from_mlflow(error.message, str(schema)), schema) from None


def name_type(error: ApiError, schema: Schema | None) -> ApiError:
    """Say the type as the signature says it (`double`), not as numpy does, for a field that the signature names."""
    if error.code == "WrongType" and error.field and schema is not None and schema.has_input_names():
        spec = schema.input_dict().get(error.field)
        if spec is not None:
            expected = spec.type.name if isinstance(spec.type, DataType) else str(spec.type)
            return wrong_type(error.field, expected, error.got)
    return error


def _decode_object(body: dict[str, Any], spec: InputSpec) -> ModelInput:
    present = [name for name in FORMATS if name in body]
    if not present and any(key in body for key in LLM_KEYS):
        given = {key: value for key, value in body.items() if key in spec.param_names}
        data = {key: value for key, value in body.items() if key not in spec.param_names}
        return ModelInput(data=data, params=given, enveloped=False)
    if len(present) != 1:
        raise invalid_request("the body must have exactly one of " + ", ".join(FORMATS), expected=FORMATS, got=present)
    params = body.get("params")
    if params is not None and not isinstance(params, dict):
        raise wrong_type("params", "object", json_type(params))
    name = present[0]
    if spec.from_type_hint:
        if name != "inputs":
            raise invalid_request("a model with type hints takes `inputs`", expected=["inputs"], got=present)
        return ModelInput(data=body[name], params=params)
    return ModelInput(data=_decode_format(name, body[name], spec), params=params)


def _decode_format(name: str, value: Any, spec: InputSpec) -> Any:
    if name == "dataframe_split":
        _check_split(value)
    elif name == "dataframe_records":
        _check_records(value)
    check_body(name, value, spec.schema)
    try:
        if name in {"instances", "inputs"}:
            known = _drop_unknown(value, spec.schema)
            return parse_tf_serving_input({name: known}, schema=spec.schema)  # type: ignore[no-untyped-call]
        orient = name.removeprefix("dataframe_")
        return dataframe_from_parsed_json(value, orient, schema=spec.schema)  # type: ignore[no-untyped-call]
    except MlflowException as error:
        raise name_type(from_mlflow(error.message, str(spec)), spec.schema) from None
    except (TypeError, ValueError, KeyError, IndexError, OverflowError, RecursionError):
        # MLflow's parser indexes and compares what the caller sent.
        raise invalid_request(f"{name!r} does not have the form of that format", field=name) from None


def _drop_unknown(value: Any, schema: Schema | None) -> Any:
    """Leave out the inputs that the signature does not name, as MLflow does in tables.

    In these formats its parser guesses at their type and fails on some: callers could not be left with an input that a
    new version no longer takes. While one is missing, an unknown one may be it, misspelt: then the refusal names both.
    """
    if schema is None or not schema.has_input_names():
        return value
    names, required = set(schema.input_names()), set(schema.required_input_names())

    def drop(row: Any) -> Any:
        if not isinstance(row, dict) or row.keys() <= names or not required <= row.keys() or not row.keys() & names:
            return row
        return {name: item for name, item in row.items() if name in names}

    return [drop(row) for row in value] if isinstance(value, list) else drop(value)


def _check_split(value: Any) -> None:
    if not isinstance(value, dict):
        raise wrong_type("dataframe_split", "object", json_type(value))
    unknown = sorted(set(value) - {"columns", "data", "index"})
    if "data" not in value or unknown:
        raise invalid_request(
            "dataframe_split has `data`, and may have `columns` and `index`",
            field="dataframe_split",
            expected=["columns", "data", "index"],
            got=sorted(value),
        )
    for key in ("columns", "index", "data"):
        if not isinstance(value.get(key, []), list):
            raise wrong_type(f"dataframe_split.{key}", "array", json_type(value[key]))
    columns = value.get("columns")
    width = len(columns) if columns is not None else None
    if columns is not None:
        _check_columns(columns)
    for number, row in enumerate(value["data"]):
        cells = len(row) if isinstance(row, list) else 1
        if width is None:
            width = cells
        if cells != width:
            message = f"row {number} has {cells} values for {width} columns"
            raise wrong_shape(message, field=f"dataframe_split.data[{number}]", expected=width, got=cells)


def _check_columns(columns: list[Any]) -> None:
    seen: set[str] = set()
    for number, name in enumerate(columns):
        if not isinstance(name, str | int | float):
            raise wrong_type(f"dataframe_split.columns[{number}]", "string", json_type(name))
        if str(name) in seen:
            raise invalid_request(f"column {name!r} is there twice", field=f"dataframe_split.columns[{number}]")
        seen.add(str(name))


def _check_records(value: Any) -> None:
    if not isinstance(value, list):
        raise wrong_type("dataframe_records", "array", json_type(value))
    for number, record in enumerate(value):
        if not isinstance(record, dict):
            raise wrong_type(f"dataframe_records[{number}]", "object", json_type(record))


def _decode_csv(body: bytes, schema: Schema | None) -> pd.DataFrame:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ApiError(400, "InvalidCsv", f"the body is not UTF-8 at byte {error.start}") from None
    dtypes = _csv_types(schema, text)
    try:
        table = pd.read_csv(io.StringIO(text), dtype=dtypes)
    except (ValueError, OverflowError, TypeError) as error:
        raise _find_csv_fault(text, dtypes, error) from None
    if table.empty:
        # Texts of which there are none are of no type.
        table = table.astype({name: object for name, kind in dtypes.items() if isinstance(kind, str)})
    return cast_table(table, schema)


def _csv_types(schema: Schema | None, text: str) -> Mapping[str, Any]:
    """Return the column types for the parser. Times are left as text: it has no such type; the cast parses them."""
    if schema is None or schema.is_tensor_spec():
        return {}
    try:
        # Without names in the signature the place in the table is the name.
        names = schema.input_names() if schema.has_input_names() else list(pd.read_csv(io.StringIO(text), nrows=0))
    except (ValueError, OverflowError):
        return {}
    # What MLflow's parser makes of texts differs with and without names.
    text_type = object if schema.has_input_names() else "str"
    return {
        str(name): text_type if kind == DataType.string else kind.to_pandas()
        for name, kind in zip(names, schema.input_types(), strict=False)
        if isinstance(kind, DataType) and kind != DataType.datetime
    }


def _find_csv_fault(text: str, dtypes: Mapping[str, Any], error: Exception) -> ApiError:
    """Read again as text to name the column that does not parse: the parser's message names the value instead."""
    try:
        table = pd.read_csv(io.StringIO(text), dtype=str)
    except ValueError:
        return ApiError(400, "InvalidCsv", f"the body is not CSV: {type(error).__name__}")
    for name, dtype in dtypes.items():
        if name in table.columns:
            try:
                table[name].astype(dtype)
            except (ValueError, TypeError, OverflowError):
                return wrong_type(name, str(dtype), None)
    return ApiError(400, "InvalidCsv", f"the body is not CSV: {type(error).__name__}")
