"""Answers against a JSON Schema.

Imported only when a verification request has one: the validator takes longer to import than most requests to answer.
"""

from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, best_match
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

from modelvane_serving.checks.expectations import show
from modelvane_serving.failure import INVALID_SETTINGS, StartError, one_line


def read_schema(where: str, schema: Mapping[str, Any]) -> Validator:
    """Check the schema itself. Without `$schema` it is of draft 2020-12; nothing it refers to is downloaded."""
    kind = validator_for(schema, default=Draft202012Validator)
    try:
        kind.check_schema(dict(schema))
    except SchemaError as error:
        place = where + error.json_path.removeprefix("$")
        raise StartError(INVALID_SETTINGS, f"{place} is no JSON Schema: {one_line(error.message, 300)}") from None
    return kind(schema, registry=Registry())


def find_misfit(where: str, validator: Validator, answer: Any) -> str | None:
    """Name the part of an answer that the schema does not allow, the most telling one."""
    try:
        error = best_match(validator.iter_errors(answer))
    except Unresolvable as unresolved:
        message = f"{where} refers to what is not in it: {one_line(str(unresolved), 200)}"
        raise StartError(INVALID_SETTINGS, message) from None
    if error is None:
        return None
    place = error.json_path.removeprefix("$").removeprefix(".") or "the answer"
    return f"{place}: expected {show({error.validator: error.validator_value})}, got {show(error.instance)}"
