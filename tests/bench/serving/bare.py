"""The model without a server: the ceiling of anything that calls it once a request."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench.serving.load import Question, UnfitError
from tests.bench.serving.subject import Subject, write_rows

PROGRAM = Path(__file__).parent / "apps" / "bare.py"


def measure_bare(
    python: Path, subject: Subject, questions: Mapping[int, Sequence[Question]], where: tuple[Path, int, float]
) -> dict[str, dict[str, float]]:
    """Return calls a second by rows and way."""
    scratch, core, seconds = where
    files = [write_rows(asked[0].frame, scratch / f"{subject.name}-{rows}.json") for rows, asked in questions.items()]
    command = ["taskset", "--cpu-list", str(core), str(python), str(PROGRAM), str(subject.artifacts), str(seconds)]
    done = subprocess.run([*command, *map(str, files)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnfitError(f"the loop failed: {done.stderr.strip()[-200:]}")
    figures: dict[str, dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return figures
