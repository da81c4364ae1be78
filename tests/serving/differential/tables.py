"""What a model of the corpus takes, as columns whose cells can be made, and a table of such cells in each format."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

FORMATS: Final = ("dataframe_split", "dataframe_records", "instances", "inputs", "csv")
JSON: Final = "application/json"
CSV: Final = "text/csv"

GOOD: Final[dict[str, tuple[Any, ...]]] = {
    "double": (0.1, 1.5, 2.25, 3.0, 4.7, 5.1, 6.3, 0.333333333333333314),
    "float": (0.5, 1.25, 2.0, 3.75, 5.1),
    "long": (0, 1, 7, 42, -3, 123456789012),
    "integer": (0, 1, 7, 42, -3),
    "boolean": (True, False),
    "string": ("red", "green", "blue", "ü☃"),
    "datetime": ("2026-01-02T03:04:05", "2025-12-31", "2026-01-02 03:04:05.000006"),
    "binary": ("AP8=", "AQIDBA==", ""),
    "longs": ([1, 2, 3], [4], []),
    "object": ({"id": 1, "text": "a"}, {"id": 2, "text": "b", "note": "c"}),
    "map": ({"a": 1.5}, {"b": 2.0, "c": 3.0}, {}),
    "vector": ([0.5, 1.5, 2.5], [1.0, 2.0, 3.0]),
}


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column or tensor of a signature. Without a name it goes by its place."""

    kind: str
    name: str | None = None
    required: bool = True
    values: tuple[Any, ...] = ()

    def cell(self, random: Random) -> Any:
        return random.choice(self.values or GOOD[self.kind])


def columns(kind: str, *names: str, values: tuple[Any, ...] = (), required: bool = True) -> tuple[Column, ...]:
    return tuple(Column(kind=kind, name=name, values=values, required=required) for name in names)


@dataclass
class Table:
    """Rows of JSON values below names, which are numbers where the signature has no names."""

    names: list[Any]
    rows: list[list[Any]]

    def encode(self, form: str) -> bytes:
        if form == "csv":
            return self._csv()
        return json.dumps({form: self.content(form)}).encode()

    def content(self, form: str) -> Any:
        """Return what stands below the name of a JSON format."""
        named = all(isinstance(name, str) for name in self.names)
        if form == "dataframe_split":
            return {"columns": self.names, "data": self.rows}
        if form == "dataframe_records" or (form == "instances" and named):
            return [dict(zip(map(str, self.names), row, strict=False)) for row in self.rows]
        if form == "inputs" and named:
            return {name: [row[place] for row in self.rows] for place, name in enumerate(self.names)}
        return self.rows

    def _csv(self) -> bytes:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.names)
        for row in self.rows:
            writer.writerow([json.dumps(item) if isinstance(item, list | dict) else item for item in row])
        return text.getvalue().encode()


def make_table(spec: Sequence[Column], rows: int, random: Random) -> Table:
    """Make a table that the model takes."""
    names = [number if column.name is None else column.name for number, column in enumerate(spec)]
    return Table(names=names, rows=[[column.cell(random) for column in spec] for _ in range(rows)])


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request to /invocations. The traits say what is odd about it: rules go by them."""

    name: str
    body: bytes
    content_type: str | None = JSON
    traits: frozenset[str] = frozenset()

    def __str__(self) -> str:
        shown = self.body[:400].decode("utf-8", "backslashreplace")
        return f"{self.name} ({self.content_type}): {shown}{'...' if len(self.body) > 400 else ''}"


def request(name: str, body: Any, *traits: str, content_type: str | None = JSON) -> Request:
    """Make a request of a JSON value, or of bytes or text as they are."""
    if isinstance(body, str):
        body = body.encode()
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Request(name=name, body=data, content_type=content_type, traits=frozenset(traits))
