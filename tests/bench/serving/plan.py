"""What is measured, and for how long. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.bench.serving.figures import Case

ROWS = (1, 64, 4096)
CONNECTIONS = (1, 8, 64)
# Those of the reach, which are measured for longer.
REACH = frozenset(
    {
        Case("lr", 1, 64),
        Case("rf", 1, 64),
        Case("opaque", 1, 1),
        Case("opaque", 1, 64),
        Case("lr", 1, 8),
        Case("lr", 64, 8),
        Case("rf", 64, 8),
        *(Case("lr", 4096, connections) for connections in CONNECTIONS),
    }
)
LATENCY = Case("lr", 1, 8)
OVERLOAD = Case("rf", 64, 64)
OVERLOAD_CONNECTIONS = 512
OVERLOAD_TIMES = 3


@dataclass(frozen=True)
class Plan:
    """How much of it."""

    models: Sequence[str]
    rounds: int
    seconds: float
    """Of one run of the load generator."""
    reach_seconds: float
    open_seconds: float
    open_shares: Sequence[float]
    """Rates of the open loop, as shares of what the server does in the closed loop."""
    fixed_rate: float
    """A rate that all servers are asked at."""
    starts: int
    """How often each server is started for the first model, after a first start that fills caches."""
    bare_seconds: float
    rows: Sequence[int] = ROWS
    connections: Sequence[int] = CONNECTIONS

    def cases(self, model: str) -> Iterator[Case]:
        """List the cases of a model."""
        for rows in self.rows:
            for connections in self.connections:
                # 600 columns of 4,096 rows are 18 MB of JSON: dozens at once would measure the memory.
                if not (model == "wide" and rows == 4096 and connections > 1):
                    yield Case(model, rows, connections)

    def duration(self, case: Case) -> float:
        """Return for how long a case is run."""
        return self.reach_seconds if case in REACH else self.seconds

    def questions(self, model: str, rows: int) -> int:
        """Return how many different tables are asked: fewer of the large ones, which take long to check."""
        return 64 if rows < 4096 else 2 if model == "wide" else 8


FULL = Plan(
    models=("lr", "rf", "xgb", "wide", "text", "opaque"),
    rounds=3,
    seconds=1.0,
    reach_seconds=2.5,
    open_seconds=4.0,
    open_shares=(0.5, 0.8),
    fixed_rate=150,
    starts=3,
    bare_seconds=0.5,
)
QUICK = Plan(
    models=("lr", "opaque"),
    rounds=1,
    seconds=0.25,
    reach_seconds=0.5,
    open_seconds=2.0,
    open_shares=(0.5,),
    fixed_rate=100,
    starts=1,
    bare_seconds=0.1,
    rows=(1, 64, 4096),
    connections=(1, 8, 64),
)
