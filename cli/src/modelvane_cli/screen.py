"""What reaches the user: colour and a live view on a terminal, plain text in a pipe, JSON when asked for."""

import json
import os
import sys
from collections.abc import Iterator
from typing import Any

from rich.console import Console, RenderableType

PIPE_WIDTH = 2000
"""Nobody folds the lines of a pipe for a reader; programs want each thing on its own line."""


def open_console() -> Console:
    """Open the console on standard output."""
    wide = None if sys.stdout.isatty() or os.environ.get("COLUMNS") else PIPE_WIDTH
    return Console(file=sys.stdout, width=wide, highlight=False, emoji=False, markup=False)


def show(console: Console, drawn: RenderableType) -> None:
    """Print something drawn; in a pipe without the spaces that fill a line."""
    if console.is_terminal:
        console.print(drawn)
        return
    for text in plain_lines(console, drawn):
        print(text)


def plain_lines(console: Console, drawn: RenderableType) -> Iterator[str]:
    """Return what was drawn as lines without colour and without trailing spaces."""
    for segments in console.render_lines(drawn, pad=False):
        yield "".join(segment.text for segment in segments if not segment.control).rstrip()


def show_json(document: Any, *, compact: bool = False) -> None:
    """Print a document as JSON: indented for a person who looks, one line for each where a stream is read."""
    print(json.dumps(document, indent=None if compact else 2, ensure_ascii=False), flush=True)
