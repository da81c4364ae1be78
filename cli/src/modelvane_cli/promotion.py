"""Judges a condition by the metrics in the registry, and moves a pointer if it holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from modelvane_cli import expression
from modelvane_cli.exits import Exit, StopError
from modelvane_cli.expression import Condition, Metric, Outcome
from modelvane_cli.models import Models
from modelvane_cli.pointer import Held, Move, Pointer


@dataclass(frozen=True)
class Promotion:
    """A move and the judgement it rests on. Nothing was written where the condition is not met."""

    move: Move
    condition: str | None = None
    outcome: Outcome | None = None

    @property
    def is_allowed(self) -> bool:
        """Tell whether the condition holds, or there was none."""
        return self.outcome is None or self.outcome.met

    def document(self) -> dict[str, Any]:
        """Return what `-o json` prints."""
        document = self.move.document()
        document["changed"] = self.is_allowed and self.move.is_needed
        if self.outcome is not None:
            compared = [
                {"text": str(one.comparison), "left": one.left, "right": one.right, "met": one.met}
                for one in self.outcome.compared
            ]
            document["condition"] = {"text": self.condition, "met": self.outcome.met, "comparisons": compared}
        return document

    def lines(self) -> list[str]:
        """Say what was compared and what was done."""
        compared = [
            f"{'yes' if one.met else 'no ':<3}  {one}" for one in (self.outcome.compared if self.outcome else ())
        ]
        if self.is_allowed:
            return [*compared, str(self.move)]
        stays = f"stays at version {self.move.previous}" if self.move.previous else "stays without a version"
        said = f"{self.move.pointer.model}: the condition is not met, {self.move.pointer.words} {stays}."
        return [*compared, said]


def read_condition(text: str | None) -> Condition | None:
    """Read the option --if before anything is asked of a registry."""
    if text is None:
        return None
    try:
        return expression.parse(text)
    except expression.ExpressionError as error:
        raise StopError(Exit.USAGE, f"--if: {error}.") from None


def promote(models: Models, pointer: Pointer, version: str, text: str | None, condition: Condition | None) -> Promotion:
    """Move a pointer to a version, if the condition holds."""
    held = models.held(pointer.model)
    models.check(pointer.model, version)
    outcome = expression.evaluate(condition, _read(models, held, condition, pointer, version)) if condition else None
    promotion = Promotion(Move(pointer, version, held.at(pointer)), text, outcome)
    if promotion.is_allowed:
        models.carry_out(promotion.move)
    return promotion


def _read(models: Models, held: Held, condition: Condition, pointer: Pointer, version: str) -> dict[Metric, float]:
    """Read every metric that the condition names; one that is missing ends the promotion."""
    known: dict[str, dict[str, float]] = {}
    values: dict[Metric, float] = {}
    for metric in expression.metrics(condition):
        number = _version_of(metric, held, pointer, version)
        if number not in known:
            known[number] = models.metrics(pointer.model, number)
        if metric.name not in known[number]:
            there = ", ".join(sorted(known[number])) or "none"
            raise StopError(
                Exit.NOT_FOUND,
                f"--if: the run of version {number} of {pointer.model} has no metric {metric.name} with a "
                f"finite value; it has: {there}. Nothing was written.",
            )
        values[metric] = known[number][metric.name]
    return values


def _version_of(metric: Metric, held: Held, pointer: Pointer, version: str) -> str:
    if metric.pointer is None:
        return version
    found = held.named(metric.pointer)
    if found is not None:
        return found
    own = (pointer.alias or pointer.stage or "").lower() == metric.pointer.lower()
    if own:
        raise StopError(
            Exit.NOT_FOUND,
            f"--if: {metric} cannot be read, because {pointer.words} of {pointer.model} names no version yet. Promote "
            "the first version without --if, or compare with a number. Nothing was written.",
        )
    raise StopError(
        Exit.NOT_FOUND,
        f"--if: {metric.pointer} is neither a stage with a version in it nor an alias of {pointer.model}. If it begins "
        f'the name of a metric, write it in quotes: "{metric.pointer}.{metric.name}". Nothing was written.',
    )
