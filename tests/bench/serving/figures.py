"""What was measured, as it is written to a file, and what it comes to. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, order=True)
class Case:
    """What is asked of a server: a table of so many rows for a model, on so many connections at once."""

    model: str
    rows: int
    connections: int


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One run of the load generator; what it counts is described in loadgen/main.go."""

    kind: str
    """`closed`, `open` or `overload`."""
    label: str = ""
    """For an open loop, how its rate was chosen."""
    rate: float = 0
    way: str
    model: str
    rows: int
    connections: int
    round: int
    sent: int
    correct: int
    near: int = 0
    wrong: int = 0
    statuses: Mapping[str, int] = field(default_factory=dict)
    broken: int = 0
    given_up: int = 0
    unanswered: int = 0
    in_time: int = 0
    reconnects: int = 0
    seconds: float
    per_second: Sequence[int] = ()
    in_time_per_second: Sequence[int] = ()
    planned: float = 0
    """For how many seconds requests were due."""
    p50: float = 0
    p90: float = 0
    p99: float = 0
    p999: float = 0
    max: float = 0
    load_cpu: float = 0
    server_cpu: float = 0

    @property
    def case(self) -> Case:
        """The case that was run."""
        return Case(self.model, self.rows, self.connections)

    @property
    def rate_correct(self) -> float:
        """Correct answers a second."""
        return self.correct / self.seconds if self.seconds else 0

    @property
    def goodput(self) -> float:
        """Correct answers a second that came in time, while requests came; the first second only fills queues."""
        steady = self.in_time_per_second[1 : int(self.planned)]
        return sum(steady) / (int(self.planned) - 1) if self.planned >= 2 else self.in_time / self.seconds

    @property
    def failed(self) -> int:
        """How many requests had no correct answer, those that were never sent left out."""
        return self.wrong + self.broken + self.unanswered + sum(self.statuses.values())


@dataclass(frozen=True)
class Start:
    """From exec to the first correct answer. Number 0 is the first start of that server in the run."""

    server: str
    model: str
    number: int
    seconds: float


@dataclass(frozen=True)
class Held:
    """The memory of a server after the one-row cases, in megabytes."""

    server: str
    model: str
    rss: float
    pss: float
    processes: int


@dataclass(frozen=True)
class Missing:
    """What was not measured, and why."""

    way: str
    model: str
    rows: int
    reason: str


@dataclass
class Results:
    """A run."""

    about: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    engines: dict[str, str] = field(default_factory=dict)
    """What the runtime says that it runs each model with."""
    cells: list[Cell] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)
    memory: list[Held] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    bare: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    """Calls a second without a server, by model, rows and way."""

    def to_json(self) -> dict[str, Any]:
        """Return what a file holds."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Results:
        """Read what a file holds."""
        return cls(
            about=dict(content["about"]),
            versions=dict(content["versions"]),
            engines=dict(content["engines"]),
            cells=[Cell(**item) for item in content["cells"]],
            starts=[Start(**item) for item in content["starts"]],
            memory=[Held(**item) for item in content["memory"]],
            missing=[Missing(**item) for item in content["missing"]],
            bare=dict(content["bare"]),
        )

    def closed(self, way: str, case: Case) -> dict[int, Cell]:
        """Return the closed-loop cells of a way and a case, by round."""
        return {cell.round: cell for cell in self.cells if (cell.kind, cell.way, cell.case) == ("closed", way, case)}

    def opened(self, kind: str, way: str, label: str) -> list[Cell]:
        """Return the open-loop cells of a way."""
        return [cell for cell in self.cells if (cell.kind, cell.way, cell.label) == (kind, way, label)]

    def cases(self) -> list[Case]:
        """List the cases of the closed loop, in the order of the run."""
        return list(dict.fromkeys(cell.case for cell in self.cells if cell.kind == "closed"))


@dataclass(frozen=True)
class Summary:
    """Several measurements of one thing."""

    median: float
    low: float
    high: float

    @property
    def spread(self) -> float:
        """Half of what lies between the lowest and the highest, as a share of the median."""
        return (self.high - self.low) / 2 / self.median if self.median else 0


def summarize(values: Iterable[float]) -> Summary | None:
    """Return median and range; None without any value."""
    found = sorted(values)
    return Summary(statistics.median(found), found[0], found[-1]) if found else None


def throughput(results: Results, way: str, case: Case) -> Summary | None:
    """Return correct answers a second in the closed loop."""
    return summarize(cell.rate_correct for cell in results.closed(way, case).values())


def best_by_round(results: Results, ways: Iterable[str], cases: Sequence[Case]) -> dict[int, float]:
    """Return the most rows a second that any of these ways did in any of these cases, round by round."""
    best: dict[int, float] = {}
    for way in ways:
        for case in cases:
            for number, cell in results.closed(way, case).items():
                best[number] = max(best.get(number, 0), cell.rate_correct * case.rows)
    return best


def ratio(over: Mapping[int, float], under: Mapping[int, float]) -> Summary | None:
    """Divide within each round, where both met the same machine, and summarize the quotients."""
    return summarize(over[number] / under[number] for number in over if under.get(number))


def per_cpu_second(cells: Iterable[Cell]) -> Summary | None:
    """Return correct answers for each second of the server's CPU."""
    return summarize(cell.correct / cell.server_cpu for cell in cells if cell.server_cpu)


def best_way(results: Results, ways: Iterable[str], case: Case) -> str | None:
    """Return the way with the highest median."""
    found = {way: summary.median for way in ways if (summary := throughput(results, way, case))}
    return max(found, key=lambda way: found[way]) if found else None
