"""Whether callers of one version can go on with another: the differences between two signatures that break one.

Pure. The measure is what the server does with a request (MLflow's decoding and enforcement, which tests hold this
against), not equality: inputs may be dropped, because one that is not known is ignored, and numbers may get wider; what
a caller receives must be there and have the same type.
"""

from collections.abc import Callable, Iterator
from typing import Final

from modelvane_serving.signature import Field, Signature, Type, read_properties, type_text

# How a message names a field.
Place = Callable[[str | None], str]

# What a number may become without a caller of the old type being refused or its value being changed.
WIDER: Final = {
    "integer": frozenset({"long", "double"}),
    "long": frozenset({"double"}),
    "float": frozenset({"double"}),
}

_JSON_KINDS: Final = {
    "string": "string",
    "boolean": "boolean",
    "integer": "whole",
    "long": "whole",
    "float": "number",
    "double": "number",
}
_DTYPE_KINDS: Final = {"str": "string", "bool": "boolean", "int": "whole", "uint": "whole", "float": "number"}


def find_differences(stable: Signature, candidate: Signature) -> list[str]:
    """Name what a caller of stable would miss. What either side does not say cannot be compared, and passes."""
    differences: list[str] = []
    if stable.inputs is not None and candidate.inputs is not None:
        differences += _compare_inputs(stable.inputs, candidate.inputs)
    differences += _compare_params(stable.params, candidate.params)
    if stable.outputs is not None and candidate.outputs is not None:
        differences += _compare_outputs(stable.outputs, candidate.outputs)
    return differences


def _compare_inputs(stable: tuple[Field, ...], candidate: tuple[Field, ...]) -> Iterator[str]:
    if (form := _form(stable)) != _form(candidate):
        yield f"inputs: {form} -> {_form(candidate)}"
    elif stable[0].name is None:
        yield from _compare_places("input", stable, candidate, given=True)
    else:
        if len(stable) == 1 and len(candidate) > 1:
            yield f"input {stable[0].name!r} is no longer the only one: it cannot be sent without its name"
        if not _meet(stable, candidate):
            yield "inputs: a caller may send none of those that are left"
        if _has_nested(stable) != _has_nested(candidate):
            # MLflow reads `inputs` as one row if a column is an array or an object, and as whole columns if none is.
            yield "inputs: arrays or objects are among them in one version only, so `inputs` is read differently"
        yield from _compare_given(stable, candidate, lambda name: f"input {name!r}")


def _compare_params(stable: tuple[Field, ...], candidate: tuple[Field, ...]) -> Iterator[str]:
    """Compare what callers may ask for. One that is gone would be ignored, and the answer not as wanted."""
    names = {field.name for field in candidate}
    yield from (f"param {field.name!r}: removed" for field in stable if field.name not in names)
    yield from _compare_given(stable, candidate, lambda name: f"param {name!r}")


def _compare_outputs(stable: tuple[Field, ...], candidate: tuple[Field, ...]) -> Iterator[str]:
    if (form := _form(stable)) != _form(candidate):
        if _json_kind(stable) is None or _json_kind(stable) != _json_kind(candidate):
            yield f"outputs: {form} -> {_form(candidate)}"
    elif stable[0].name is None:
        yield from _compare_places("output", stable, candidate, given=False)
    else:
        yield from _compare_received(stable, candidate, lambda name: f"output {name!r}")


def _json_kind(fields: tuple[Field, ...]) -> str | None:
    """Name what a list of single values holds once it is JSON; None for any other output.

    One column without a name and a tensor of one dimension are the same answer: MLflow describes what a model returns,
    a list here and an array there, and a caller sees neither.
    """
    if len(fields) != 1 or fields[0].name is not None:
        return None
    kind = fields[0].type
    if kind["type"] != "tensor":
        return _JSON_KINDS.get(kind["type"])
    spec = kind["tensor-spec"]
    if list(spec["shape"]) != [-1]:
        return None
    return next((found for start, found in _DTYPE_KINDS.items() if spec["dtype"].startswith(start)), None)


def _form(fields: tuple[Field, ...]) -> str:
    kind = "tensors" if fields[0].type["type"] == "tensor" else "columns"
    return f"{kind} without names" if fields[0].name is None else f"{kind} by name"


