"""A model's signature as MLmodel writes it: read into a form that can be compared, and named in short.

Pure, and without MLflow: a signature is JSON of a few known shapes, and what has another shape is said to be unknown
rather than guessed at.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

Type = Mapping[str, Any]

SCALARS: Final = frozenset({"boolean", "integer", "long", "float", "double", "string", "binary", "datetime"})


class UnknownFormError(Exception):
    """The signature has a shape that is not known here, as one of a later MLflow may."""


@dataclass(frozen=True, kw_only=True)
class Field:
    """An input, an output, a parameter or a property of an object. Its type is JSON, with a key `type`."""

    type: Type
    name: str | None
    required: bool = True

    def __str__(self) -> str:
        text = type_text(self.type) + ("" if self.required else "?")
        return text if self.name is None else f"{self.name}: {text}"


@dataclass(frozen=True, kw_only=True)
class Signature:
    """What a model takes and gives; None where it does not say."""

    inputs: tuple[Field, ...] | None
    outputs: tuple[Field, ...] | None
    params: tuple[Field, ...]

    def __str__(self) -> str:
        text = f"takes {_list_text(self.inputs)}"
        if self.params:
            text += f" with params {_list_text(self.params)}"
        return f"{text}, gives {_list_text(self.outputs)}"


def read_signature(content: Mapping[str, Any]) -> Signature:
    """Read the `signature` of an MLmodel whose texts are parsed. Raises UnknownFormError."""
    try:
        params = [_read_param(item) for item in content.get("params") or []]
        return Signature(
            inputs=_read_fields(content.get("inputs")),
            outputs=_read_fields(content.get("outputs")),
            params=tuple(params),
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise UnknownFormError(f"{type(error).__name__}: {error}") from None


def read_properties(type_: Type) -> tuple[Field, ...]:
    """Read the properties of a type `object`."""
    return tuple(
        Field(name=str(name), type=_checked(item), required=bool(item.get("required", True)))
        for name, item in type_["properties"].items()
    )


def type_text(type_: Type) -> str:
    """Name a type as MLflow's documentation does. Raises one of several built-in errors for what is no type."""
    kind = type_["type"]
    if kind in SCALARS or kind in {"any", "sparkml_vector"}:
        return str(kind)
    if kind == "tensor":
        shape = ", ".join(str(int(size)) for size in type_["tensor-spec"]["shape"])
        return f"tensor({type_['tensor-spec']['dtype']}, [{shape}])"
    if kind == "array":
        return f"array({type_text(type_['items'])})"
    if kind == "map":
        return f"map({type_text(type_['values'])})"
    if kind == "object":
        return f"object({', '.join(map(str, read_properties(type_)))})"
    raise ValueError(f"unknown type {kind!r}")


def _read_fields(items: list[Mapping[str, Any]] | None) -> tuple[Field, ...] | None:
    if not items:
        return None
    return tuple(
        Field(
            name=None if item.get("name") is None else str(item["name"]),
            type=_checked(item),
            required=bool(item.get("required", True)),
        )
        for item in items
    )


def _read_param(item: Mapping[str, Any]) -> Field:
    """Read a parameter: it always has a default, and a shape when it is a list. Its type was once called `dtype`."""
    type_ = {**item, "type": item.get("type") or item["dtype"]}
    return Field(
        name=str(item["name"]),
        type=_checked({"type": "array", "items": type_} if item.get("shape") else type_),
        required=False,
    )


def _checked(type_: Type) -> Type:
    type_text(type_)
    return type_


def _list_text(fields: tuple[Field, ...] | None) -> str:
    return "anything" if fields is None else f"({', '.join(map(str, fields))})"
