"""The lists of `list` and `history`, as documents and as tables. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from modelvane_cli.seen import Manifest, Seen
from modelvane_cli.tree import PHASES
from modelvane_cli.words import how_long, parse_time, pointer_of, since

Document = dict[str, Any]

GAP = 2
WIDE = 80
DISPENSABLE = ("POINTER", "AGE", "WEIGHT", "DESIRED", "NAMESPACE", "READY", "CANDIDATE")
OUTCOMES = {"Promoted": "green", "RolledBack": "red", "Superseded": "dim", "Aborted": "yellow"}


def summarize(resource: Manifest) -> Document:
    """Return one entry of `list -o json`."""
    seen = Seen(resource)
    ready, stable, candidate = seen.condition("Ready"), seen.part("stable"), seen.part("candidate")
    return {
        "namespace": seen.namespace,
        "name": seen.name,
        "model": (seen.spec.get("model") or {}).get("name"),
        "pointer": pointer_of(seen.spec),
        "desired": seen.part("desired").get("version"),
        "stable": stable.get("version"),
        "candidate": candidate.get("version"),
        "weight": candidate.get("weight"),
        "replicas": seen.spec.get("replicas", 1),
        "readyReplicas": stable.get("readyReplicas", 0),
        "ready": ready.get("status") == "True",
        "phase": seen.status.get("phase"),
        "message": ready.get("message"),
        "createdAt": resource["metadata"].get("creationTimestamp"),
    }


def list_table(summaries: Sequence[Document], now: datetime, width: int, *, with_namespace: bool) -> Table:
    """Draw `list`, without the columns that matter least where there is no room for them."""
    columns = {
        **({"NAMESPACE": [Text(one["namespace"]) for one in summaries]} if with_namespace else {}),
        "NAME": [Text(one["name"], style="bold") for one in summaries],
        "POINTER": [Text(one["pointer"].removeprefix("models:/")) for one in summaries],
        "DESIRED": [Text(one["desired"] or "") for one in summaries],
        "STABLE": [Text(one["stable"] or "") for one in summaries],
        "CANDIDATE": [Text(one["candidate"] or "") for one in summaries],
        "WEIGHT": [Text("" if one["weight"] is None else f"{one['weight']} %") for one in summaries],
        "READY": [_ready(one) for one in summaries],
        "PHASE": [_phase(one["phase"] or "not seen") for one in summaries],
        "AGE": [Text(since(one["createdAt"], now) or "") for one in summaries],
    }
    for dispensable in DISPENSABLE:
        if sum(max(len(name), *map(len, cells)) + GAP for name, cells in columns.items()) - GAP <= width:
            break
        columns.pop(dispensable, None)
    table = _table(columns)
    for row in zip(*columns.values(), strict=True):
        table.add_row(*row)
    return table


def _ready(one: Document) -> Text:
    return Text(f"{one['readyReplicas']}/{one['replicas']}", style="green" if one["ready"] else "yellow")


def _phase(phase: str) -> Text:
    return Text(phase, style=PHASES.get(phase, "bold red"))


def history_document(seen: Seen) -> Document:
    """Return what `history -o json` prints."""
    return {
        "namespace": seen.namespace,
        "name": seen.name,
        "serving": seen.part("stable").get("version"),
        "history": list(seen.status.get("history") or ()),
        "rejected": list(seen.status.get("rejected") or ()),
    }


def history_table(entries: Sequence[Mapping[str, Any]], now: datetime, width: int) -> RenderableType:
    """Draw `history`, the newest first; where there is no room for a column of reasons, they stand below."""
    wide = width >= WIDE
    table = _table(["VERSION", "OUTCOME", "ENDED", "TOOK", *(["WHY"] if wide else [])])
    lines: list[RenderableType] = []
    for entry in entries:
        began, ended = parse_time(entry.get("startedAt")), parse_time(entry.get("finishedAt"))
        outcome, message = str(entry.get("outcome", "")), str(entry.get("message", ""))
        ago = f"{since(entry.get('finishedAt'), now) or '?'} ago"
        took = how_long(ended - began) if began and ended else "?"
        version, styled = str(entry.get("version", "")), Text(outcome, style=OUTCOMES.get(outcome, ""))
        table.add_row(version, styled, ago, took, *([message] if wide else []))
        lines.append(Text.assemble(f"{version}  ", styled, f"  {ago}, took {took}"))
        lines.append(Padding(Text(message, style="dim"), (0, 0, 0, 4)))
    return table if wide else Group(*lines)


def _table(columns: Iterable[str]) -> Table:
    table = Table(box=None, padding=(0, GAP, 0, 0), header_style="bold", pad_edge=False)
    for column in columns:
        # A name that is cut short cannot be typed again.
        table.add_column(column, overflow="fold")
    return table
