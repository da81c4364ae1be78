"""The run: servers are started, checked, and then measured in turns, so that a slow minute of the machine hits all."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.bench.serving import peers
from tests.bench.serving.bare import measure_bare
from tests.bench.serving.figures import Case, Cell, Held, Missing, Results, throughput
from tests.bench.serving.load import Load, Question, UnfitError, prepare, run
from tests.bench.serving.models import build
from tests.bench.serving.peers import BY_NAME, FLOORS, OURS, WAYS, Pythons, Way
from tests.bench.serving.plan import LATENCY, OVERLOAD, OVERLOAD_CONNECTIONS, OVERLOAD_TIMES, Plan
from tests.bench.serving.servers import Running, Starter
from tests.bench.serving.subject import Subject

WARM_SECONDS = 0.1
# The ways that the open loop and the overload are measured with: one a server, its fastest.
OPEN_WAYS = (OURS, peers.MLFLOW, "MLServer /v2", "FastAPI tuned")


@dataclass
class Bench:
    """What a run goes by."""

    plan: Plan
    pythons: Pythons
    generator: Path
    scratch: Path
    server_core: int
    servers: Sequence[str]
    save: Callable[[Results], None]
    results: Results = field(default_factory=Results)

    def run(self) -> Results:
        """Measure each model in turn."""
        for number, name in enumerate(self.plan.models):
            say(f"model {name}")
            subject = build(name, self.scratch)
            ModelRun(self, subject, first=number == 0).run()
            self.save(self.results)
        return self.results


@dataclass
class ModelRun:
    """All servers side by side for one model."""

    bench: Bench
    subject: Subject
    first: bool
    running: dict[str, Running] = field(default_factory=dict)
    questions: dict[int, list[Question]] = field(default_factory=dict)

    @property
    def results(self) -> Results:
        """What is added to."""
        return self.bench.results

    def run(self) -> None:
        """Start, check, measure, end."""
        plan, name = self.bench.plan, self.subject.name
        for rows in plan.rows:
            frames = [self.subject.frame(rows, 1000 * rows + seed) for seed in range(plan.questions(name, rows))]
            self.questions[rows] = [Question(frame, self.subject.answers(frame)) for frame in frames]
        ways = [way for way in WAYS if name in way.models and way.server in self.bench.servers]
        try:
            for server in dict.fromkeys(way.server for way in ways):
                self._start(next(way for way in ways if way.server == server))
            self._bare()
            for number in range(plan.rounds):
                self._round(number, ways)
            if name == LATENCY.model:
                self._open(LATENCY)
            if name == OVERLOAD.model:
                self._overload(OVERLOAD)
        finally:
            for running in self.running.values():
                running.tree.end()

    def _start(self, way: Way) -> None:
        bench = self.bench
        starter = Starter(
            self.subject,
            bench.pythons,
            bench.scratch / f"servers-{self.subject.name}",
            bench.server_core,
            self.questions[bench.plan.rows[0]][0],
        )
        times = bench.plan.starts + 1 if self.first else 1
        try:
            for number in range(times):
                running, start = starter.start(way, number)
                self.results.starts.append(start)
                say(f"  {way.server}: first correct answer after {start.seconds:.2f} s")
                if number < times - 1:
                    running.tree.end()
        except UnfitError as error:
            for rows in bench.plan.rows:
                self._miss(way.name, rows, str(error))
            return
        if way.server == OURS:
            self.results.engines[self.subject.name] = running.engine()
        running.tree.hold()
        self.running[way.server] = running

    def _check(self, way: Way, rows: int) -> None:
        running = self.running.get(way.server)
        if running is None or rows not in way.rows:
            return
        questions = self.questions[rows]
        if way.server in FLOORS:
            questions = [replace(one, expected=one.frame.to_numpy().tolist()) for one in questions]
        path = self.bench.scratch / f"{self.subject.name}-{way.name.replace('/', ' ').replace(' ', '-')}-{rows}.bin"
        try:
            with running.awake():
                running.requests[way.name, rows] = prepare(
                    running.port, way.dialect(self.subject.name), questions, path
                )
        except UnfitError as error:
            self._miss(way.name, rows, str(error))

    def _bare(self) -> None:
        bench = self.bench
        where = bench.scratch, bench.server_core, bench.plan.bare_seconds
        try:
            figures = measure_bare(bench.pythons.plain, self.subject, self.questions, where)
            self.results.bare[self.subject.name] = figures
        except UnfitError as error:
            self._miss("the model alone", 1, str(error))

    def _round(self, number: int, ways: Sequence[Way]) -> None:
        plan, name = self.bench.plan, self.subject.name
        for rows in plan.rows:
            if number == 0:
                for way in ways:
                    self._check(way, rows)
            for case in (case for case in plan.cases(name) if case.rows == rows):
                # Another order each time, so that nobody always comes after the same one.
                for way in random.Random(f"{number} {case}").sample(ways, len(ways)):  # noqa: S311 - not a secret
                    self._measure(way, case, Load(case.connections, plan.duration(case)), kind="closed", round=number)
            if number == 0 and rows == plan.rows[0]:
                # Before anybody is asked for large tables, and in other formats, whose libraries stay in memory.
                self._remember_memory()
        say(f"  round {number + 1} of {plan.rounds}")

    def _remember_memory(self) -> None:
        for server, running in self.running.items():
            memory = running.tree.memory()
            self.results.memory.append(Held(server, self.subject.name, memory.rss, memory.pss, memory.processes))

    def _open(self, case: Case) -> None:
        plan = self.bench.plan
        for number in range(plan.rounds):
            for name in OPEN_WAYS:
                capacity = throughput(self.results, name, case)
                if capacity is None or not capacity.median:
                    continue
                rates = {f"{share:.0%} of capacity": share * capacity.median for share in plan.open_shares}
                for label, rate in {**rates, f"{plan.fixed_rate:g} a second": plan.fixed_rate}.items():
                    load = Load(case.connections, plan.open_seconds, rate=rate)
                    self._measure(BY_NAME[name], case, load, kind="open", label=label, round=number)
        say("  open loop")

    def _overload(self, case: Case) -> None:
        plan = self.bench.plan
        for number in range(plan.rounds):
            for name in OPEN_WAYS:
                peak = throughput(self.results, name, case)
                if peak is None or not peak.median:
                    continue
                load = Load(OVERLOAD_CONNECTIONS, plan.open_seconds, rate=OVERLOAD_TIMES * peak.median)
                self._measure(BY_NAME[name], case, load, kind="overload", label="overload", round=number)
        say("  overload")

    def _measure(self, way: Way, case: Case, load: Load, **facts: Any) -> None:
        running = self.running.get(way.server)
        requests = running.requests.get((way.name, case.rows)) if running else None
        if running is None or requests is None:
            return
        generator = self.bench.generator
        try:
            with running.awake():
                run(generator, running.port, requests, Load(min(8, load.connections), WARM_SECONDS))
                before = running.tree.cpu_seconds()
                counted = run(generator, running.port, requests, load)
                cpu = running.tree.cpu_seconds() - before
        except UnfitError as error:
            self._miss(way.name, case.rows, f"connections {case.connections}, {facts['kind']} loop: {error}")
            return
        counted["load_cpu"] = counted.pop("cpu")
        if wrong := counted.pop("first_wrong", None):
            say(f"  WRONG: {way.name} {case}: {wrong}")
        self.results.cells.append(
            Cell(
                way=way.name,
                model=case.model,
                rows=case.rows,
                connections=load.connections,
                rate=load.rate,
                server_cpu=cpu,
                planned=load.seconds,
                **facts,
                **counted,
            )
        )

    def _miss(self, way: str, rows: int, reason: str) -> None:
        missing = Missing(way, self.subject.name, rows, reason)
        if missing not in self.results.missing:
            say(f"  not measured: {way}, {rows} rows: {reason}")
            self.results.missing.append(missing)


def say(line: str) -> None:
    """Tell whoever waits."""
    print(line, file=sys.stderr, flush=True)


def cores() -> tuple[int, int]:
    """Choose the server's core and the load's."""
    available = sorted(os.sched_getaffinity(0))
    if len(available) < 2:
        raise SystemExit("bench-serving: needs two cores, one for the server and one for the load")
    return available[0], available[1]
