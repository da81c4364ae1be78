"""`make test`: every check and every test in order, on a cluster of its own, with a count by kind at the end.

The quick checks that need no cluster come first, so that a slip is told in seconds. The cluster is named apart from
the one of `make up`, so a demo can stand beside it, and it is removed at the end whatever happened, unless KEEP=1.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from tests.cluster import naming

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Stage:
    """One kind of check: a command, and whether it is a pytest run whose tests can be counted."""

    name: str
    command: tuple[str, ...]
    counted: bool = False


@dataclass(frozen=True)
class Result:
    """What a stage came to. `passed` and `failed` are counts of tests; a check that is no pytest run counts as one."""

    stage: Stage
    passed: int
    failed: int
    seconds: float


def pytest_stage(name: str, *flags: str) -> Stage:
    """Return the stage that runs the tests under tests/NAME."""
    return Stage(name, (sys.executable, "-m", "pytest", *flags, f"tests/{name}"), counted=True)


# Two files at a time, where each has servers of its own and mostly waits for them.
TWO_FILES = ("--numprocesses=2", "--dist=loadfile")
BEFORE_CLUSTER = (
    Stage("lint", ("make", "--no-print-directory", "lint")),
    Stage("types", ("make", "--no-print-directory", "types")),
    pytest_stage("unit"),
    pytest_stage("golden"),
    pytest_stage("cli"),
    pytest_stage("serving", *TWO_FILES),
)
ON_CLUSTER = (
    pytest_stage("charts"),
    pytest_stage("health"),
    pytest_stage("crds"),
    pytest_stage("integration", *TWO_FILES),
    pytest_stage("e2e"),
)


def run(stage: Stage, env: Mapping[str, str]) -> Result:
    """Run one stage with its output on the terminal and count its tests from pytest's own report."""
    print(f"\n=== {stage.name} ===", flush=True)
    started = time.monotonic()
    with tempfile.NamedTemporaryFile(suffix=".xml") as report:
        command = [*stage.command, f"--junitxml={report.name}"] if stage.counted else list(stage.command)
        code = subprocess.run(command, cwd=ROOT, env=dict(env), check=False).returncode
        passed, failed = read_report(Path(report.name)) if stage.counted else (int(code == 0), int(code != 0))
    if code != 0 and failed == 0:
        failed = 1  # pytest itself fell over (a collection error, no tests): that is a failure too
    return Result(stage, passed, failed, time.monotonic() - started)


def read_report(path: Path) -> tuple[int, int]:
    """Return (passed, failed) from a JUnit report; a skipped test was not seen working, so it counts as failed."""
    if path.stat().st_size == 0:
        return 0, 1
    suites = ElementTree.parse(path).getroot().iter("testsuite")  # noqa: S314 (written by pytest a moment ago)
    total = bad = 0
    for suite in suites:
        total += int(suite.get("tests", 0))
        bad += sum(int(suite.get(kind, 0)) for kind in ("failures", "errors", "skipped"))
    return total - bad, bad


@contextlib.contextmanager
def built_meanwhile(flags: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Build what the cluster needs beside the checks that need none; where nothing is cached that takes long.

    At the lowest priority: the checks are not to notice. What goes wrong here is told by `up`, which tries it again.
    """
    command = ["nice", "-n", "19", sys.executable, "-m", "tests.cluster", "build", *flags]
    quiet = subprocess.DEVNULL
    builder = subprocess.Popen(command, cwd=ROOT, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
    try:
        yield builder
    finally:
        if builder.poll() is None:
            os.killpg(builder.pid, signal.SIGTERM)
            builder.wait()


@contextlib.contextmanager
def cluster(flags: list[str], *, keep: bool) -> Iterator[dict[str, str]]:
    """Start a cluster with its images, yield the environment that reaches it, and remove it."""
    command = [sys.executable, "-m", "tests.cluster"]
    try:
        for step in ("up", "load", "extras"):
            print(f"\n=== cluster {step} ===", flush=True)
            subprocess.run([*command, step, *flags], cwd=ROOT, check=True)
        exports = subprocess.run([*command, "env", *flags], cwd=ROOT, check=True, capture_output=True, text=True).stdout
        shown = subprocess.run(["bash", "-c", f"{exports}\nenv -0"], check=True, capture_output=True, text=True).stdout
        yield dict(line.split("=", 1) for line in shown.split("\0") if "=" in line)
    finally:
        if keep:
            print(f"\nKEEP=1: the cluster stays up; `python -m tests.cluster down {' '.join(flags)}` removes it")
        else:
            print("\n=== cluster down ===", flush=True)
            subprocess.run([*command, "down", *flags], cwd=ROOT, check=False)


def main() -> int:
    """Run all stages; the exit code is 0 only if every one passed."""
    parser = argparse.ArgumentParser(prog="make test", description=__doc__)
    parser.add_argument("--cluster", default="auto")
    parser.add_argument("--name", default=f"{naming.default_name(ROOT)}-test")
    parser.add_argument("--context")
    options = parser.parse_args()
    flags = ["--cluster", options.cluster, "--name", options.name]
    flags += ["--context", options.context] if options.context else []

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the cluster is removed then too
    # A shell starts what it puts in the background deaf to Ctrl-C, and the programs under test would be so too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    started = time.monotonic()
    with built_meanwhile(flags) as builder:
        results = [run(stage, os.environ) for stage in BEFORE_CLUSTER]
        if any(result.failed for result in results):
            print("\nThe cluster was not started: mend the checks above first.")
            return report(results, time.monotonic() - started)
        if builder.poll() is None:
            print("\n=== cluster build (the first time takes minutes) ===", flush=True)
            builder.wait()
    try:
        with cluster(flags, keep=bool(os.environ.get("KEEP"))) as env:
            results += [run(stage, env) for stage in ON_CLUSTER]
    except subprocess.CalledProcessError as error:
        results.append(Result(Stage("cluster", tuple(map(str, error.cmd))), 0, 1, 0))
    return report(results, time.monotonic() - started)


def report(results: list[Result], seconds: float) -> int:
    """Print how many tests of each kind ran and return the exit code."""
    print("\n=== summary ===")
    for result in results:
        verdict = "ok" if not result.failed else "FAILED"
        counts = f"{result.passed:>5} passed {result.failed:>3} failed"
        print(f"{result.stage.name:<12} {counts}  {result.seconds:>6.0f} s  {verdict}")
    print(f"{'all':<12} {'':>24} {seconds:>6.0f} s\n")
    passed, failed = sum(r.passed for r in results), sum(r.failed for r in results)
    print(f"{passed} passed, {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
