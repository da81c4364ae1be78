"""The demo's voice in the terminal: steps with their seconds, commands, and a table that stays in place."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TextIO

WIDTH = 92


class Screen:
    """Prints for a person on a terminal, and line by line for a log."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out
        self.is_terminal = out.isatty()
        self._colour = self.is_terminal and "NO_COLOR" not in os.environ
        self._drawn = 0
        self._sentence = ""

    def say(self, text: str = "") -> None:
        """Print text as it is."""
        print(text, file=self._out, flush=True)

    def heading(self, text: str) -> None:
        """Begin a part of the story."""
        self.say(f"\n{self._style('1', text)}")

    def note(self, text: str) -> None:
        """Print something beside the story, such as a command that the reader could type."""
        for line in text.splitlines():
            self.say(self._style("2", f"      {line}"))

    @contextlib.contextmanager
    def step(self, text: str) -> Iterator[list[str]]:
        """Do something and print one line with its seconds; what is put into the list is added to the line."""
        if self.is_terminal:
            print(f"  … {text}", end="", file=self._out, flush=True)
        began = time.monotonic()
        outcome: list[str] = []
        try:
            yield outcome
        except BaseException:
            self._finish("✗", "31", text, time.monotonic() - began)
            raise
        self._finish("✓", "32", ": ".join([text, *outcome]), time.monotonic() - began)

    def live(self, table: Sequence[str], line: str, sentence: str) -> None:
        """Show the present state: a table that replaces the last one, or a line where nothing can be replaced."""
        if not self.is_terminal:
            if sentence != self._sentence:
                self.note(sentence)
            self._sentence = sentence
            self.say(f"      {line}")
            return
        if self._drawn:
            print(f"\x1b[{self._drawn}A\x1b[J", end="", file=self._out)
        # A row that wraps would take two lines, and the next table would be drawn in the wrong place.
        width = shutil.get_terminal_size().columns - 1
        for row in (*table, sentence):
            self.say(f"      {row}"[:width])
        self._drawn = len(table) + 1

    def settle(self) -> None:
        """Leave the table where it is; what comes next is printed below."""
        self._drawn = 0

    def _finish(self, mark: str, colour: str, text: str, seconds: float) -> None:
        start = "\r\x1b[K" if self.is_terminal else ""
        dots = " " * max(1, WIDTH - len(text) - 12)
        self.say(f"{start}  {self._style(colour, mark)} {text}{dots}{seconds:5.1f} s")

    def _style(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text
