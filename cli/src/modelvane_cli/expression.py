"""The condition of `promote --if`: parsed into a value, evaluated against metrics, never run as code. Pure.

    condition  = all { "or" all }
    all        = term { "and" term }
    term       = "(" condition ")" | operand comparison operand
    operand    = number | metric | pointer "." metric
    comparison = ">=" | "<=" | ">" | "<" | "==" | "!="

A metric whose name has other characters than letters, digits, `_`, `/` and `-` is written in double quotes, and so
is one with a dot in it, because what stands before the first dot is a pointer.
"""

import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

LONGEST = 2000
DEEPEST = 20

_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
    "!=": operator.ne,
}
_HINTS = {
    "&": '; write "and"',
    "|": '; write "or"',
    "=": "; write ==, >= or <=",
    "'": "; write names in double quotes",
}
_WORD = r"[^\W\d][\w/-]*"
_QUOTED = r'"(?:[^"\\]|\\["\\])*"'
_TOKEN = re.compile(
    rf"""\s*(?:
      (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
    | (?P<metric>(?:{_WORD}|{_QUOTED})(?:\.(?:{_WORD}(?:\.[\w/-]+)*|{_QUOTED}))?)
    | (?P<comparison>>=|<=|==|!=|>|<)
    | (?P<bracket>[()])
    )""",
    re.VERBOSE,
)
_NAME = re.compile(rf"(?:({_WORD}|{_QUOTED})\.)?({_WORD}(?:\.[\w/-]+)*|{_QUOTED})")
_PLAIN = re.compile(_WORD)


class ExpressionError(ValueError):
    """The condition cannot be understood. The message says where and what was expected."""


@dataclass(frozen=True)
class Number:
    """A number as it was written."""

    value: float

    def __str__(self) -> str:
        """Write it so that reading it again gives the same number."""
        whole = self.value.is_integer() and abs(self.value) < 1e15
        return str(int(self.value)) if whole else repr(self.value)


@dataclass(frozen=True)
class Metric:
    """A metric of the candidate, or of the version that a stage or alias names."""

    name: str
    pointer: str | None = None

    def __str__(self) -> str:
        """Write it, quoted where it must be."""
        return f"{_quote(self.pointer)}.{_quote(self.name)}" if self.pointer else _quote(self.name)


@dataclass(frozen=True)
class Comparison:
    """Two operands and how they should stand to each other."""

    left: Number | Metric
    sign: str
    right: Number | Metric

    def __str__(self) -> str:
        """Write it with spaces."""
        return f"{self.left} {self.sign} {self.right}"


@dataclass(frozen=True)
class Both:
    """All parts must hold."""

    parts: tuple["Condition", ...]

    def __str__(self) -> str:
        """Write the parts, with brackets around what binds less."""
        return " and ".join(f"({part})" if isinstance(part, Both | Either) else str(part) for part in self.parts)


@dataclass(frozen=True)
class Either:
    """One part must hold."""

    parts: tuple["Condition", ...]

    def __str__(self) -> str:
        """Write the parts; "and" binds more, so only another "or" needs brackets."""
        return " or ".join(f"({part})" if isinstance(part, Either) else str(part) for part in self.parts)


Condition = Comparison | Both | Either


@dataclass(frozen=True)
class Compared:
    """One comparison with the numbers that were found."""

    comparison: Comparison
    left: float
    right: float
    met: bool

    def __str__(self) -> str:
        """Say it with the numbers beside the names: `f1 (0.93) >= production.f1 (0.91)`."""
        sides = ((self.comparison.left, self.left), (self.comparison.right, self.right))
        left, right = (f"{side} ({value:g})" if isinstance(side, Metric) else f"{value:g}" for side, value in sides)
        return f"{left} {self.comparison.sign} {right}"


@dataclass(frozen=True)
class Outcome:
    """Whether the condition holds, and each comparison of it in the order in which it was written."""

    met: bool
    compared: tuple[Compared, ...]


def parse(text: str) -> Condition:
    """Read a condition, or raise an `ExpressionError` that says what is wrong with it."""
    if len(text) > LONGEST:
        raise ExpressionError(f"a condition has at most {LONGEST} characters; got {len(text)}")
    reader = _Reader(text)
    condition = reader.either(0)
    reader.end()
    return condition


def metrics(condition: Condition) -> Iterator[Metric]:
    """Return every metric that a condition names."""
    if isinstance(condition, Comparison):
        yield from (side for side in (condition.left, condition.right) if isinstance(side, Metric))
        return
    for part in condition.parts:
        yield from metrics(part)


