"""The table of docs/benchmarks. Pure: all of it comes from the results, so it can be written again from their file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.bench.serving.figures import (
    Case,
    Cell,
    Results,
    Summary,
    best_by_round,
    per_cpu_second,
    ratio,
    summarize,
    throughput,
)
from tests.bench.serving.peers import MLFLOW, OURS, PEER_WAYS, SERVERS, WAYS
from tests.bench.serving.plan import LATENCY, OVERLOAD, OVERLOAD_CONNECTIONS
from tests.bench.serving.reach import LONG, Goal, goals
from tests.bench.serving.subject import NAMES

BUSY = 0.9
"""From here on the load generator may be what limits: its share of its core."""


def report(results: Results) -> str:
    """Write the page."""
    return "\n\n".join(part for part in (*_head(results), *_measured(results), *_how(results)) if part) + "\n"


def reach_table(results: Results) -> str:
    """Write what was to be reached, and what was."""
    rows = []
    for goal in goals(results):
        rows.append([goal.case, goal.what, _bound(goal), _goal(goal), goal.verdict])
    return table(["case", "what", "to reach", "median (lowest - highest round)", ""], rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(value: float) -> str:
    """Write a number with three digits that count."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _spread(summary: Summary | None) -> str:
    return f"{number(summary.median)} ±{summary.spread:.0%}" if summary else "-"


def _bound(goal: Goal) -> str:
    return f"{'at most' if goal.at_most else 'at least'} {goal.bound:g} {goal.unit}".strip()


def _goal(goal: Goal) -> str:
    if goal.got is None:
        return "-"
    unit = f" {goal.unit}" if goal.unit else ""
    return f"{number(goal.got.median)}{unit} ({number(goal.got.low)} - {number(goal.got.high)})"


def _head(results: Results) -> list[str]:
    about = results.about
    note = (
        "" if about.get("complete") else "**Not a full run: these figures say that the bench works, and nothing else.**"
    )
    return [
        "# The serving runtime beside its peers",
        "Written by `make bench-serving` ([how it measures](../../tests/bench/README.md)); the numbers are in"
        " [serving.json](serving.json).",
        note,
        "{processor}, {cores} cores, {memory_gb} GB, Linux {kernel}, Python {python}; {date}, load before the run"
        " {load}. One worker on one core, the load on another, {rounds} interleaved rounds; `±` is half of the range"
        " of the rounds.".format_map(about),
        "![Requests a second of each server, by model, rows and connections](serving.png)",
        "## Reach",
        "Ratios are taken within each round, where both met the same machine.",
        reach_table(results),
    ]


def _measured(results: Results) -> list[str]:
    parts = ["## Closed loop"]
    for rows in dict.fromkeys(case.rows for case in results.cases()):
        unit = "requests a second" if rows < 4096 else "rows a second"
        parts += [f"### {rows:,} row{'s' * (rows > 1)} a request: {unit}", _throughput_table(results, rows)]
    parts += ["### Latency, LogisticRegression, 1 row: p50 / p99 in ms", _latency_table(results)]
    parts += [
        "## Open loop, LogisticRegression, 1 row, 8 connections",
        "Requests are due on a fixed schedule and latency counts from then on. Capacity is that of each server.",
        _open_table(results),
        "## Three times capacity",
        f"RandomForest(100), 64 rows, {OVERLOAD_CONNECTIONS} connections, requests due at three times the rate of the"
        " closed loop with 64 connections. Who finds no free connection within 1 s gives up.",
        _overload_table(results),
        "## Start, memory, CPU (LogisticRegression)",
        "From exec to the first correct answer: the first start of the run, and the starts after it with a warm page"
        " cache. Memory is after the one-row cases; a process that shares pages counts them, PSS splits them.",
        _server_table(results),
        "## The model without a server, calls a second",
        _bare_table(results),
    ]
    return parts


def _how(results: Results) -> list[str]:
    engines = table(["model", "", "engine"], [[name, NAMES[name], engine] for name, engine in results.engines.items()])
    versions = [
        [where, ", ".join(f"{name} {version}" for name, version in sorted(found.items()))]
        for where, found in results.versions.items()
    ]
    return [
        "## Not measured, and not answered",
        _missing(results),
        "## Models and versions",
        engines,
        table(["environment", "versions"], versions),
    ]


def _throughput_table(results: Results, rows: int) -> str:
    ways = [way.name for way in WAYS if any(cell.way == way.name and cell.rows == rows for cell in results.cells)]
    scale = rows if rows >= 4096 else 1
    lines = []
    for case in (case for case in results.cases() if case.rows == rows):
        cells = []
        for way in ways:
            found = throughput(results, way, case)
            scaled = found and Summary(found.median * scale, found.low * scale, found.high * scale)
            marked = any(_suspect(cell) for cell in results.closed(way, case).values())
            cells.append(_spread(scaled) + (" \\*" if marked else ""))
        ours = best_by_round(results, [OURS, *LONG], [case])
        times = [_times(ours, best_by_round(results, group, [case])) for group in ([MLFLOW], PEER_WAYS)]
        lines.append([case.model, str(case.connections), *cells, *times])
    return table(["model", "connections", *ways, "to mlflow", "to the best peer"], lines)


def _suspect(cell: Cell) -> bool:
    return cell.failed > 0 or cell.load_cpu > BUSY * cell.seconds


