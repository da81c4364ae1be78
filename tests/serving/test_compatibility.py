"""Which signatures are compatible: by tables, by laws, and by what the server does with what callers of stable send."""

import warnings
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from modelvane_serving.checks.compatibility import find_differences
from modelvane_serving.signature import Signature, UnknownFormError, read_signature

with warnings.catch_warnings():
    # What MLflow warns of when it is imported is its own.
    warnings.simplefilter("ignore")
    from mlflow.models.utils import _enforce_schema
    from mlflow.types import Schema
    from modelvane_serving.formats.complete import tensors_to_input
    from modelvane_serving.formats.decoding import InputSpec, decode_invocation
    from modelvane_serving.formats.encoding import to_json
    from modelvane_serving.formats.inference_protocol import decode_infer

JSON = "application/json"
SCALARS = ("boolean", "integer", "long", "float", "double", "string", "datetime")


def column(name: str | None, kind: Any, *, required: bool = True) -> dict[str, Any]:
    type_ = kind if isinstance(kind, dict) else {"type": kind}
    return {**type_, **({} if name is None else {"name": name}), "required": required}


def tensor(dtype: str, *shape: int, name: str | None = None) -> dict[str, Any]:
    return {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": list(shape)}} | ({"name": name} if name else {})


def array(kind: Any) -> dict[str, Any]:
    return {"type": "array", "items": kind if isinstance(kind, dict) else {"type": kind}}


def record(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def param(name: str, kind: str, shape: list[int] | None = None) -> dict[str, Any]:
    return {"name": name, "type": kind, "default": None, "shape": shape}


def differences(stable: dict[str, Any], candidate: dict[str, Any]) -> list[str]:
    return find_differences(read_signature(stable), read_signature(candidate))


X, Y = column("x", "double"), column("y", "string")


@pytest.mark.parametrize(
    ("stable", "candidate", "expected"),
    [
        ([X, Y], [Y, X], []),
        ([X, Y], [X], []),
        ([X, Y], [X, Y, column("z", "long", required=False)], []),
        ([X, Y], [X, Y, column("z", "long")], ["input 'z': new and required (long)"]),
        ([X, Y], [X, column("why", "string")], ["input 'why': new and required (string)"]),
        ([X, Y], [column("x", "string"), Y], ["input 'x': double -> string"]),
        ([X, Y], [column("x", "long"), Y], ["input 'x': double -> long"]),
        ([column("x", "long")], [X], []),
        ([column("x", "integer")], [column("x", "long")], []),
        ([column("x", "long")], [column("x", "float")], ["input 'x': long -> float"]),
        ([column("x", "boolean")], [column("x", "long")], ["input 'x': boolean -> long"]),
        ([column("x", "long", required=False), Y], [X, Y], ["input 'x': optional -> required"]),
        ([X, Y], [column("x", "double", required=False), Y], []),
        (
            [X],
            [X, column("z", "long", required=False)],
            ["input 'x' is no longer the only one: it cannot be sent without its name"],
        ),
        ([column(None, "double")] * 2, [column(None, "double")] * 2, []),
        ([column(None, "long")] * 2, [column(None, "double")] * 2, []),
        ([column(None, "double")] * 2, [column(None, "double")], ["inputs: 2 -> 1"]),
        (
            [column(None, "double"), column(None, "string")],
            [column(None, "string"), column(None, "double")],
            ["input 0: double -> string", "input 1: string -> double"],
        ),
        (
            [X, Y],
            [column(None, "double"), column(None, "string")],
            ["inputs: columns by name -> columns without names"],
        ),
        ([X], [tensor("float64", -1, 1)], ["inputs: columns by name -> tensors without names"]),
        ([column("a", array("long"))], [column("a", array("long"))], []),
        ([column("a", array("long"))], [column("a", array("double"))], ["input 'a'[]: long -> double"]),
        ([column("a", array("long"))], [column("a", array("any"))], []),
        ([column("a", array(array("long")))], [column("a", array("long"))], ["input 'a'[]: array(long) -> long"]),
        (
            [column("a", array("long")), X],
            [X],
            ["inputs: arrays or objects are among them in one version only, so `inputs` is read differently"],
        ),
        (
            [column("m", {"type": "map", "values": {"type": "long"}})],
            [column("m", {"type": "map", "values": {"type": "string"}})],
            ["input 'm'{}: long -> string"],
        ),
        (
            [column("o", record(a={"type": "long"}, b={"type": "long"}))],
            [column("o", record(a={"type": "string"}, c={"type": "long"}))],
            ["input 'o'.b: removed", "input 'o'.a: long -> string", "input 'o'.c: new and required (long)"],
        ),
        (
            [column("o", record(a={"type": "long"}))],
            [column("o", record(a={"type": "long"}, b={"type": "long", "required": False}))],
            [],
        ),
        ([tensor("float64", -1, 4)], [tensor("float64", -1, 4)], []),
        ([tensor("float64", -1, 4)], [tensor("float64", -1, -1)], []),
        (
            [tensor("float64", -1, -1)],
            [tensor("float64", -1, 4)],
            ["input: tensor(float64, [-1, -1]) -> tensor(float64, [-1, 4])"],
        ),
        (
            [tensor("float64", -1, 4)],
            [tensor("float32", -1, 4)],
            ["input: tensor(float64, [-1, 4]) -> tensor(float32, [-1, 4])"],
        ),
        (
            [tensor("float64", -1, 4)],
            [tensor("float64", -1, 2, 2)],
            ["input: tensor(float64, [-1, 4]) -> tensor(float64, [-1, 2, 2])"],
        ),
        (
            [tensor("int64", -1, name="a"), tensor("int64", -1, name="b")],
            [tensor("int64", -1, name="a"), tensor("int64", -1, name="c")],
            ["input 'c': new and required (tensor(int64, [-1]))"],
        ),
    ],
)
def test_inputs(stable: list[Any], candidate: list[Any], expected: list[str]) -> None:
    assert differences({"inputs": stable}, {"inputs": candidate}) == expected


@pytest.mark.parametrize(
    ("stable", "candidate", "expected"),
    [
        ([X], [Y, X], []),
        ([X, Y], [X], ["output 'y': removed"]),
        ([X], [column("x", "float")], ["output 'x': double -> float"]),
        ([column("x", "long")], [X], ["output 'x': long -> double"]),
        ([X], [column("x", "double", required=False)], ["output 'x': required -> optional"]),
        ([column("x", "double", required=False)], [X], []),
        ([column(None, "long")], [column(None, "string")], ["output: long -> string"]),
        ([column(None, "long")], [X], ["outputs: columns without names -> columns by name"]),
        ([tensor("str", -1)], [column(None, "string")], []),
        ([tensor("object", -1)], [tensor("str", -1)], []),
        ([tensor("str", -1)], [tensor("object", -1)], ["output: tensor(str, [-1]) -> tensor(object, [-1])"]),
        ([column(None, "long")], [tensor("int64", -1)], []),
        (
            [tensor("object", -1)],
            [column(None, "string")],
            ["outputs: tensors without names -> columns without names"],
        ),
        (
            [column(None, "long")],
            [tensor("float64", -1)],
            ["outputs: columns without names -> tensors without names"],
        ),
        (
            [column(None, "double")],
            [tensor("float64", -1, 3)],
            ["outputs: columns without names -> tensors without names"],
        ),
        ([tensor("int64", -1)], [tensor("float64", -1)], ["output: tensor(int64, [-1]) -> tensor(float64, [-1])"]),
        ([tensor("float64", -1, -1)], [tensor("float64", -1, 3)], []),
        (
            [tensor("float64", -1, 3)],
            [tensor("float64", -1, -1)],
            ["output: tensor(float64, [-1, 3]) -> tensor(float64, [-1, -1])"],
        ),
        (
            [column("o", record(a={"type": "long"}))],
            [column("o", record(b={"type": "long"}))],
            ["output 'o'.a: removed"],
        ),
        ([column("a", array("any"))], [column("a", array("long"))], []),
        ([column("a", array("long"))], [column("a", array("any"))], ["output 'a'[]: long -> any"]),
    ],
)
def test_outputs(stable: list[Any], candidate: list[Any], expected: list[str]) -> None:
    assert differences({"outputs": stable}, {"outputs": candidate}) == expected


@pytest.mark.parametrize(
    ("stable", "candidate", "expected"),
    [
        ([param("p", "long")], [param("p", "double"), param("q", "string")], []),
        ([param("p", "double")], [param("p", "long")], ["param 'p': double -> long"]),
        ([param("p", "double")], [param("p", "double", [-1])], ["param 'p': double -> array(double)"]),
        ([param("p", "double")], [], ["param 'p': removed"]),
        ([{"name": "p", "dtype": "string", "default": None}], [param("p", "string")], []),
    ],
)
def test_params(stable: list[Any], candidate: list[Any], expected: list[str]) -> None:
    assert differences({"params": stable}, {"params": candidate}) == expected


def test_what_a_signature_does_not_say_is_not_compared() -> None:
    whole = {"inputs": [X], "outputs": [Y]}
    assert differences({}, whole) == differences(whole, {}) == differences({"outputs": None}, whole) == []
    assert differences({"inputs": [X]}, {"outputs": [Y]}) == []


@pytest.mark.parametrize(
    "content",
    [
        {"inputs": [{"name": "x"}]},
        {"inputs": [{"name": "x", "type": "quaternion"}]},
        {"inputs": [{"type": "tensor"}]},
        {"inputs": "x: double"},
        {"outputs": [column("a", {"type": "array"})]},
        {"params": [{"name": "p"}]},
    ],
)
def test_an_unknown_form_is_not_guessed_at(content: dict[str, Any]) -> None:
    with pytest.raises(UnknownFormError):
        read_signature(content)


def test_a_signature_has_a_short_form() -> None:
    text = str(
        read_signature(
            {
                "inputs": [X, column("o", record(a=array("long"), b={"type": "any", "required": False}))],
                "params": [param("p", "long")],
                "outputs": [tensor("int64", -1)],
            }
        )
    )
    assert text == (
        "takes (x: double, o: object(a: array(long), b: any?)) with params (p: long?), gives (tensor(int64, [-1]))"
    )
    assert str(read_signature({})) == "takes anything, gives anything"


# Any type, nested at most twice.
types = st.recursive(
    st.sampled_from(SCALARS).map(lambda kind: {"type": kind}),
    lambda inner: st.one_of(
        inner.map(array),
        inner.map(lambda kind: {"type": "map", "values": kind}),
        st.dictionaries(st.sampled_from("abc"), inner, min_size=1, max_size=3).map(lambda all_: record(**all_)),
    ),
    max_leaves=3,
)
shapes = st.lists(st.sampled_from([-1, 2, 3]), min_size=1, max_size=3)


def fields(kinds: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[list[dict[str, Any]]]:
    names = st.lists(st.sampled_from("wxyz"), unique=True, min_size=1, max_size=4)
    return names.flatmap(
        lambda chosen: st.tuples(
            *(
                st.builds(
                    lambda name, kind, need: column(name, kind, required=need), st.just(name), kinds, st.booleans()
                )
                for name in chosen
            )
        ).map(list)
    )


tensors = st.lists(st.sampled_from("xyz"), unique=True, min_size=1, max_size=3).flatmap(
    lambda names: st.tuples(
        *(
            st.builds(
                lambda name, kind, shape: tensor(kind, *shape, name=name),
                st.just(name),
                st.sampled_from(["int64", "float32"]),
                shapes,
            )
            for name in names
        )
    ).map(list)
)
signatures = st.fixed_dictionaries(
    {},
    optional={
        "inputs": st.one_of(fields(types), tensors),
        "outputs": st.one_of(fields(types), tensors),
        "params": st.lists(
            st.builds(param, st.sampled_from("pq"), st.sampled_from(["long", "string"])),
            max_size=2,
            unique_by=lambda item: item["name"],
        ),
    },
).map(read_signature)


@given(signatures)
def test_a_signature_is_compatible_with_itself(signature: Signature) -> None:
    assert find_differences(signature, signature) == []


@given(signatures, signatures)
def test_each_difference_is_a_short_text_of_its_own(stable: Signature, candidate: Signature) -> None:
    found = find_differences(stable, candidate)
    assert all(text.isprintable() and text.startswith(("input", "output", "param")) for text in found)
    assert len(set(found)) == len(found)


VALUES: dict[str, Sequence[Any]] = {
    "boolean": (True, False),
    "integer": (-3, 0, 7),
    "long": (-3, 1, 2**40),
    "float": (0.5, 2.0, -1.25),
    "double": (0.1, 2.0, 1e300),
    "string": ("a", "ü", ""),
    "datetime": ("2026-01-02", "2026-01-02T03:04:05"),
}
DATATYPES = {"boolean": "BOOL", "integer": "INT32", "long": "INT64", "float": "FP32", "double": "FP64"}


def value(draw: st.DrawFn, type_: dict[str, Any]) -> Any:
    """Draw what a caller may send where the signature says this type."""
    if type_["type"] == "array":
        return [value(draw, type_["items"]) for _ in range(draw(st.integers(1, 3)))]
    if type_["type"] == "map":
        return {"k": value(draw, type_["values"])}
    if type_["type"] == "object":
        return {name: value(draw, kind) for name, kind in type_["properties"].items()}
    return draw(st.sampled_from(VALUES[type_["type"]]))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[list[Any], list[Any]]:
    """Draw two lists of columns, the second made from the first by a few changes, as retraining does."""
    scalars = st.sampled_from(SCALARS).map(lambda kind: {"type": kind})
    kinds = draw(st.sampled_from([scalars, types]))
    stable = draw(fields(kinds))
    candidate = [dict(item) for item in stable]
    for change in draw(st.lists(st.sampled_from(["drop", "retype", "widen", "relax", "add"]), max_size=3)):
        item = draw(st.sampled_from(candidate))
        if change == "drop" and len(candidate) > 1:
            candidate.remove(item)
        elif change == "retype":
            item.update(draw(kinds))
        elif change == "widen" and item["type"] in {"integer", "long", "float"}:
            item["type"] = draw(st.sampled_from(["long", "double"]))
        elif change == "relax":
            item["required"] = False
        elif change == "add":
            candidate.append(column(f"new{len(candidate)}", draw(kinds), required=draw(st.booleans())))
    return stable, draw(st.permutations(candidate))


@st.composite
def requests(draw: st.DrawFn, columns: list[Any]) -> tuple[str, bytes]:
    """Draw the request of a caller who keeps to these columns: the format, and its body."""
    sent = [item for item in columns if item["required"] or draw(st.booleans())]
    assume(sent)
    rows = [{item["name"]: value(draw, item) for item in sent} for _ in range(draw(st.integers(1, 3)))]
    form = draw(st.sampled_from(["split", "records", "inputs", "instances", "one row", "infer", "without names"]))
    names = [item["name"] for item in sent]
    match form:
        case "split":
            body: Any = {"dataframe_split": {"columns": names, "data": [list(row.values()) for row in rows]}}
        case "records":
            body = {"dataframe_records": rows}
        case "inputs":
            body = {"inputs": {name: [row[name] for row in rows] for name in names}}
        case "instances":
            body = {"instances": rows}
        case "one row":
            body = {"inputs": rows[0]}
        case "without names":
            body = {draw(st.sampled_from(["inputs", "instances"])): [next(iter(row.values())) for row in rows]}
        case _:
            assume(all(item["type"] in VALUES for item in sent))
            tensors = [
                {
                    "name": item["name"],
                    "datatype": DATATYPES.get(item["type"], "BYTES"),
                    "shape": [len(rows)],
                    "data": [row[item["name"]] for row in rows],
                }
                for item in sent
            ]
            body = {"inputs": tensors}
    return form, to_json(body)


def rows_read(form: str, body: bytes, columns: list[Any]) -> int:
    """Decode and check a body as the server does before the model is called; the rows that reach the model."""
    schema = Schema.from_json(to_json(columns).decode())
    spec = InputSpec(schema=schema)
    if form == "infer":
        data = tensors_to_input(decode_infer(body, None).tensors, spec)
    else:
        data = decode_invocation(body, JSON, spec).data
    return len(_enforce_schema(data, schema))


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_no_caller_of_stable_is_refused_by_a_compatible_version(data: st.DataObject) -> None:
    stable, candidate = data.draw(pairs())
    if differences({"inputs": stable}, {"inputs": candidate}):
        event("incompatible")
        return
    form, body = data.draw(requests(stable))
    try:
        expected = rows_read(form, body, stable)
    except Exception:
        expected = 0
    if expected == 0:
        # Not every form fits every signature, so this is no caller of stable.
        event(f"{form}: not answered by stable")
        return
    event(f"{form}: accepted")
    assert rows_read(form, body, candidate) == expected
