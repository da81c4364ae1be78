"""The complete path of a request: MLflow's own decoding, casts and enforcement of the signature.

For what no plan covers, and to say what is wrong with a request. It brings MLflow and pandas in, so a model that is
served without them imports this when the first such request comes.
"""

import logging
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import Model as MlflowModel
from mlflow.models.utils import _enforce_schema
from mlflow.types import Schema

from modelvane_serving.engines import Engine
from modelvane_serving.engines.errors import ModelError
from modelvane_serving.errors import ApiError, from_mlflow, invalid_request, missing_inputs, wrong_shape, wrong_type
from modelvane_serving.formats.bodies import is_deeper, json_type
from modelvane_serving.formats.decoding import InputSpec, ModelInput, cast_table, decode_invocation, name_type
from modelvane_serving.formats.tables import NUMPY_TYPES, Table, TablePlan
from modelvane_serving.formats.tensors import Tensor

# A model's check by its type hints takes a few calls for each level, of the thousand that Python allows.
DEEP: Final = 100


class CompletePath:
    """Decodes and predicts whatever the signature allows."""

    def __init__(self, engine: Engine, artifacts: Path) -> None:
        # MLflow warns of extra columns by name: those are the caller's.
        logging.getLogger("mlflow").setLevel(logging.ERROR)
        metadata = engine.pyfunc.metadata if engine.pyfunc is not None else MlflowModel.load(str(artifacts))
        params = metadata.get_params_schema()
        self._engine = engine
        self.spec = InputSpec(
            schema=metadata.get_input_schema(),
            param_names=frozenset(param.name for param in params.params) if params is not None else frozenset(),
            from_type_hint=metadata._is_signature_from_type_hint(),
        )

    def decode(self, body: bytes, content_type: str | None) -> ModelInput:
        """Decode a body of /invocations."""
        return decode_invocation(body, content_type, self.spec)

    def decode_tensors(self, tensors: list[Tensor], params: dict[str, Any] | None) -> ModelInput:
        """Decode the inputs of an infer request."""
        return ModelInput(data=tensors_to_input(tensors, self.spec), params=params)

    def decode_frame(self, frame: pd.DataFrame) -> ModelInput:
        """Decode a table that came with types of its own."""
        schema = self.spec.schema
        return ModelInput(data=cast_table(frame, schema) if schema is not None else frame)

    def predict(self, request: ModelInput) -> Any:
        """Predict. Refused input raises ApiError, a failing model ModelError."""
        try:
            if self._engine.pyfunc is not None:
                return self._engine.pyfunc.predict(request.data, params=request.params)
            return self._predict_below(request)
        except ApiError:
            raise
        except ModelError as error:
            if request.is_empty:
                raise invalid_request("the input has no rows, and the model cannot answer that") from None
            if _comes_of(error, RecursionError) and is_deeper(request.data, DEEP):
                raise invalid_request(
                    f"the input is nested more than {DEEP} deep, which the model cannot follow"
                ) from None
            raise
        except MlflowException as error:
            raise name_type(from_mlflow(error.message, str(self.spec)), self.spec.schema) from None
        except Exception as error:
            # Enforcement itself failed on the input, in pandas or numpy.
            raise from_mlflow(str(error), str(self.spec)) from None

    def _predict_below(self, request: ModelInput) -> Any:
        """Enforce the signature as `PyFuncModel.predict` does, and hand the table to an engine that is not MLflow's."""
        engine, plan = self._engine, self._engine.plan
        if plan is None:
            raise TypeError("an engine without pyfunc has a plan")
        enforced = _enforce_schema(request.data, self.spec.schema) if self.spec.schema is not None else request.data
        table = _to_table(enforced, plan)
        return engine.answer(table)


def _to_table(enforced: Any, plan: TablePlan) -> Table:
    """Take what the enforcement let pass, with the types that it gave."""
    if isinstance(enforced, np.ndarray):
        return Table(rows=len(enforced), matrix=enforced.astype(np.float64))
    for name, kind in zip(plan.names, plan.types, strict=True):
        if kind in {"long", "integer", "boolean"} and enforced[name].isna().any():
            raise wrong_type(name, kind, "null")
    if plan.is_numeric:
        return Table(rows=len(enforced), matrix=enforced.to_numpy(dtype=np.float64))
    for name, kind in zip(plan.names, plan.types, strict=True):
        # MLflow lets anything into a column of texts; what is no single value no model of these flavors takes.
        nested = [value for value in enforced[name] if isinstance(value, list | dict)] if kind == "string" else []
        if nested:
            raise wrong_type(name, kind, json_type(nested[0]))
    columns = tuple(
        enforced[name].to_numpy(dtype=NUMPY_TYPES[kind]) for name, kind in zip(plan.names, plan.types, strict=True)
    )
    return Table(rows=len(enforced), columns=columns)


def tensors_to_input(tensors: list[Tensor], spec: InputSpec) -> Any:
    """Turn tensors into what `predict` takes by the signature. Raises ApiError."""
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


def _comes_of(error: BaseException | None, kind: type[BaseException]) -> bool:
    """Tell whether an error was raised for, or while dealing with, one of a kind."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, kind):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False
