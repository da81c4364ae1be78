"""Write the pages of this folder (`make reference`): the resources from the CRDs, the values from the charts.

Nobody edits the pages by hand: what they say is the description in the schema or the `# --` comment in values.yaml,
which users also read in `kubectl explain` and in the chart. `--check` compares instead of writing; it is part of
`make lint`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
EXAMPLES = {"ModelDeployment": "iris.yaml", "ModelRegistry": "registry.yaml"}


class Row(NamedTuple):
    """One line of a table: a field of a resource or a value of a chart."""

    path: str
    type: str
    default: str
    description: str


def table(first_column: str, rows: list[Row]) -> str:
    """Format a Markdown table; a bar inside a cell would end the cell."""
    lines = [f"| {first_column} | Type | Default | Description |", "| --- | --- | --- | --- |"]
    for row in rows:
        cells = (f"`{row.path}`", row.type, row.default, row.description)
        lines.append("| " + " | ".join(" ".join(cell.split()).replace("|", r"\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


# The resources.


def type_name(schema: dict[str, Any]) -> str:
    """Name the type as a reader of YAML would."""
    if "type" not in schema:
        return "any"
    if schema["type"] == "array":
        return f"list of {type_name(schema['items'])}s"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"map of {type_name(schema['additionalProperties'])}s"
    return "time" if schema.get("format") == "date-time" else str(schema["type"])


def limits(schema: dict[str, Any]) -> str:
    """Say in words which values the schema allows."""
    if "enum" in schema:
        return " One of " + ", ".join(f"`{value}`" for value in schema["enum"]) + "."
    if "maximum" in schema:
        return f" {schema['minimum']} to {schema['maximum']}."
    return ""


def fields(schema: dict[str, Any], path: str) -> Iterator[Row]:
    """Yield each field below `path`, a parent before its children, in the order of the schema."""
    required = schema.get("required", [])
    for name, field in schema.get("properties", {}).items():
        here = f"{path}.{name}"
        # An object's default {} only makes room for the defaults of its fields.
        default = f"`{json.dumps(field['default'])}`" if field.get("default", {}) != {} else ""
        description = field["description"] + limits(field)
        yield Row(here, type_name(field), "required" if name in required else default, description)
        if field.get("type") == "array":
            yield from fields(field["items"], f"{here}[]")
        else:
            yield from fields(field, here)


def resource_page(crd: dict[str, Any]) -> str:
    """Write the page of one custom resource."""
    names, group = crd["spec"]["names"], crd["spec"]["group"]
    version = crd["spec"]["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    example = (ROOT / "examples" / EXAMPLES[names["kind"]]).read_text()
    columns = ", ".join(
        f"{column['name']} (`-o wide`)" if column.get("priority") else column["name"]
        for column in version["additionalPrinterColumns"]
    )
    parts = [
        f"<!-- Written by `make reference` from crds/{names['plural']}.yaml: change it there. -->\n# {names['kind']}\n",
        f"`{group}/{version['name']}`, namespaced, short name `{names['shortNames'][0]}`. {schema['description']}\n",
        f"```yaml\n{example}```\n",
        f"`kubectl get {names['plural']}` shows: {columns}.\n",
        "## Spec\n",
        table("Field", list(fields(schema["properties"]["spec"], "spec"))),
        "## Status\n",
        schema["properties"]["status"]["description"] + "\n",
        table("Field", list(fields(schema["properties"]["status"], "status"))),
    ]
    return "\n".join(parts)


# The values.


def comment_above(lines: list[str], number: int) -> str:
    """Return the `# --` comment that ends just above a line, or nothing."""
    found: list[str] = []
    for line in reversed(lines[:number]):
        text = line.strip()
        if not text.startswith("#"):
            break
        found.insert(0, text.removeprefix("#").strip())
        if found[0].startswith("-- "):
            return " ".join(found).removeprefix("-- ")
    return ""


# A default of null stands for a number that follows from another value.
KINDS = {str: "string", bool: "boolean", int: "integer", type(None): "integer", list: "list", dict: "object"}


def values(node: yaml.MappingNode, lines: list[str], path: str) -> Iterator[Row]:
    """Yield each commented value below `path`; a leaf without a comment is an error that names its line."""
    for key, value in node.value:
        here = f"{path}.{key.value}" if path else str(key.value)
        comment = comment_above(lines, key.start_mark.line)
        is_group = isinstance(value, yaml.MappingNode) and bool(value.value)
        if comment:
            loaded = yaml.safe_load(yaml.serialize(value))
            kind = KINDS[type(loaded)]
            yield Row(here, kind, "" if is_group else f"`{json.dumps(loaded)}`", comment)
        elif not is_group:
            raise SystemExit(f"values.yaml:{key.start_mark.line + 1}: {here} has no `# -- ` comment above it")
        if is_group and (
            not comment or any("# -- " in line for line in lines[value.start_mark.line : value.end_mark.line])
        ):
            yield from values(value, lines, here)


def chart_page(chart: Path) -> str:
    """Write the page of one chart's values."""
    text = (chart / "values.yaml").read_text()
    node = yaml.compose(text)
    if not isinstance(node, yaml.MappingNode):
        raise SystemExit(f"{chart}/values.yaml holds no values")
    about = yaml.safe_load((chart / "Chart.yaml").read_text())
    return "\n".join(
        [
            f"<!-- Written by `make reference` from charts/{chart.name}/values.yaml: change it there. -->",
            f"# Values of charts/{chart.name}\n",
            f"{about['description']}. A key that is not listed here is an error.\n",
            table("Value", list(values(node, text.splitlines(), ""))),
        ]
    )


def pages() -> dict[str, str]:
    """Return all pages by file name."""
    crds = [yaml.safe_load(path.read_text()) for path in sorted((ROOT / "crds").glob("*.yaml"))]
    charts = sorted(path.parent for path in (ROOT / "charts").glob("*/values.yaml"))
    return {f"{crd['spec']['names']['singular']}.md": resource_page(crd) for crd in crds} | {
        f"values-{chart.name}.md": chart_page(chart) for chart in charts
    }


def main(arguments: list[str]) -> int:
    """Write the pages, or with `--check` say which of them are stale."""
    if arguments not in ([], ["--check"]):
        print("usage: python -m docs.reference.generate [--check]", file=sys.stderr)
        return 2
    wanted = pages()
    present = {path.name: path.read_text() for path in HERE.glob("*.md")}
    stale = sorted(name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name))
    for name in stale:
        if arguments:
            print(f"docs/reference/{name} is stale: run `make reference`", file=sys.stderr)
        elif name in wanted:
            (HERE / name).write_text(wanted[name])
        else:
            (HERE / name).unlink()
    return 1 if arguments and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
