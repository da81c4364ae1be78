"""What a promotion or a rollback does to the registry's pointer. Pure."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from modelvane_cli.exits import Exit, StopError
from modelvane_cli.seen import Seen

STAGES = ("Production", "Staging", "Archived", "None")
ACTIVE = ("Production", "Staging")
"""The stages whose other versions MLflow can archive in the same step."""


@dataclass(frozen=True)
class Pointer:
    """A stage or an alias of a registered model."""

    model: str
    stage: str | None = None
    alias: str | None = None

    def __str__(self) -> str:
        """Write it as the MLflow URI that means the same."""
        return f"models:/{self.model}@{self.alias}" if self.alias else f"models:/{self.model}/{self.stage}"

    @property
    def words(self) -> str:
        """Name it in a sentence."""
        return f"alias {self.alias}" if self.alias else f"stage {self.stage}"


@dataclass(frozen=True)
class Held:
    """What the registry says about a model: which version each stage and alias leads to."""

    stages: Mapping[str, str]
    aliases: Mapping[str, str]

    def at(self, pointer: Pointer) -> str | None:
        """Return the version that a pointer names now. In a stage that is the highest number, as MLflow has it."""
        return self.aliases.get(pointer.alias) if pointer.alias else self.stages.get(pointer.stage or "")

    def named(self, word: str) -> str | None:
        """Return the version that a word of a condition names: an alias, or a stage in any case."""
        if word in self.aliases:
            return self.aliases[word]
        return next((version for stage, version in self.stages.items() if stage.lower() == word.lower()), None)


@dataclass(frozen=True)
class Move:
    """One change of a pointer. Where `previous` is `version` there is nothing to do."""

    pointer: Pointer
    version: str
    previous: str | None

    @property
    def is_needed(self) -> bool:
        """Tell whether anything has to be written."""
        return self.version != self.previous

    @property
    def archives(self) -> bool:
        """Tell whether the versions that are in the stage have to leave it.

        Several may be in one stage, and the highest number wins, so a step back has no effect while they stay.
        """
        return self.pointer.stage in ACTIVE

    def document(self) -> dict[str, Any]:
        """Return what `-o json` prints of it."""
        return {
            "model": self.pointer.model,
            "pointer": str(self.pointer),
            "version": self.version,
            "previous": self.previous,
            "changed": self.is_needed,
        }

    def __str__(self) -> str:
        """Say what was done."""
        what = f"{self.pointer.model}: {self.pointer.words}"
        if not self.is_needed:
            return f"{what} is version {self.version} already; nothing was written."
        if self.previous is None:
            return f"{what} is version {self.version} now; it was none before."
        archived = ", which is archived" if self.archives else ""
        return f"{what} is version {self.version} now; it was version {self.previous}{archived}."


def choose(model: str, to: str | None, alias: str | None) -> Pointer:
    """Read the options of `promote`."""
    if to and alias:
        raise StopError(Exit.USAGE, "Give --to STAGE or --alias NAME, not both.")
    if alias:
        if not re.fullmatch(r"[\w-]{1,255}", alias) or alias.lower() == "latest" or re.fullmatch(r"[vV]\d+", alias):
            raise StopError(
                Exit.USAGE,
                f'--alias: write letters, digits, "_" and "-", and neither "latest" nor a version such as v3, which '
                f"MLflow keeps for itself; got {alias!r}.",
            )
        return Pointer(model, alias=alias)
    wanted = to or "Production"
    stage = next((one for one in STAGES if one.lower() == wanted.lower()), None)
    if stage is None:
        raise StopError(
            Exit.USAGE, f"--to: write one of {', '.join(STAGES)}; got {wanted!r}. An alias is given with --alias."
        )
    return Pointer(model, stage=stage)


def followed(seen: Seen) -> Pointer:
    """Return the pointer that a ModelDeployment follows, if it is one that can be moved."""
    model = seen.spec.get("model") or {}
    name = str(model.get("name", ""))
    if model.get("alias"):
        return Pointer(name, alias=str(model["alias"]))
    if model.get("stage"):
        return Pointer(name, stage=str(model["stage"]))
    raise StopError(
        Exit.FAILED,
        f"{seen.name} follows no pointer: spec.model.version is {model.get('version')}. Change that where the resource "
        "is kept, in Git for example.",
    )


def earlier(seen: Seen, current: str | None) -> str:
    """Choose the version to go back to: the last one that was promoted before the one the pointer names.

    While a rollout runs, or after it failed, that is what serves; else what served before it.
    """
    known = next((version for version in _before(seen) if version != current), None)
    if known is None:
        raise StopError(
            Exit.NOT_FOUND,
            f"No version of {seen.name} is known that served before version {current}: status.history has none. Name "
            "one with --to-version.",
        )
    return known


def _before(seen: Seen) -> Iterator[str]:
    for part in ("stable", "warm"):
        if seen.part(part).get("version"):
            yield str(seen.part(part)["version"])
    for entry in seen.status.get("history") or ():
        if entry.get("outcome") == "Promoted":
            yield str(entry["version"])