def evaluate(condition: Condition, values: Mapping[Metric, float]) -> Outcome:
    """Judge a condition. Every comparison is made, so that all of them can be told."""
    if isinstance(condition, Comparison):
        left, right = (side.value if isinstance(side, Number) else values[side] for side in _sides(condition))
        met = _COMPARE[condition.sign](left, right)
        return Outcome(met, (Compared(condition, left, right, met),))
    outcomes = [evaluate(part, values) for part in condition.parts]
    verdict = all if isinstance(condition, Both) else any
    return Outcome(
        verdict(outcome.met for outcome in outcomes),
        tuple(compared for outcome in outcomes for compared in outcome.compared),
    )


def _sides(comparison: Comparison) -> tuple[Number | Metric, Number | Metric]:
    return comparison.left, comparison.right


class _Reader:
    """Reads tokens one after the other, looking one ahead."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_tokens(text))
        self._next = 0

    def either(self, depth: int) -> Condition:
        parts = [self.both(depth)]
        while self._take_word("or"):
            parts.append(self.both(depth))
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def both(self, depth: int) -> Condition:
        parts = [self.term(depth)]
        while self._take_word("and"):
            parts.append(self.term(depth))
        return parts[0] if len(parts) == 1 else Both(tuple(parts))

    def term(self, depth: int) -> Condition:
        if self._peek() != ("bracket", "("):
            return self.comparison()
        if depth == DEEPEST:
            raise ExpressionError(f"brackets are nested more than {DEEPEST} deep")
        self._next += 1
        condition = self.either(depth + 1)
        if self._peek() != ("bracket", ")"):
            raise self._wrong('")"')
        self._next += 1
        return condition

    def comparison(self) -> Comparison:
        left = self.operand()
        kind, sign = self._peek()
        if kind != "comparison":
            raise self._wrong(f"one of {' '.join(_COMPARE)}")
        self._next += 1
        right = self.operand()
        if self._peek()[0] == "comparison":
            raise self._wrong('"and" or "or": two values are compared at a time, as in 0.8 < f1 and f1 < 0.9')
        comparison = Comparison(left, sign, right)
        if isinstance(left, Number) and isinstance(right, Number):
            raise ExpressionError(f'"{comparison}" compares two numbers; name a metric on one side at least')
        return comparison

    def operand(self) -> Number | Metric:
        kind, token = self._peek()
        if kind == "number":
            number = float(token)
            if not math.isfinite(number):
                raise self._wrong("a smaller number")
            self._next += 1
            return Number(number)
        if kind != "metric" or token.lower() in ("and", "or"):
            raise self._wrong("a number or the name of a metric")
        self._next += 1
        return _metric(token)

    def end(self) -> None:
        if self._next < len(self._tokens):
            raise self._wrong('"and", "or" or the end')

    def _peek(self) -> tuple[str, str]:
        if self._next >= len(self._tokens):
            return "end", ""
        kind, token, _ = self._tokens[self._next]
        return kind, token

    def _take_word(self, word: str) -> bool:
        kind, token = self._peek()
        found = kind == "metric" and token.lower() == word
        self._next += found
        return found

    def _wrong(self, expected: str) -> ExpressionError:
        if self._next >= len(self._tokens):
            return ExpressionError(f'"{self._text}" ends where it should have {expected}')
        _, token, start = self._tokens[self._next]
        return ExpressionError(f"at character {start + 1} is {token}, expected {expected}")


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if not match or not match.lastgroup:
            start = position + len(text[position:]) - len(text[position:].lstrip())
            wrong = text[start]
            hint = _HINTS.get(wrong, "")
            raise ExpressionError(f"at character {start + 1} is {wrong}, which begins nothing known here{hint}")
        yield match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)
        position = match.end()


def _metric(token: str) -> Metric:
    match = _NAME.fullmatch(token)
    if not match:  # The token was made by the same patterns.
        raise ExpressionError(f"{token} is not the name of a metric")
    pointer, name = (_unquote(part) if part else "" for part in match.groups())
    if not name or (match[1] and not pointer):
        raise ExpressionError("a name in quotes must not be empty")
    return Metric(name, pointer or None)


def _unquote(part: str) -> str:
    return re.sub(r"\\(.)", r"\1", part[1:-1]) if part.startswith('"') else part


def _quote(name: str) -> str:
    if _PLAIN.fullmatch(name) and name.lower() not in ("and", "or"):
        return name
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
