"""Faults of this server that the run found, and that are to be mended: one that no longer shows is struck out here.

They are no part of the documentation, and this file goes when the list is empty.
"""

from collections.abc import Callable
from typing import Final

from tests.serving.differential.answers import Exchange
from tests.serving.differential.rules import Rule


def _defect(name: str, here: str, applies: Callable[[Exchange], bool]) -> Rule:
    return Rule(name=name, mlflow="", here=here, why="", applies=applies)


DEFECTS: Final = (
    _defect(
        "integers-beyond-64-bits-change",
        "becomes a float before anything looks at it: a long column wraps, a column of texts has another value",
        lambda exchange: (
            any(trait.startswith("over int64") for trait in exchange.request.traits) and exchange.ours.status == 200
        ),
    ),
    _defect(
        "deep-nesting-with-a-type-hint",
        "500 for what the model's own check cannot follow",
        lambda exchange: (
            "body: deep list of objects" in exchange.request.traits and exchange.ours.error.get("code") == "ModelError"
        ),
    ),
    _defect(
        "param-of-hundreds-of-digits",
        "`InvalidJson`, while MLflow takes it for a long",
        lambda exchange: (
            exchange.refused_here_only
            and exchange.ours.error["code"] == "InvalidJson"
            and any(trait.startswith("param ") for trait in exchange.request.traits)
        ),
    ),
)
