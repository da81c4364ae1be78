"""What can be read off the schemas themselves, without an API server."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.crds.conftest import ROOT

CRDS = {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / "crds").glob("*.yaml")}


def schemas(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each field's schema with its path."""
    for name, field in schema.get("properties", {}).items():
        yield f"{path}.{name}", field
        yield from schemas(field, f"{path}.{name}")
        yield from schemas(field.get("items", {}), f"{path}.{name}[]")


@pytest.mark.parametrize("name", sorted(CRDS))
def test_every_field_is_described(name: str) -> None:
    [version] = CRDS[name]["spec"]["versions"]
    fields = [item for item in schemas(version["schema"]["openAPIV3Schema"]) if item[0] != ".metadata"]
    undescribed = [path for path, field in fields if not field.get("description", "").strip().endswith(".")]
    assert undescribed == []


@pytest.mark.parametrize("name", sorted(CRDS))
def test_every_list_says_how_it_merges(name: str) -> None:
    [version] = CRDS[name]["spec"]["versions"]
    lists = [item for item in schemas(version["schema"]["openAPIV3Schema"]) if item[1].get("type") == "array"]
    assert [path for path, field in lists if "x-kubernetes-list-type" not in field] == []
