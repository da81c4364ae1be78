"""What can be read off the schemas themselves, without an API server."""

from collections.abc import Iterator
from typing import Any, get_args, get_origin

import pytest
import yaml
from modelvane.engine.memory import Memory
from modelvane.spec import ModelDeploymentSpec, ModelRegistrySpec, Shape
from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from tests.crds.conftest import ROOT

CRDS = {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / "crds").glob("*.yaml")}
SPECS: dict[str, type[Shape]] = {"modeldeployments": ModelDeploymentSpec, "modelregistries": ModelRegistrySpec}


def whole(name: str) -> dict[str, Any]:
    """Return the schema of a CRD."""
    [version] = CRDS[name]["spec"]["versions"]
    schema: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return schema


def schemas(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each field's schema with its path."""
    for name, field in schema.get("properties", {}).items():
        yield f"{path}.{name}", field
        yield from schemas(field, f"{path}.{name}")
        yield from schemas(field.get("items", {}), f"{path}.{name}[]")


def shape_in(annotation: Any) -> type[Shape] | None:
    """Find the model inside `Model | None` or `tuple[Model, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, Shape):
        return annotation
    return next((found for part in get_args(annotation) if (found := shape_in(part))), None)


def models(shape: type[Shape], path: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield each field of a model, under the path that it has in the resource."""
    for field in shape.model_fields.values():
        here = f"{path}.{field.alias}"
        yield here, field
        if inner := shape_in(field.annotation):
            is_list = get_origin(field.annotation) is tuple
            yield from models(inner, f"{here}[]" if is_list else here)


def filled(schema: dict[str, Any]) -> Any:
    """Return a field's default as the API server fills it in."""
    default = schema["default"]
    if not isinstance(default, dict):
        return default
    inner = {name: filled(field) for name, field in schema.get("properties", {}).items() if "default" in field}
    return inner | default


def inner_defaults(field: FieldInfo) -> Shape | None:
    """Return what a field is when nothing in it is written: the same as if it is left out."""
    shape = shape_in(field.annotation)
    return shape.model_validate({}) if shape else None


@pytest.mark.parametrize("name", sorted(CRDS))
def test_every_field_is_described(name: str) -> None:
    fields = [item for item in schemas(whole(name)) if item[0] != ".metadata"]
    undescribed = [path for path, field in fields if not field.get("description", "").strip().endswith(".")]
    assert undescribed == []


@pytest.mark.parametrize("name", sorted(CRDS))
def test_every_list_says_how_it_merges(name: str) -> None:
    lists = [item for item in schemas(whole(name)) if item[1].get("type") == "array"]
    assert [path for path, field in lists if "x-kubernetes-list-type" not in field] == []


@pytest.mark.parametrize("name", sorted(SPECS))
def test_operator_reads_the_fields_that_there_are(name: str) -> None:
    known = dict(schemas(whole(name)["properties"]["spec"]))
    read = dict(models(SPECS[name]))
    # Where the operator takes a part of the spec as it is, it need not know what is inside.
    opaque = [path for path, field in read.items() if shape_in(field.annotation) is None]
    as_it_is = tuple(f"{path}{end}" for path in opaque for end in (".", "[]"))
    unread = [path for path in known if path not in read and not path.startswith(as_it_is)]
    assert ([path for path in read if path not in known], unread) == ([], [])


@pytest.mark.parametrize("name", sorted(SPECS))
def test_operator_has_the_defaults_of_the_schema(name: str) -> None:
    known = dict(schemas(whole(name)["properties"]["spec"]))
    differing = {}
    for path, field in models(SPECS[name]):
        schema = known[path]
        if field.is_required():
            continue
        own = field.get_default(call_default_factory=True)
        if "default" in schema:
            validated = TypeAdapter(field.rebuild_annotation()).validate_python(filled(schema))
            if validated != own:
                differing[path] = (validated, own)
        elif own not in (None, (), {}) and own != inner_defaults(field):
            differing[path] = (None, own)
    assert differing == {}


@pytest.mark.parametrize("name", sorted(SPECS))
def test_what_the_operator_cannot_do_without_is_always_there(name: str) -> None:
    spec = whole(name)["properties"]["spec"]
    parents = {"": spec} | dict(schemas(spec))
    missing = []
    for path, field in models(SPECS[name]):
        parent, _, leaf = path.rpartition(".")
        schema = parents[parent.removesuffix("[]")]
        schema = schema.get("items", schema)
        if (
            field.is_required()
            and leaf not in schema.get("required", [])
            and "default" not in schema["properties"][leaf]
        ):
            missing.append(path)
    assert missing == []


def test_status_has_the_fields_that_the_operator_writes() -> None:
    assert {path for path, _ in models(Memory)} == {
        path for path, _ in schemas(whole("modeldeployments")["properties"]["status"])
    }
