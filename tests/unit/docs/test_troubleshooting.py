"""Every reason that a status may have is explained in the docs."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
SOURCES = (*(ROOT / "operator" / "src").rglob("*.py"), *(ROOT / "serving" / "src").rglob("failure.py"))
PAGES = (ROOT / "docs" / "troubleshooting.md", ROOT / "docs" / "webhooks.md")

WORD = re.compile("(?!True|False|Unknown)[A-Z][A-Za-z]+")
CARRIERS = {"Failure", "Hold", "Unreachable", "UnreachableError", "RefusedError"}
"""What is made of a reason and a sentence."""
COMPOSED = {"RouteNotAccepted", "RoutePending", "SecretMissing", "ConfigMapMissing"}
"""Those that the source puts together of two parts."""


def find_reasons(tree: ast.AST) -> Iterator[str]:
    """Find the constants of reasons, those given to their carriers, and the second words of conditions."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name.startswith("REASON_"):
                yield from words(value)
            case ast.AnnAssign(annotation=ast.Name(id="Final"), value=ast.expr() as value):
                yield from words(value)
            case ast.Call(func=ast.Name(id=name), args=[first, *_]) if name in CARRIERS:
                yield from words(first)
            case ast.Tuple(elts=[ast.Constant(value="True" | "False" | "Unknown"), second, _]):
                yield from words(second)
            case ast.Return(value=ast.Tuple(elts=[first, _])):
                yield from words(first)


def words(value: ast.expr) -> Iterator[str]:
    """Return the reasons that an expression may be."""
    match value:
        case ast.IfExp(body=body, orelse=other):
            yield from (*words(body), *words(other))
        case ast.Constant(value=str(text)) if WORD.fullmatch(text):
            yield text


def test_every_reason_has_a_row() -> None:
    found = {reason for path in SOURCES for reason in find_reasons(ast.parse(path.read_text()))} | COMPOSED
    assert {"Serving", "PodRefused", "NameTaken", "Paused", "TLSFailed", "NoReceiver", "DigestMismatch"} <= found
    rows = "\n".join(line for page in PAGES for line in page.read_text().splitlines() if line.startswith("|"))
    assert sorted(found - set(re.findall(r"`(\w+)`", rows))) == []
