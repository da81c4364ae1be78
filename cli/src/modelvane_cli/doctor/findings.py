"""What a finding is, and the small things that all checks share. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from modelvane_cli.seen import Manifest

Level = Literal["problem", "note"]


@dataclass(frozen=True)
class Finding:
    """Something that is wrong: what, why, and what to do. A note is worth knowing and no reason to worry."""

    code: str
    about: str
    what: str
    why: str
    do: str
    level: Level = "problem"

    def document(self) -> dict[str, Any]:
        """Return what `-o json` prints."""
        facts = {"level": self.level, "code": self.code, "about": self.about}
        return {**facts, "what": self.what, "why": self.why, "do": self.do}


def condition(resource: Manifest, kind: str) -> Mapping[str, Any]:
    """Return a condition of a resource, empty if it has none."""
    return condition_in((resource.get("status") or {}).get("conditions"), kind)


def condition_in(conditions: Any, kind: str) -> Mapping[str, Any]:
    """Return a condition of a list, empty if it is not there."""
    return next((one for one in conditions or () if one.get("type") == kind), {})


def key(resource: Manifest, kind: str) -> str:
    """Name a resource as kubectl takes it."""
    return f"{kind}/{resource['metadata']['name']}"
