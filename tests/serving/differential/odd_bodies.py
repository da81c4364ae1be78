"""Requests that are odd as a whole: bodies of no form, and good tables in odd wrappings."""

import json
from collections.abc import Iterator
from random import Random
from typing import Any

from tests.serving.differential.corpus import Subject
from tests.serving.differential.tables import CSV, Request, make_table, request


def odd_values() -> Iterator[Request]:
    """Make bodies that no model takes, or that have no form at all."""
    bodies: dict[str, Any] = {
        "empty": b"",
        "white space": b"  ",
        "not JSON": b"{inputs",
        "cut off": b'{"inputs": [1, 2',
        "more after the end": b'{"inputs": [1]} 1',
        "not UTF-8": b'{"inputs": "\xff"}',
        "UTF-16": '{"inputs": [1]}'.encode("utf-16"),
        "half of a surrogate pair": b'{"inputs": ["\\ud800"]}',
        "a list": [[1, 2]],
        "a number": 7,
        "null": b"null",
        "a text": '"text"',
        "NaN alone": b"NaN",
        "empty object": {},
        "no format": {"data": [[1]]},
        "two formats": {"inputs": [[1]], "instances": [[1]]},
        "deep": b'{"inputs": ' + b"[" * 3000 + b"]" * 3000 + b"}",
        "deep list of objects": b'{"inputs": ' + b'[{"a":' * 500 + b"1" + b"}]" * 500 + b"}",
        "messages": {"messages": [{"role": "user", "content": "hello"}]},
        "prompt": {"prompt": "hello"},
        "input": {"input": ["hello"]},
        "signature name": {"signature_name": "x", "inputs": [[1]]},
    }
    for name, value in bodies.items():
        yield request(f"body: {name}", value, f"body: {name}")


def odd_bodies(subject: Subject, random: Random) -> Iterator[Request]:
    """Make good tables in odd wrappings."""
    form = "inputs" if subject.type_hint else "dataframe_split"
    table = make_table(subject.takes, 2, random)
    content = table.content("dataframe_records") if subject.type_hint and table.names[0] != 0 else table.content(form)
    body = json.dumps({form: content})
    kinds = (
        *("application/json; charset=utf-8", "application/json;charset=UTF-8", 'application/json; charset="utf-8"'),
        *("application/json; charset=utf8", "application/json; charset=latin-1", "application/json; version=2"),
        *("application/json; charset", "application/json;", "Application/JSON", " application/json ", "text/json"),
        *("application/x-www-form-urlencoded", "text/plain", "application/json, text/csv", "", "json", "a/b;c=d;e"),
        *("application/vnd.api+json", "multipart/form-data; boundary=x", "text/csv; header=present", None),
    )
    for kind in kinds:
        yield request(f"content type {kind!r}", body, f"content type {kind!r}", content_type=kind)
    csv = table.encode("csv")
    for kind in ("text/csv; charset=utf-8", "TEXT/CSV", "text/csv; charset=utf-16"):
        yield request(f"CSV, content type {kind!r}", csv, f"content type {kind!r}", content_type=kind)
    yield request("CSV not UTF-8", csv + b"\xff", "not UTF-8", content_type=CSV)
    yield request("an unknown key beside", {form: content, "more": [1]}, "unknown key")
    yield request("a signature name beside", {form: content, "signature_name": "x"}, "signature name")
    yield request("messages beside", {form: content, "messages": []}, "messages beside")
    odd: tuple[Any, ...] = ({}, None, {"unknown": 1}, {"": None}, [], "text", 7, {"a": {"b": [1]}})
    for params in odd:
        yield request(f"params {params!r}", {form: content, "params": params}, f"params {params!r}")
    yield request("a format twice", f'{body[:-1]}, "{form}": {json.dumps(content)}}}', "key twice")
    yield request("UTF-8 with a byte order mark", b"\xef\xbb\xbf" + body.encode(), "byte order mark")
    yield request("white space around", f" \n\t{body}\r\n ")
    yield request("written with escapes", json.dumps({form: content}, ensure_ascii=True, indent=2))
    yield request("written without escapes", json.dumps({form: content}, ensure_ascii=False))
