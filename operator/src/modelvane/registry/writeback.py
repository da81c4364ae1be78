"""What happened to a version, as tags on that version in the registry. Pure.

The newest entry about a version is what its tag says. `status.writtenBack` remembers up to which entry that is done, so
a restart of the operator, or a registry that was away, loses nothing that `status.history` still holds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from modelvane.engine.memory import HistoryEntry, Memory, format_time
from modelvane.spec import ModelDeploymentSpec

LONGEST_MESSAGE = 300
"""Characters of a reason: enough to know it, and short enough for a table. The whole of it is in the status."""


@dataclass(frozen=True)
class Tag:
    """One tag on one version."""

    model: str
    version: str
    key: str
    value: str


@dataclass(frozen=True)
class Note:
    """All that is to be written for one ModelDeployment now, up to the entry of `until`."""

    tags: tuple[Tag, ...]
    until: datetime

    @property
    def settled(self) -> datetime:
        """Say when no further entry can carry the time of `until`, which the status keeps in whole seconds."""
        return self.until.replace(microsecond=0) + timedelta(seconds=1)


def tag_key(namespace: str, name: str) -> str:
    """Name the tag after the ModelDeployment, because several may serve the same version."""
    return f"modelvane.{namespace}.{name}"


def build_note(namespace: str, name: str, spec: ModelDeploymentSpec, memory: Memory) -> Note | None:
    """Say what the registry has yet to be told, if anything."""
    if spec.write_back != "Tags" or not memory.history:
        return None
    newest, done = memory.history[0].finished_at, memory.written_back
    if done is not None and newest <= done:
        return None
    told: dict[tuple[str, str], str] = {}
    for entry, model, version, value in _sentences(memory, spec):
        if done is None or entry.finished_at > done:
            told[model, version] = value
    key = tag_key(namespace, name)
    return Note(tuple(Tag(model, version, key, value) for (model, version), value in told.items()), newest)


def _sentences(memory: Memory, spec: ModelDeploymentSpec) -> Iterator[tuple[HistoryEntry, str, str, str]]:
    """Go through the history from its oldest entry on: what is to be said about which version of which model."""
    serving: tuple[str, str] | None = None
    for entry in reversed(memory.history):
        model = entry.about(spec)
        if model is None:
            serving = None if entry.outcome == "Promoted" else serving
            continue
        when = format_time(entry.finished_at)
        if entry.outcome == "Promoted":
            if serving not in (None, (model, entry.version)):
                other = f"version {entry.version}" + ("" if serving[0] == model else f" of model {model}")
                yield entry, *serving, f"Replaced {when} by {other}"
            serving = (model, entry.version)
        yield entry, model, entry.version, f"{entry.outcome} {when} {_short(entry.message)}"


def _short(message: str) -> str:
    line = " ".join(message.split())
    return line if len(line) <= LONGEST_MESSAGE else line[: LONGEST_MESSAGE - 3] + "..."
