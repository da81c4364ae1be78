"""The figures at the end of the demo, and whether they are good. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from examples.demo.kube import Manifest
from examples.demo.timeline import Share, Stretch
from examples.demo.traffic import Traffic

FRAGILE = "5"
"""The version whose failed answers are what the demo shows."""


@dataclass(frozen=True)
class Promotion:
    """How long it took from the promotion of a version to its first answer, and until it gave all answers."""

    to_first: float
    to_all: float
    split: list[Stretch]


@dataclass(frozen=True)
class Rollback:
    """What became of the version that failed under traffic; `seconds` are those from its first failure to its last."""

    rejection: Manifest
    failed: int
    seconds: float


@dataclass(frozen=True)
class Summary:
    """What came of it all; `rejection` is there only if the broken version was refused and never answered."""

    traffic: Traffic
    promotion: Promotion | None
    rejection: Manifest | None
    canary: tuple[Share, ...] = ()
    rollback: Rollback | None = None

    def faults(self) -> list[str]:
        """Return what should not have happened; empty when the demo showed what it promises."""
        faults = []
        lost = {why: count for why, count in self.traffic.errors().items() if not is_by(FRAGILE, why)}
        if lost:
            worst = "; ".join(f"{count} x {why}" for why, count in list(lost.items())[:3])
            faults.append(f"{sum(lost.values())} of {self.traffic.sent} requests failed: {worst}")
        if not self.traffic.answered:
            faults.append("no request was answered")
        if self.promotion is None:
            faults.append("version 2 did not take over")
        if self.rejection is None:
            faults.append("version 3, which cannot load, was not rejected while version 2 served on")
        if not self.canary:
            faults.append("version 4 did not go through the steps of its canary")
        if self.rollback is None:
            faults.append("version 5, which fails under traffic, was not rolled back")
        return faults

    def lines(self) -> list[str]:
        """Return the figures as a person reads them."""
        lines = []
        if self.promotion:
            lines.append(f"Promotion to first answer by version 2     {self.promotion.to_first:6.1f} s")
            lines += [f"    {stretch.what:<39}{stretch.seconds:6.1f} s" for stretch in self.promotion.split]
            lines.append(f"Promotion to all answers by version 2      {self.promotion.to_all:6.1f} s")
        lines.append(
            f"Requests sent                            {self.traffic.sent:8}    {self.traffic.rate():.0f} a second"
        )
        own = self.rollback.failed if self.rollback else 0
        lines.append(f"Requests lost                            {self.traffic.failed - own:8}")
        p50, p99 = self.traffic.median_p50(), self.traffic.worst_p99()
        if p50 is not None and p99 is not None:
            lines.append(
                f"Time of an answer                        {p50:8.0f} ms median, {p99:.0f} ms p99 of the worst second"
            )
        if self.rejection:
            lines.append(f"Version 3                                rejected: {self.rejection['reason']}")
        if self.canary:
            steps = ", ".join(f"{step.weight}% gave {step.share:.1%} of {step.answers}" for step in self.canary)
            lines.append(f"Version 4, by canary                     {steps}")
        if self.rollback:
            lines.append(f"Version 5, by canary                     rolled back: {self.rollback.rejection['reason']}")
            lines.append(
                f"    {self.rollback.failed} failed answers, all of them its own, within {self.rollback.seconds:.0f} s"
            )
        return lines


def is_by(version: str, error: str) -> bool:
    """Tell whether a failed answer came from a version."""
    return f"by version {version}:" in error
