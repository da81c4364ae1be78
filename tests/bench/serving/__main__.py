"""The serving runtime beside its peers (`make bench-serving`): measures, and writes a table, a plot and the numbers."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench.serving import environments, peers
from tests.bench.serving.figures import Results
from tests.bench.serving.plan import FULL, QUICK
from tests.bench.serving.plot import draw
from tests.bench.serving.reach import goals
from tests.bench.serving.report import reach_table, report
from tests.bench.serving.rounds import Bench, cores, say

DOCS = Path(__file__).parents[3] / "docs" / "benchmarks"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write."""
    chosen = _parser().parse_args(arguments)
    # Servers that are held still would stay for ever.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    whole = not (chosen.quick or chosen.only or chosen.server or chosen.rounds)
    output: Path = chosen.output or (DOCS if whole else environments.cache() / "bench-serving")
    output.mkdir(parents=True, exist_ok=True)
    if chosen.report:
        results = Results.from_json(json.loads((output / "serving.json").read_text()))
    else:
        results = _measure(chosen, output, whole)
    write(results, output)
    print(reach_table(results))
    print(f"\nwritten to {output}")
    return 1 if chosen.strict and any(goal.passed is False for goal in goals(results)) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.serving", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two models and short runs: shows that the bench works")
    parser.add_argument("--only", choices=FULL.models, action="append", help="a model; left out: all")
    parser.add_argument("--server", choices=peers.SERVERS, action="append", help="a server; left out: all")
    parser.add_argument("--rounds", type=int, help="how often each case is measured")
    parser.add_argument("--output", type=Path, help="where to write; for a whole run docs/benchmarks, else the cache")
    parser.add_argument(
        "--report", action="store_true", help="measure nothing, write table and plot of serving.json anew"
    )
    parser.add_argument("--strict", action="store_true", help="end with code 1 when a line of the reach fails")
    return parser


def _measure(chosen: argparse.Namespace, output: Path, whole: bool) -> Results:
    server_core, load_core = cores()
    plan = QUICK if chosen.quick else FULL
    plan = dataclasses.replace(plan, models=chosen.only or plan.models, rounds=chosen.rounds or plan.rounds)
    pythons = peers.Pythons(peers.workspace_python(), environments.ensure("mlserver"), environments.ensure("plain"))
    generator = environments.load_generator()
    # This program works only between measurements, but then it is not to be on the server's core.
    os.sched_setaffinity(0, {load_core})
    results = Results(about={**machine(), "rounds": plan.rounds, "complete": whole})
    for name in ("workspace", *environments.PEERS):
        results.versions[name] = environments.versions(getattr(pythons, name))
    begun = datetime.datetime.now(datetime.UTC)
    with tempfile.TemporaryDirectory(prefix="modelvane-bench-") as scratch:
        bench = Bench(
            plan=plan,
            pythons=pythons,
            generator=generator,
            scratch=Path(scratch),
            server_core=server_core,
            servers=chosen.server or peers.SERVERS,
            save=lambda so_far: write_numbers(so_far, output),
            results=results,
        )
        bench.run()
    results.about["minutes"] = round((datetime.datetime.now(datetime.UTC) - begun).total_seconds() / 60, 1)
    say(f"{results.about['minutes']} minutes")
    return results


def machine() -> dict[str, object]:
    """Say what this is measured on."""
    processor = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "memory_gb": round(memory),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "load": round(os.getloadavg()[0], 1),
    }


def write_numbers(results: Results, output: Path) -> None:
    """Write what was measured so far; whole or not at all."""
    partial = output / "serving.json.partial"
    text = json.dumps(_rounded(results.to_json()), separators=(",", ":"))
    # One line a run of the load generator, so that two files can be compared.
    partial.write_text(text.replace('{"kind"', '\n{"kind"') + "\n")
    partial.rename(output / "serving.json")


def _rounded(content: Any) -> Any:
    """Keep six digits of what is measured: nobody needs the rest."""
    if isinstance(content, dict):
        return {key: _rounded(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_rounded(value) for value in content]
    return float(f"{content:.6g}") if isinstance(content, float) else content


def write(results: Results, output: Path) -> None:
    """Write the page, the picture and the numbers."""
    write_numbers(results, output)
    (output / "serving.md").write_text(report(results))
    draw(results, output / "serving.png")


if __name__ == "__main__":
    raise SystemExit(main())
