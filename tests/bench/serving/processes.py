"""A server as a process tree pinned to one core: what it costs, stopping it, and holding it still."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
MEGABYTE = 1e6


@dataclass(frozen=True)
class Memory:
    """Of all processes of a server, in megabytes."""

    rss: float
    """Resident, added up: what processes share is counted by each."""
    pss: float
    """Resident, what is shared split between those that share it."""
    processes: int


class Tree:
    """A process and all that came of it."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], core: int, log: Path, cwd: Path) -> None:
        self.log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                ["taskset", "--cpu-list", str(core), *command],
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def pids(self) -> list[int]:
        """List the processes that live."""
        found, waiting = [], [self.process.pid]
        while waiting:
            pid = waiting.pop()
            try:
                for task in Path(f"/proc/{pid}/task").iterdir():
                    waiting.extend(int(child) for child in (task / "children").read_text().split())
            except OSError:
                continue
            found.append(pid)
        return found

    def cpu_seconds(self) -> float:
        """Add up what the processes have used so far."""
        total = 0
        for pid in self.pids():
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def memory(self) -> Memory:
        """Add up what the processes hold now."""
        rss = pss = 0.0
        pids = self.pids()
        for pid in pids:
            try:
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            except OSError:
                continue
            kilobytes = {line.split()[0]: int(line.split()[1]) for line in lines[1:]}
            rss += kilobytes["Rss:"] * 1024 / MEGABYTE
            pss += kilobytes["Pss:"] * 1024 / MEGABYTE
        return Memory(rss, pss, len(pids))

    def hold(self) -> None:
        """Stop its clock while another is measured: an idle server takes some of the core."""
        self._signal(signal.SIGSTOP)

    def let_go(self) -> None:
        """Undo `hold`."""
        self._signal(signal.SIGCONT)

    def end(self) -> None:
        """End it, whatever it does."""
        self.let_go()
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + 5
        while self.pids() and self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        with contextlib.suppress(ProcessLookupError):
            # Its session: also those whose parent is gone.
            os.killpg(self.process.pid, signal.SIGKILL)
        self._signal(signal.SIGKILL)
        self.process.wait()

    def died(self) -> bool:
        """Say whether its first process has ended."""
        return self.process.poll() is not None

    def last_words(self) -> str:
        """Return the end of what it wrote."""
        return self.log.read_text(errors="replace")[-1500:]

    def _signal(self, number: signal.Signals) -> None:
        for pid in self.pids():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
