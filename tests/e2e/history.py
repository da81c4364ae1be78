"""Holds each answer that clients got against what the status said at that moment. Pure: no clock, no cluster.

The status is written after the traffic was moved, and a node hears of a move a moment later. So an answer is right if
its version was allowed at some moment between sending and answering, give or take the `Slack`. What is allowed: stable
always, a candidate from its first weight until it is dropped. Nothing else, however often it may have been tried.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from examples.demo.traffic import Reply

FOREVER = float("inf")


@dataclass(frozen=True)
class Moment:
    """What the status said from a time on."""

    at: float
    stable: str | None
    candidate: str | None
    weight: int
    warm: str | None
    rejected: frozenset[str] = frozenset()
    step: int | None = None

    def serves(self, version: str) -> bool:
        """Tell whether a version may get requests now."""
        return version == self.stable or (version == self.candidate and self.weight > 0)


@dataclass(frozen=True)
class Slack:
    """By how many seconds an answer may be off."""

    early: float = 2.0
    """Before the status names a version: the traffic moves before that is written."""
    new: float = 3.0
    """After a version has lost the traffic, on a connection that was opened then."""
    kept: float = 10.0
    """The same on a connection that was there before: it stays with its pod until the pod goes."""


@dataclass(frozen=True)
class Span:
    """Some time during which a version may answer."""

    since: float
    until: float

    def touches(self, since: float, until: float) -> bool:
        """Tell whether it has a moment in common with another span."""
        return self.since <= until and since <= self.until


def read_moment(at: float, deployment: dict[str, Any]) -> Moment:
    """Read what a ModelDeployment's status says about traffic."""
    status = deployment.get("status", {})
    candidate = status.get("candidate", {})
    return Moment(
        at,
        status.get("stable", {}).get("version"),
        candidate.get("version"),
        candidate.get("weight") or 0,
        status.get("warm", {}).get("version"),
        frozenset(one["version"] for one in status.get("rejected", [])),
        candidate.get("step"),
    )


@dataclass(frozen=True)
class History:
    """The moments of a rollout, or of several, and all that clients saw meanwhile."""

    moments: Sequence[Moment]
    replies: Sequence[Reply]
    slack: Slack = Slack()

    def spans(self, version: str, *, kept: bool) -> list[Span]:
        """Return when a version may answer on a kept connection, or on a new one."""
        late = self.slack.kept if kept else self.slack.new
        spans = []
        for moment, until in self._stretches():
            # The pods of a warm revision are there for whoever is still connected to them.
            if moment.serves(version) or (kept and moment.warm == version):
                spans.append(Span(moment.at - self.slack.early, until + late))
        return spans

    def faults(self, failing: Collection[str] = ()) -> list[str]:
        """Say what should not have happened, the most frequent first; `failing` versions may fail what they get."""
        spans = {
            (version, kept): self.spans(version, kept=kept)
            for version in {reply.version for reply in self.replies} | set(failing)
            for kept in (True, False)
        }
        found: Counter[str] = Counter()
        example: dict[str, Reply] = {}
        for reply in self.replies:
            fault = self._fault(reply, failing, spans)
            if fault is not None:
                found[fault] += 1
                example.setdefault(fault, reply)
        start = self.moments[0].at if self.moments else 0.0
        return [
            f"{count} x {fault}, first at +{example[fault].started - start:.2f} s (status: {self._now(example[fault])})"
            for fault, count in found.most_common()
        ]

    def last_answer(
        self, version: str, *, since: float, until: float = FOREVER, kept: bool | None = None
    ) -> float | None:
        """Return when a version last answered anything between two moments, good or bad."""
        answers = (reply for reply in self._of(kept) if reply.version == version)
        return max((reply.ended for reply in answers if since <= reply.ended < until), default=None)

    def share(self, version: str, since: float, until: float) -> tuple[int, int]:
        """Count the answers of a version, and those of all, to requests that were sent between two moments."""
        versions = [reply.version for reply in self.replies if reply.version and since <= reply.started < until]
        return versions.count(version), len(versions)

    def step_span(self, version: str, step: int, weight: int) -> Span | None:
        """Return the longest time during which the status told a weight in a step of a candidate."""
        found = [
            Span(moment.at, until)
            for moment, until in self._merged()
            if (moment.candidate, moment.step, moment.weight) == (version, step, weight)
        ]
        return max(found, key=lambda span: span.until - span.since, default=None)

    def _fault(self, reply: Reply, failing: Collection[str], spans: dict[tuple[str, bool], list[Span]]) -> str | None:
        how = "a kept connection" if reply.kept else "a new connection"
        if reply.wrong is not None:
            # A connection that breaks names nobody: it may have been a failing version's, if that had traffic.
            suspects = [version for version in failing if reply.version in {version, ""}]
            blamed = any(_in(spans[version, reply.kept], reply) for version in suspects)
            return None if blamed else f"{reply.wrong} on {how}"
        if not reply.version:
            return f"an answer that names no version on {how}"
        if _in(spans[reply.version, reply.kept], reply):
            return None
        return f"version {reply.version} answered on {how} when it was not to have traffic"

    def _now(self, reply: Reply) -> str:
        before = [moment for moment in self.moments if moment.at <= reply.started]
        return str(before[-1] if before else "not known yet")

    def _of(self, kept: bool | None) -> Iterable[Reply]:
        return (reply for reply in self.replies if kept is None or reply.kept == kept)

    def _stretches(self) -> Iterable[tuple[Moment, float]]:
        ends = [moment.at for moment in self.moments[1:]] + [FOREVER]
        return zip(self.moments, ends, strict=True)

    def _merged(self) -> Iterable[tuple[Moment, float]]:
        """Join moments that differ in nothing but in what is told elsewhere in the status."""
        joined: list[tuple[Moment, float]] = []
        for moment, until in self._stretches():
            if joined and _same_traffic(joined[-1][0], moment):
                joined[-1] = (joined[-1][0], until)
            else:
                joined.append((moment, until))
        return joined


def _in(spans: Iterable[Span], reply: Reply) -> bool:
    return any(span.touches(reply.started, reply.ended) for span in spans)


def _same_traffic(one: Moment, other: Moment) -> bool:
    return (one.stable, one.candidate, one.weight, one.step) == (
        other.stable,
        other.candidate,
        other.weight,
        other.step,
    )
