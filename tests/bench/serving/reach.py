"""What the runtime is to reach, and whether a run shows it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.bench.serving.figures import Case, Results, Summary, best_by_round, best_way, ratio, summarize, throughput
from tests.bench.serving.peers import FLOORS, MLFLOW, OURS, PEER_WAYS, WAYS
from tests.bench.serving.plan import LATENCY, OVERLOAD, OVERLOAD_CONNECTIONS

LONG = ("Modelvane binary tensors", "Modelvane Arrow")
OUR_WAYS = tuple(way.name for way in WAYS if way.server == OURS)


@dataclass(frozen=True)
class Goal:
    """One line of the reach."""

    case: str
    what: str
    bound: float
    got: Summary | None
    unit: str = "x"
    at_most: bool = False

    @property
    def passed(self) -> bool | None:
        """Compare the median; None where it was not measured."""
        if self.got is None:
            return None
        return self.got.median <= self.bound if self.at_most else self.got.median >= self.bound

    @property
    def verdict(self) -> str:
        """Say it in a word."""
        return {True: "pass", False: "FAIL", None: "not measured"}[self.passed]


def goals(results: Results) -> list[Goal]:
    """Compute every line."""
    lr, rf = Case("lr", 1, 64), Case("rf", 1, 64)
    peer, floor = best_way(results, PEER_WAYS, lr), best_way(results, FLOORS, lr)
    lines = [
        Goal(
            "LogisticRegression, 1 row, 64 connections",
            "requests/s to mlflow's",
            50,
            _times(results, [OURS], [MLFLOW], [lr]),
        ),
        Goal("", f"requests/s to the best peer's ({peer or 'none'})", 10, _times(results, [OURS], [peer or ""], [lr])),
        Goal(
            "", f"requests/s to the best echo's ({floor or 'none'})", 0.5, _times(results, [OURS], [floor or ""], [lr])
        ),
        Goal("RandomForest(100), 1 row, 64 connections", "requests/s to mlflow's", 80, _mlflow(results, rf)),
        Goal(
            "opaque PythonModel, 1 row, 1 connection",
            "requests/s to mlflow's",
            4,
            _mlflow(results, Case("opaque", 1, 1)),
        ),
        Goal(
            "opaque PythonModel, 1 row, 64 connections",
            "requests/s to mlflow's",
            20,
            _mlflow(results, Case("opaque", 1, 64)),
        ),
        Goal(
            "LogisticRegression, 64 rows, 8 connections",
            "requests/s to mlflow's",
            15,
            _mlflow(results, Case("lr", 64, 8)),
        ),
        Goal(
            "RandomForest(100), 64 rows, 8 connections",
            "requests/s to mlflow's",
            15,
            _mlflow(results, Case("rf", 64, 8)),
        ),
        Goal(
            "LogisticRegression, 4,096 rows, binary or Arrow",
            "rows/s to those of mlflow's JSON, each at its best number of connections",
            50,
            _times(results, LONG, [MLFLOW], [Case("lr", 4096, connections) for connections in (1, 8, 64)]),
        ),
    ]
    return lines + _limits(results)


def _limits(results: Results) -> list[Goal]:
    """Compute what does not depend on a peer."""
    half = results.opened("open", OURS, "50% of capacity")
    starts = [start for start in results.starts if start.server == OURS and start.number > 0]
    memory = [held.rss for held in results.memory if held.server == OURS and held.model == "lr"]
    peak = throughput(results, OURS, OVERLOAD)
    overload = results.opened("overload", OURS, "overload")
    goodput = summarize(cell.goodput / peak.median for cell in overload) if peak else None
    ours = [cell for cell in results.cells if cell.way in OUR_WAYS]
    wrong = Summary(*[float(sum(cell.wrong for cell in ours))] * 3) if ours else None
    return [
        Goal(
            "LogisticRegression, 1 row, 8 connections",
            "p99, closed loop",
            5,
            summarize(cell.p99 for cell in results.closed(OURS, LATENCY).values()),
            "ms",
            at_most=True,
        ),
        Goal("", "p99, open loop at half of capacity", 5, summarize(cell.p99 for cell in half), "ms", at_most=True),
        Goal(
            "exec to first correct answer, warm page cache",
            "LogisticRegression",
            1,
            summarize(start.seconds for start in starts),
            "s",
            at_most=True,
        ),
        Goal("memory of one worker", "LogisticRegression, resident", 150, summarize(memory), "MB", at_most=True),
        Goal(
            f"three times capacity, RandomForest(100), 64 rows, {OVERLOAD_CONNECTIONS} connections",
            "correct answers within 1 s, to peak",
            0.9,
            goodput,
        ),
        Goal("every case", "wrong answers", 0, wrong, "", at_most=True),
    ]


def _mlflow(results: Results, case: Case) -> Summary | None:
    return _times(results, [OURS], [MLFLOW], [case])


def _times(results: Results, over: Iterable[str], under: Iterable[str], cases: Sequence[Case]) -> Summary | None:
    return ratio(best_by_round(results, over, cases), best_by_round(results, under, cases))
