"""What `fetch` left for `serve`: checked before anything that takes long, or runs the model's code, is imported."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelvane_serving.failure import INVALID_MODEL, StartError
from modelvane_serving.manifest import ARTIFACTS_DIR, FACTS_FILE, verify_manifest
from modelvane_serving.mlmodel import MlModel, read_mlmodel


@dataclass(frozen=True, kw_only=True)
class FetchedModel:
    """A model's files, known to be those that were fetched."""

    artifacts: Path
    digest: str
    mlmodel: MlModel
    facts: Mapping[str, Any]

    @property
    def input_example(self) -> Path | None:
        """The example that the model was logged with, as a body of /invocations."""
        name = self.mlmodel.serving_input_example
        return None if name is None else self.artifacts / name


def open_fetched(model_dir: Path) -> FetchedModel:
    """Check the files and read what describes them."""
    digest = verify_manifest(model_dir)
    artifacts = model_dir / ARTIFACTS_DIR
    try:
        facts: dict[str, Any] = json.loads((model_dir / FACTS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StartError(INVALID_MODEL, f"{FACTS_FILE} cannot be read: {type(error).__name__}") from None
    fetched = FetchedModel(artifacts=artifacts, digest=digest, mlmodel=read_mlmodel(artifacts), facts=facts)
    example = fetched.input_example
    if example is not None and not example.resolve().is_relative_to(artifacts.resolve()):
        raise StartError(INVALID_MODEL, f"the input example {example.name!r} is not among the model's files")
    return fetched