def _times(over: dict[int, float], under: dict[int, float]) -> str:
    found = ratio(over, under)
    return f"{number(found.median)}x" if found else "-"


def _latency_table(results: Results) -> str:
    lines = []
    connections = sorted({case.connections for case in results.cases() if (case.model, case.rows) == ("lr", 1)})
    for way in WAYS:
        cells = [_percentiles(results.closed(way.name, Case("lr", 1, count)).values()) for count in connections]
        if any(cell != "-" for cell in cells):
            lines.append([way.name, *cells])
    return table(["server", *(f"{count} connection{'s' * (count > 1)}" for count in connections)], lines)


def _percentiles(cells: Iterable[Cell]) -> str:
    found = list(cells)
    p50, p99 = summarize(cell.p50 for cell in found), summarize(cell.p99 for cell in found)
    return f"{number(p50.median)} / {number(p99.median)}" if p50 and p99 else "-"


def _open_table(results: Results) -> str:
    lines = []
    for way, label in dict.fromkeys((cell.way, cell.label) for cell in results.cells if cell.kind == "open"):
        cells = results.opened("open", way, label)
        figures = [summarize(getattr(cell, name) for cell in cells) for name in ("p50", "p99", "p999")]
        rate = summarize(cell.rate for cell in cells)
        unanswered = sum(cell.failed + cell.given_up for cell in cells)
        lines.append([way, label, _spread(rate).partition(" ")[0], *map(_spread, figures), f"{unanswered:,}"])
    return table(["server", "rate", "requests/s", "p50 ms", "p99 ms", "p99.9 ms", "without answer"], lines)


def _overload_table(results: Results) -> str:
    lines = []
    for way in dict.fromkeys(cell.way for cell in results.cells if cell.kind == "overload"):
        cells = results.opened("overload", way, "overload")
        peak = throughput(results, way, OVERLOAD)
        if peak is None or not peak.median:
            continue
        correct = summarize(cell.rate_correct / peak.median for cell in cells)
        in_time = summarize(cell.goodput / peak.median for cell in cells)
        refused: dict[str, int] = {}
        for cell in cells:
            for status, count in cell.statuses.items():
                refused[status] = refused.get(status, 0) + count
        p99 = summarize(cell.p99 for cell in cells)
        lines.append(
            [
                way,
                number(peak.median),
                f"{correct.median:.0%}" if correct else "-",
                f"{in_time.median:.0%}" if in_time else "-",
                _spread(p99),
                ", ".join(f"{count:,} x {status}" for status, count in sorted(refused.items())) or "-",
                f"{sum(cell.given_up for cell in cells):,}",
                f"{sum(cell.broken + cell.unanswered for cell in cells):,}",
            ]
        )
    head = ["server", "peak requests/s", "correct, to peak", "correct within 1 s, to peak", "p99 ms of correct"]
    return table([*head, "refused", "gave up", "broken or unanswered"], lines)


def _server_table(results: Results) -> str:
    lines = []
    for server in SERVERS:
        starts = [start for start in results.starts if start.server == server and start.model == LATENCY.model]
        if not starts:
            continue
        memory = next((held for held in results.memory if (held.server, held.model) == (server, LATENCY.model)), None)
        way = next(way.name for way in WAYS if way.server == server)
        cpu = [per_cpu_second(results.closed(way, Case(LATENCY.model, 1, count)).values()) for count in (1, 64)]
        lines.append(
            [
                server,
                *(
                    _spread(summarize(start.seconds for start in group))
                    for group in ([s for s in starts if s.number == 0], [s for s in starts if s.number])
                ),
                f"{memory.rss:.0f} ({memory.pss:.0f})" if memory else "-",
                str(memory.processes) if memory else "-",
                *map(_spread, cpu),
            ]
        )
    head = ["server", "first start s", "start s", "RSS (PSS) MB", "processes"]
    return table([*head, "requests per CPU second, 1 connection", "64 connections"], lines)


def _bare_table(results: Results) -> str:
    names = list(dict.fromkeys(name for by in results.bare.values() for figures in by.values() for name in figures))
    lines = [
        [model, f"{int(rows):,}", *(number(figures[name]) if name in figures else "-" for name in names)]
        for model, by_rows in results.bare.items()
        for rows, figures in by_rows.items()
    ]
    return table(["model", "rows", *names], lines)


def _missing(results: Results) -> str:
    lines = [[one.way, one.model, f"{one.rows:,}", _cell(one.reason)] for one in results.missing]
    lines.append(["all", "wide", "4,096", "with 8 and 64 connections: each body has 18 MB of JSON"])
    for cell in results.cells:
        if cell.failed and cell.kind != "overload":
            what = [f"{count} x HTTP {status}" for status, count in cell.statuses.items()]
            what += [
                f"{getattr(cell, name)} {name}" for name in ("wrong", "broken", "unanswered") if getattr(cell, name)
            ]
            lines.append([cell.way, cell.model, f"{cell.rows:,}", f"connections {cell.connections}: {', '.join(what)}"])
    busy = [cell for cell in results.cells if cell.kind == "closed" and cell.load_cpu > BUSY * cell.seconds]
    note = (
        f"Cells with `*`: requests that failed, or a load generator that was busy for more than {BUSY:.0%} of the time"
    )
    return table(["server", "model", "rows", "why"], lines) + f"\n\n{note} ({len(busy)} cells of this kind)."


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
