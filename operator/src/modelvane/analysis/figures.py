"""What a revision did under traffic: requests, errors and latency, as its pods counted them.

A serving process counts from its start and never says what it did "since a moment ago", so everything judged here is
the difference of two readings. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from math import inf

Buckets = tuple[tuple[float, int], ...]


@dataclass(frozen=True)
class Figures:
    """Counts of prediction requests: of one pod since its start, or of a revision in a window."""

    requests: int = 0
    errors: int = 0
    """Answers that are the model's or the server's fault: status 500 and above."""
    buckets: Buckets = ()
    """Upper bounds in seconds, each with the count of the answers that took no longer; the last bound is infinite."""
    seconds: float = 0.0
    """What all answers took together."""

    @property
    def error_rate(self) -> float | None:
        """Return the share of errors, or None when nothing was asked."""
        return self.errors / self.requests if self.requests else None

    @property
    def mean(self) -> float | None:
        """Return the mean latency in seconds, which unlike a quantile is exact."""
        answered = self.buckets[-1][1] if self.buckets else 0
        return self.seconds / answered if answered else None

    def quantile(self, q: float) -> float | None:
        """Estimate a quantile of the latency in seconds, as Prometheus' `histogram_quantile` does.

        Within a bucket the answers are taken to be spread evenly. Above the last finite bound nothing is known but
        that bound, which is then returned.
        """
        found = self._bucket(q)
        if found is None:
            return None
        lower, upper, rank, count = found
        share = rank / count if count else 0.0
        return lower if upper == inf else min(lower + (upper - lower) * share, upper)

    def bounds(self, q: float) -> tuple[float, float] | None:
        """Return the bounds of the bucket that a quantile lies in: all that is known for certain about it."""
        found = self._bucket(q)
        return None if found is None else found[:2]

    def _bucket(self, q: float) -> tuple[float, float, float, int] | None:
        """Find the bucket of a quantile: its bounds, and the rank of the quantile among how many answers in it."""
        total = self.buckets[-1][1] if self.buckets else 0
        if not total or len(self.buckets) < 2:
            return None
        wanted = q * total
        before, lower = 0, 0.0
        for upper, count in self.buckets:
            if count >= wanted:
                return lower, upper, wanted - before, count - before
            before, lower = count, upper
        return None  # Not reached: the last bucket counts every answer.

    def __add__(self, other: "Figures") -> "Figures":
        """Add what two pods, or two windows, counted."""
        return Figures(
            self.requests + other.requests,
            self.errors + other.errors,
            _add_buckets(self.buckets, other.buckets),
            self.seconds + other.seconds,
        )

    def since(self, earlier: "Figures") -> "Figures":
        """Return what was counted after an earlier reading of the same pod.

        A count that went down shows that the process began anew, a moment ago: then all that it counted is new.
        """
        requests, errors = self.requests - earlier.requests, self.errors - earlier.errors
        before = dict(earlier.buckets)
        buckets = tuple((bound, count - before.get(bound, 0)) for bound, count in self.buckets)
        falls = any(late < early for early, late in pairwise((0, *(count for _, count in buckets))))
        if requests < 0 or errors < 0 or falls:
            return self
        return Figures(requests, errors, buckets, max(self.seconds - earlier.seconds, 0.0))


def _add_buckets(one: Buckets, other: Buckets) -> Buckets:
    """Add the counts of each bound that both know: pods of one revision run the same program, and so share all."""
    if not one or not other:
        return one or other
    counts = dict(other)
    return tuple((bound, count + counts[bound]) for bound, count in one if bound in counts)


@dataclass(frozen=True)
class Reading:
    """The pods of one revision that answered, and what each has counted since its start.

    A pod whose container has restarted is another one here.
    """

    at: datetime
    pods: Mapping[str, Figures] = field(default_factory=dict)

    def then(self, later: "Reading", began: Mapping[str, datetime]) -> tuple["Reading", Figures]:
        """Take a later reading: return what to compare the next one with, and what was counted in between.

        `began` says since when each pod is ready. One that became so after this reading has counted nothing before it;
        one that was ready already, but was not read, is only counted from now on. A pod that is missing from the later
        reading keeps its counts here, in case it comes back.
        """
        total = Figures()
        for name, figures in later.pods.items():
            earlier = self.pods.get(name)
            if earlier is not None:
                total += figures.since(earlier)
            elif began.get(name, self.at) > self.at:
                total += figures
        return Reading(later.at, {**self.pods, **later.pods}), total


@dataclass(frozen=True)
class Measurement:
    """What both revisions did in the same window, and what PromQL queries say.

    None is a query without data; one that was not answered at all is missing, and `trouble` says why.
    """

    since: datetime
    until: datetime
    candidate: Figures
    stable: Figures
    queries: Mapping[str, float | None] = field(default_factory=dict)
    trouble: str | None = None
    """Why the figures are not whole, in words; None when they are."""


@dataclass(frozen=True)
class Comparison:
    """How many predictions of the candidate differ from stable's for the same inputs."""

    compared: int
    different: int
    example: str | None = None
    trouble: str | None = None
