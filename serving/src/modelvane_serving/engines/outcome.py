"""What the compiler leaves for the engine: the model, and in a file beside it what came of the attempt."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

OUTCOME_FILE: Final = "outcome.json"
MODEL_FILE: Final = "model.onnx"


def write_outcome(directory: Path, outcome: Mapping[str, Any]) -> None:
    """Write it whole or not at all."""
    part = directory / f"{OUTCOME_FILE}.part"
    part.write_text(json.dumps(outcome), encoding="utf-8")
    part.replace(directory / OUTCOME_FILE)


def read_outcome(directory: Path) -> dict[str, Any] | None:
    """Read it; None where there is none."""
    try:
        outcome: dict[str, Any] = json.loads((directory / OUTCOME_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return outcome
