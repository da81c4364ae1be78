"""Made-up traffic and what is measured of it: the operator's analyst, as far as `decide` can tell.

The windows are those of `modelvane.analyst`: they begin at the first look after a step began or was judged, grow while
nothing is known, are read once an interval, and are lost when the operator starts anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import inf

from modelvane.analysis.figures import Comparison, Figures, Measurement
from modelvane.engine.memory import Memory
from modelvane.engine.state import Workload
from modelvane.spec import ModelDeploymentSpec

REQUESTS_A_SECOND = 20
EARLY = timedelta(milliseconds=200)
COMPARING = timedelta(seconds=1)


@dataclass(frozen=True)
class Window:
    revisions: tuple[str, str | None]
    start: datetime
    since: datetime
    at: datetime


class Laboratory:
    """Measures candidates by the nature of their version: how fast they answer, how often wrongly, and to how many."""

    def __init__(self) -> None:
        self.window: Window | None = None

    def forget(self) -> None:
        self.window = None

    def measure(
        self,
        spec: ModelDeploymentSpec,
        memory: Memory,
        coming: Workload | None,
        natures: Mapping[str, str],
        now: datetime,
    ) -> Measurement | None:
        candidate, analysis = memory.candidate, spec.analysis
        if analysis is None or candidate is None or coming is None:
            self.forget()
            return None
        start, seen = candidate.step_started_at, candidate.analysis
        start = start or (candidate.since if candidate.weight else None)
        if start is None:
            return None
        if seen is not None and seen.verdict != "Inconclusive":
            start = max(start, seen.checked_at)
        revisions = (candidate.revision, memory.stable.revision if memory.stable else None)
        window = self.window
        if window is None or window.revisions != revisions or (window.start != start and start > window.at):
            self.window = Window(revisions, start, now, now)
            return None
        if window.start != start:
            window = replace(window, start=start, since=window.at)
        if now - window.at < analysis.interval - EARLY:
            self.window = window
            return None
        self.window = replace(window, at=now)
        share = max(candidate.weight or 0, candidate.mirror_percent or 0)
        ours = _figures(natures[candidate.version], (now - window.since).total_seconds(), share)
        theirs = _figures("good", (now - window.since).total_seconds(), 100 - (candidate.weight or 0))
        return Measurement(window.since, now, ours, theirs)

    def compare(
        self,
        spec: ModelDeploymentSpec,
        memory: Memory,
        coming: Workload | None,
        natures: Mapping[str, str],
        now: datetime,
    ) -> Comparison | None:
        candidate = memory.candidate
        wanted = spec.analysis.predictions if spec.analysis else None
        if wanted is None or candidate is None or candidate.step is not None or coming is None:
            return None
        if not coming.settled(now, COMPARING):
            return None
        if natures[candidate.version] == "mute":
            return Comparison(0, 0, trouble="the version has no input example")
        return Comparison(10, 4 if natures[candidate.version] == "different" else 0)


def _figures(nature: str, seconds: float, share: int) -> Figures:
    rate = 0 if nature == "quiet" else REQUESTS_A_SECOND
    requests = int(rate * seconds * share / 100)
    fast = 0 if nature == "slow" else requests
    errors = requests // 5 if nature == "erring" else 0
    return Figures(requests, errors, ((0.01, fast), (0.5, requests), (inf, requests)), 0.005 * requests)
