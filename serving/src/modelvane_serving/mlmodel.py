"""What the MLmodel file of a fetched model says, without MLflow: it is YAML with a few known keys."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from modelvane_serving.failure import INVALID_MODEL, StartError, one_line

PYFUNC_FLAVOR: Final = "python_function"


@dataclass(frozen=True, kw_only=True)
class MlModel:
    """The facts of a model that users and operators want to see."""

    flavors: tuple[str, ...]
    configurations: Mapping[str, Mapping[str, Any]]
    signature: Mapping[str, Any] | None
    serving_input_example: str | None
    # The model checks and converts its input itself, by the type hints of its `predict`.
    has_type_hints: bool = False

    @property
    def flavor(self) -> str:
        """The flavor the model was saved as: python_function is how it is loaded, not what it is."""
        return next((name for name in self.flavors if name != PYFUNC_FLAVOR), PYFUNC_FLAVOR)


def read_mlmodel(artifacts: Path) -> MlModel:
    """Read MLmodel; a model that pyfunc cannot load is refused here, by name, before anything is imported for it."""
    path = artifacts / "MLmodel"
    if not path.is_file():
        raise StartError(INVALID_MODEL, "the artifacts hold no MLmodel file: this is not an MLflow model")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return _parse(content)
    except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StartError(INVALID_MODEL, one_line(f"the MLmodel file cannot be read: {error}", 300)) from None


def _parse(content: Mapping[str, Any]) -> MlModel:
    flavors = tuple(content["flavors"])
    if PYFUNC_FLAVOR not in flavors:
        names = ", ".join(flavors) or "none"
        raise StartError(INVALID_MODEL, f"the model has no {PYFUNC_FLAVOR} flavor, only: {names}")
    example = content.get("saved_input_example_info") or {}
    return MlModel(
        flavors=flavors,
        configurations={name: dict(configuration or {}) for name, configuration in content["flavors"].items()},
        signature=_parse_signature(content.get("signature")),
        serving_input_example=example.get("serving_input_path"),
        has_type_hints=bool(content.get("is_signature_from_type_hint") or content.get("type_hint_from_example")),
    )


def _parse_signature(signature: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Turn the JSON texts inside the YAML into what they say."""
    if not signature:
        return None
    return {
        key: json.loads(value) if isinstance(value, str) else value
        for key, value in signature.items()
        if key in {"inputs", "outputs", "params"}
    }
