"""What the load generator's lines add up to. Pure: text in, numbers out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Reply:
    """How one request ended."""

    ended: float
    seconds: float
    version: str
    """The version that the answer names; empty when there was no answer, or one by something else."""
    kept: bool
    """Its connection had carried a request before, so it led to wherever it led then."""
    wrong: str | None = None

    @property
    def started(self) -> float:
        """When the request was sent."""
        return self.ended - self.seconds


@dataclass(frozen=True)
class Answers:
    """The answers of one model version within one line: how many, and when the first and the last came."""

    count: int
    first: float
    last: float


@dataclass(frozen=True)
class Second:
    """One line of the load generator."""

    at: float
    versions: dict[str, Answers]
    errors: dict[str, int]
    p50_ms: float | None
    p99_ms: float | None
    done: bool
    replies: tuple[Reply, ...] = ()

    @property
    def answered(self) -> int:
        """How many good answers came."""
        return sum(answers.count for answers in self.versions.values())

    @property
    def failed(self) -> int:
        """How many requests got no good answer."""
        return sum(self.errors.values())

    def count(self, version: str) -> int:
        """Return how many answers a version gave."""
        return self.versions[version].count if version in self.versions else 0


def parse(line: str) -> Second | None:
    """Read one line; None for anything that is no line of the generator, such as a warning of its interpreter."""
    try:
        said = json.loads(line)
    except json.JSONDecodeError:
        return None
    if not isinstance(said, dict) or "ended" not in said:
        return None
    at = said["at"]
    replies = tuple(
        Reply(at - ago / 1000, took / 1000, version, bool(kept), wrong[0] if wrong else None)
        for ago, took, version, kept, *wrong in said["ended"]
    )
    return sum_up(at, replies, done=said.get("done", False))


def sum_up(at: float, replies: tuple[Reply, ...], *, done: bool = False) -> Second:
    """Make a line of what ended in it."""
    good: dict[str, list[float]] = {}
    for reply in replies:
        if reply.wrong is None:
            good.setdefault(reply.version or "unnamed", []).append(reply.ended)
    return Second(
        at,
        {version: Answers(len(ended), min(ended), max(ended)) for version, ended in good.items()},
        dict(Counter(reply.wrong for reply in replies if reply.wrong is not None)),
        *_percentiles(sorted(reply.seconds * 1000 for reply in replies if reply.wrong is None)),
        done=done,
        replies=replies,
    )


def _percentiles(took: list[float]) -> tuple[float | None, float | None]:
    if not took:
        return None, None
    return round(took[len(took) // 2], 1), round(took[len(took) * 99 // 100], 1)


@dataclass
class Traffic:
    """All seconds so far, added up."""

    seconds: list[Second] = field(default_factory=list)

    def since(self, moment: float) -> Traffic:
        """Return only the lines that were printed after a moment."""
        return Traffic([second for second in self.seconds if second.at > moment])

    @property
    def answered(self) -> int:
        """How many good answers came."""
        return sum(second.answered for second in self.seconds)

    @property
    def failed(self) -> int:
        """How many requests got no good answer."""
        return sum(second.failed for second in self.seconds)

    @property
    def sent(self) -> int:
        """How many requests ended, well or not."""
        return self.answered + self.failed

    @property
    def replies(self) -> list[Reply]:
        """How each request ended, in the order of the lines."""
        return [reply for second in self.seconds for reply in second.replies]

    @property
    def versions(self) -> set[str]:
        """Which versions answered."""
        return {version for second in self.seconds for version in second.versions}

    def first_answer(self, version: str) -> float | None:
        """When a version answered for the first time."""
        return min(self._moments("first", version), default=None)

    def last_answer(self, version: str) -> float | None:
        """When a version answered for the last time."""
        return max(self._moments("last", version), default=None)

    def errors(self) -> dict[str, int]:
        """How often each kind of failure came, the most frequent first."""
        total: dict[str, int] = {}
        for second in self.seconds:
            for why, count in second.errors.items():
                total[why] = total.get(why, 0) + count
        return dict(sorted(total.items(), key=lambda item: -item[1]))

    def rate(self) -> float:
        """Return the requests a second, between the first and the last line."""
        if len(self.seconds) < 2:
            return 0.0
        span = self.seconds[-1].at - self.seconds[0].at
        return sum(second.answered + second.failed for second in self.seconds[1:]) / span if span else 0.0

    def worst_p99(self) -> float | None:
        """Return the 99th percentile, in milliseconds, of the worst second."""
        return max((second.p99_ms for second in self.seconds if second.p99_ms is not None), default=None)

    def median_p50(self) -> float | None:
        """Return the median, in milliseconds, of a usual second."""
        found = sorted(second.p50_ms for second in self.seconds if second.p50_ms is not None)
        return found[len(found) // 2] if found else None

    def _moments(self, which: str, version: str) -> Iterable[float]:
        return (getattr(second.versions[version], which) for second in self.seconds if version in second.versions)