def _meet(stable: tuple[Field, ...], candidate: tuple[Field, ...]) -> bool:
    """Tell whether any request to stable holds at least one input of the candidate: MLflow makes no row of none."""
    names = {field.name for field in candidate}
    return any(field.required and field.name in names for field in stable) or {field.name for field in stable} <= names


def _has_nested(fields: tuple[Field, ...]) -> bool:
    return any(field.type["type"] in {"array", "object"} for field in fields)


def _compare_places(
    side: str, stable: tuple[Field, ...], candidate: tuple[Field, ...], *, given: bool
) -> Iterator[str]:
    """Compare what has no names: the place is the name."""
    if len(stable) != len(candidate):
        yield f"{side}s: {len(stable)} -> {len(candidate)}"
        return
    for number, (old, new) in enumerate(zip(stable, candidate, strict=True)):
        where = side if len(stable) == 1 else f"{side} {number}"
        yield from _compare_types(where, old.type, new.type, given=given, top=True)


def _compare_given(
    stable: tuple[Field, ...], candidate: tuple[Field, ...], where: Place, *, top: bool = True
) -> Iterator[str]:
    """Compare what the caller gives: nothing new may be needed."""
    known = {field.name: field for field in stable}
    for new in candidate:
        old = known.get(new.name)
        if old is None:
            if new.required:
                yield f"{where(new.name)}: new and required ({type_text(new.type)})"
            continue
        if new.required and not old.required:
            yield f"{where(new.name)}: optional -> required"
        yield from _compare_types(where(new.name), old.type, new.type, given=True, top=top)


def _compare_received(
    stable: tuple[Field, ...], candidate: tuple[Field, ...], where: Place, *, top: bool = True
) -> Iterator[str]:
    """Compare what the caller receives: everything must be there still."""
    known = {field.name: field for field in candidate}
    for old in stable:
        new = known.get(old.name)
        if new is None:
            yield f"{where(old.name)}: removed"
            continue
        if old.required and not new.required:
            yield f"{where(old.name)}: required -> optional"
        yield from _compare_types(where(old.name), old.type, new.type, given=False, top=top)


def _compare_types(where: str, stable: Type, candidate: Type, *, given: bool, top: bool = False) -> Iterator[str]:
    old, new = stable["type"], candidate["type"]
    if old != new:
        # Numbers in a column are converted to its type before they are checked, those in arrays and objects are not.
        wider = top and given and new in WIDER.get(old, frozenset())
        unchecked = not top and (new if given else old) == "any"
        if not (wider or unchecked):
            yield f"{where}: {type_text(stable)} -> {type_text(candidate)}"
    elif old == "tensor":
        if not _tensor_fits(stable["tensor-spec"], candidate["tensor-spec"], given=given):
            yield f"{where}: {type_text(stable)} -> {type_text(candidate)}"
    elif old == "array":
        yield from _compare_types(f"{where}[]", stable["items"], candidate["items"], given=given)
    elif old == "map":
        yield from _compare_types(f"{where}{{}}", stable["values"], candidate["values"], given=given)
    elif old == "object":
        yield from _compare_objects(where, stable, candidate, given=given)


def _compare_objects(where: str, stable: Type, candidate: Type, *, given: bool) -> Iterator[str]:
    old, new = read_properties(stable), read_properties(candidate)

    def place(name: str | None) -> str:
        return f"{where}.{name}"

    if not given:
        yield from _compare_received(old, new, place, top=False)
        return
    # Of an object, unlike of a row, MLflow refuses what it does not know.
    names = {field.name for field in new}
    yield from (f"{place(field.name)}: removed" for field in old if field.name not in names)
    yield from _compare_given(old, new, place, top=False)


def _tensor_fits(stable: Type, candidate: Type, *, given: bool) -> bool:
    """Tell whether all that the one side may send fits the other; -1 is any size.

    numpy holds texts as `object` or as `str`, and which it is changes with versions of libraries, not with the model.
    """
    sent, taken = (stable, candidate) if given else (candidate, stable)
    return (
        (sent["dtype"] == taken["dtype"] or (sent["dtype"], taken["dtype"]) == ("str", "object"))
        and len(sent["shape"]) == len(taken["shape"])
        and all(size in {-1, other} for other, size in zip(sent["shape"], taken["shape"], strict=True))
    )
