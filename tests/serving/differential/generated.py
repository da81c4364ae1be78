"""The requests of a model: well-formed tables in each format, one odd cell at a time, odd tables, odd bodies.

Everything comes from a generator seeded by the model's name, so that a run can be repeated.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import Any, Final

from tests.serving.differential.corpus import Subject
from tests.serving.differential.odd_bodies import odd_bodies, odd_values
from tests.serving.differential.tables import CSV, FORMATS, JSON, Column, Request, Table, make_table, request

# What stands in a cell, by what it is. The column's kind is added to make the trait: `fraction in long`.
CELLS: Final[tuple[tuple[str, Any], ...]] = (
    ("null", None),
    ("nan", float("nan")),
    ("infinity", float("inf")),
    ("infinity", float("-inf")),
    ("boolean", True),
    ("boolean", False),
    ("zero", 0),
    ("whole", 1),
    ("whole", -7),
    ("whole float", 2.0),
    ("whole float", 1e15),
    ("fraction", 1.5),
    ("fraction", -0.25),
    ("small", 5e-324),
    ("large float", 1e308),
    ("over int32", 2**31),
    ("over int32", -(2**31) - 1),
    ("over 2^53", 2**53 + 1),
    ("over 2^53", 2**63 - 1),
    ("over int64", 2**63),
    ("over int64", 2**64),
    ("over int64", -(2**63) - 1),
    ("over double", 10**400),
    ("over int64 float", 1e19),
    ("numeric text", "7"),
    ("numeric text", "1.5"),
    ("numeric text", " 2 "),
    ("numeric text", "1e3"),
    ("nan text", "NaN"),
    ("text", "abc"),
    ("text", "ü☃\u0000\U0001f600"),
    ("text", ""),
    ("text", "true"),
    ("date text", "2026-01-02"),
    ("date text", "2026-01-02T03:04:05Z"),
    ("date text", "2026-02-31"),
    ("base64 text", "AP8="),
    ("base64 text", "A"),
    ("list", []),
    ("list", [1]),
    ("list", ["a", None]),
    ("list", [[1, 2]]),
    ("object", {}),
    ("object", {"id": 1}),
    ("object", {"id": "x", "text": 7, "more": None}),
)
NESTED_KINDS: Final = ("longs", "object", "map", "vector")


def requests_of(subject: Subject) -> list[Request]:
    """Make all requests of a model."""
    random = Random(subject.name)  # noqa: S311 - the same requests in every run
    made = [
        *_tables(subject, random),
        *_cells(subject, random),
        *_odd_tables(subject, random),
        *odd_values(),
        *odd_bodies(subject, random),
        *(_params(subject, random) if subject.params else ()),
        *(_hinted(subject, random) if subject.type_hint else ()),
    ]
    return [replace(one, traits=one.traits | {f"model {subject.name}"}) for one in made[:: subject.every]]


def _forms(table: Table, name: str, *traits: str, forms: Sequence[str] = FORMATS) -> Iterator[Request]:
    for form in forms:
        kind = CSV if form == "csv" else JSON
        yield request(f"{name}, {form}", table.encode(form), form, *traits, content_type=kind)


def _tables(subject: Subject, random: Random) -> Iterator[Request]:
    for rows in (1, 2, 3, 64):
        yield from _forms(make_table(subject.takes, rows, random), f"{rows} rows")
    yield from _forms(make_table(subject.takes, 0, random), "no rows", "no rows")
    table = make_table(subject.takes, 2, random)
    places = list(range(len(table.names)))
    random.shuffle(places)
    shuffled = Table(names=[table.names[p] for p in places], rows=[[row[p] for p in places] for row in table.rows])
    yield from _forms(shuffled, "shuffled columns", "shuffled")
    extra = Table(names=[*table.names, "more"], rows=[[*row, "text"] for row in table.rows])
    yield from _forms(extra, "a column more", "extra column")
    for place, column in enumerate(subject.takes):
        less = Table(
            names=[name for p, name in enumerate(table.names) if p != place],
            rows=[[cell for p, cell in enumerate(row) if p != place] for row in table.rows],
        )
        trait = "missing column" if column.required else "missing optional column"
        yield from _forms(less, f"without column {place}", trait)
    misspelt = Table(names=[f"{table.names[0]}_", *table.names[1:]], rows=table.rows)
    yield from _forms(misspelt, "a column misspelt", "missing column", "extra column")


def _cells(subject: Subject, random: Random) -> Iterator[Request]:
    """Put each odd value once into a column of each kind, alone or below good ones, in formats by turns."""
    kinds: dict[str, list[int]] = {}
    for place, column in enumerate(subject.takes):
        kinds.setdefault(f"{column.kind}{'' if column.required else '?'}", []).append(place)
    turn = random.randrange(len(FORMATS))
    for kind, places in kinds.items():
        for number, (label, value) in enumerate(CELLS):
            turn += 1
            form = FORMATS[turn % len(FORMATS)]
            table = make_table(subject.takes, random.choice((1, 3)), random)
            table.rows[-1][random.choice(places)] = value
            name = f"{label} #{number} in {kind} of {len(table.rows)}"
            yield from _forms(table, name, label, f"{label} in {kind}", forms=[form])


def _odd_tables(subject: Subject, random: Random) -> Iterator[Request]:
    table = make_table(subject.takes, 2, random)
    names, rows = table.names, table.rows
    split = {
        "with an index": {"columns": names, "index": [7, 3], "data": rows},
        "index of texts": {"columns": names, "index": ["a", "b"], "data": rows},
        "index too short": {"columns": names, "index": [7], "data": rows},
        "index twice the same": {"columns": names, "index": [7, 7], "data": rows},
        "index null": {"columns": names, "index": None, "data": rows},
        "no columns": {"data": rows},
        "columns null": {"columns": None, "data": rows},
        "columns by number": {"columns": list(range(len(names))), "data": rows},
        "no data": {"columns": names},
        "data null": {"columns": names, "data": None},
        "data an object": {"columns": names, "data": {"a": 1}},
        "data of scalars": {"columns": names, "data": [1, 2]},
        "data of objects": {"columns": names, "data": table.content("dataframe_records")},
        "a short row": {"columns": names, "data": [rows[0], rows[1][:-1]]},
        "a long row": {"columns": names, "data": [rows[0], [*rows[1], 1]]},
        "all rows short": {"columns": names, "data": [row[:-1] for row in rows]},
        "a column twice": {"columns": [*names, names[0]], "data": [[*row, row[0]] for row in rows]},
        "a column null": {"columns": [*names[:-1], None], "data": rows},
        "columns a text": {"columns": "abcd", "data": rows},
        "an unknown key": {"columns": names, "data": rows, "more": 1},
        "empty": {},
        "a list": rows,
        "null": None,
    }
    for name, value in split.items():
        yield request(f"split: {name}", {"dataframe_split": value}, "dataframe_split", f"split: {name}")
    record = dict(zip(map(str, names), rows[0], strict=True))
    records = {
        "of lists": rows,
        "empty records": [{}, {}],
        "one empty": [record, {}],
        "an object": record,
        "of nulls": [None, None],
        "null": None,
        "ragged": [record, dict(list(record.items())[1:])],
    }
    for name, value in records.items():
        yield request(f"records: {name}", {"dataframe_records": value}, "dataframe_records", f"records: {name}")
        yield request(f"instances: {name}", {"instances": value}, "instances", f"instances: {name}")
    columns = {str(name): [row[place] for row in rows] for place, name in enumerate(names)}
    inputs = {
        "scalars by name": record,
        "a list of objects": [record, record],
        "one object in a list": [record],
        "flat": rows[0],
        "nested once more": [rows],
        "columns of two lengths": {**columns, str(names[0]): [rows[0][0]]},
        "columns of columns": {name: [[cell] for cell in column] for name, column in columns.items()},
        "ragged rows": [rows[0], rows[1][:-1]],
        "rows": rows,
        "empty object": {},
        "a text": "text",
        "a number": 7,
        "null": None,
        "true": True,
    }
    for name, value in inputs.items():
        yield request(f"inputs: {name}", {"inputs": value}, "inputs", f"inputs: {name}")
    twice = json.dumps(record)[:-1] + f', "{names[0]}": {json.dumps(rows[0][0])}}}'
    yield request("a key twice in a record", f'{{"dataframe_records": [{twice}]}}', "key twice")
    yield from _odd_csv(table)


def _odd_csv(table: Table) -> Iterator[Request]:
    good = table.encode("csv").decode()
    head, *lines = good.splitlines()
    texts = {
        "no end of line": good.rstrip("\n"),
        "CRLF": good.replace("\n", "\r\n"),
        "byte order mark": "\ufeff" + good,
        "blank lines": f"{head}\n\n{lines[0]}\n\n",
        "head only": head + "\n",
        "empty": "",
        "white space": " \n \n",
        "semicolons": good.replace(",", ";"),
        "a row too long": f"{head}\n{lines[0]}\n{lines[1]},1,2\n",
        "a row too short": f"{head}\n{lines[0]}\n{lines[1].rpartition(',')[0]}\n",
        "spaces after commas": good.replace(",", ", "),
        "an index column": "\n".join([f",{head}", *(f"{n},{line}" for n, line in enumerate(lines))]),
        "a column twice": "\n".join([f"{head},{head.split(',')[0]}", *(f"{line},1" for line in lines)]),
        "open quote": good + '"',
        "NUL": good.replace("\n", "\x00\n"),
        "JSON": '{"inputs": [1]}',
    }
    for name, text in texts.items():
        yield request(f"csv: {name}", text, "csv", f"csv: {name}", content_type=CSV)


def _params(subject: Subject, random: Random) -> Iterator[Request]:
    values: tuple[Any, ...] = (
        *(None, True, 0, 1, -7, 2.0, 1.5, 2**31, 2**53 + 1, 2**63, 10**400, float("nan"), "text", "7", ""),
        *("2026-01-02", "2026-01-02T03:04:05", [], [1], [1.5], ["a"], [[1]], {}),
    )
    table = make_table(subject.takes, 1, random)
    names = (
        ("factor",)
        if subject.name == "workbench"
        else ("text", "whole", "small", "ratio", "single", "flag", "at", "many")
    )
    for name in names:
        for value in values:
            form = random.choice(FORMATS[:-1])
            body = {form: table.content(form), "params": {name: value}}
            yield request(f"param {name}={value!r}"[:60], body, f"param {name}", f"param {name}: {value!r}"[:60])
    if subject.name == "workbench":
        modes = ("float32", "nonfinite", "table", "series", "list", "nested", "bytes", "strings", "big", "unencodable")
        for mode in (*modes, "raise", "unknown"):
            body = {"dataframe_records": [{"x": 1.1}, {"x": 2.0}], "params": {"mode": mode}}
            yield request(f"mode {mode}", body, f"mode {mode}")


def _hinted(subject: Subject, random: Random) -> Iterator[Request]:
    """Go through what a type hint's own validation makes of each value."""
    for number, (label, value) in enumerate(CELLS):
        if len(subject.takes) == 1:
            yield request(f"hinted {label} #{number}", {"inputs": ["good", value]}, f"hinted {label}")
            continue
        names = [column.name or "" for column in subject.takes]
        for name in (*names, "note", "tags"):
            row = _row(subject.takes, random) | {name: value}
            yield request(f"hinted {label} #{number} in {name}", {"inputs": [row]}, f"hinted {label} in {name}")


def _row(takes: tuple[Column, ...], random: Random) -> dict[str, Any]:
    return {column.name or "": column.cell(random) for column in takes}
