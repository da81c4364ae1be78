"""The lists of `list` and `history`, as documents and as tables. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from modelvane_cli.seen import Manifest, Seen
from modelvane_cli.tree import PHASES
from modelvane_cli.words import how_long, parse_time, pointer_of, since

Document = dict[str, Any]

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


def list_table(summaries: Sequence[Document], now: datetime, *, with_namespace: bool) -> Table:
    """Draw `list`."""
    columns = ["NAME", "POINTER", "DESIRED", "STABLE", "CANDIDATE", "WEIGHT", "READY", "PHASE", "AGE"]
    table = _table([*(["NAMESPACE"] if with_namespace else []), *columns])
    for one in summaries:
        weight = "" if one["weight"] is None else f"{one['weight']} %"
        ready = f"{one['readyReplicas']}/{one['replicas']}"
        phase = one["phase"] or "not seen"
        cells = [
            Text(one["name"], style="bold"),
            one["pointer"],
            one["desired"] or "",
            one["stable"] or "",
            one["candidate"] or "",
            weight,
            Text(ready, style="green" if one["ready"] else "yellow"),
            Text(phase, style=PHASES.get(phase, "bold red")),
            since(one["createdAt"], now) or "",
        ]
        table.add_row(*([one["namespace"]] if with_namespace else []), *cells)
    return table


def history_document(seen: Seen) -> Document:
    """Return what `history -o json` prints."""
    return {
        "namespace": seen.namespace,
        "name": seen.name,
        "serving": seen.part("stable").get("version"),
        "history": list(seen.status.get("history") or ()),
        "rejected": list(seen.status.get("rejected") or ()),
    }


def history_table(entries: Sequence[Mapping[str, Any]], now: datetime) -> Table:
    """Draw `history`, the newest first."""
    table = _table(["VERSION", "OUTCOME", "ENDED", "TOOK", "WHY"])
    for entry in entries:
        began, ended = parse_time(entry.get("startedAt")), parse_time(entry.get("finishedAt"))
        outcome = str(entry.get("outcome", ""))
        table.add_row(
            str(entry.get("version", "")),
            Text(outcome, style=OUTCOMES.get(outcome, "")),
            f"{since(entry.get('finishedAt'), now) or '?'} ago",
            how_long(ended - began) if began and ended else "?",
            str(entry.get("message", "")),
        )
    return table


def _table(columns: Sequence[str]) -> Table:
    table = Table(box=None, padding=(0, 3, 0, 0), header_style="bold", pad_edge=False)
    for column in columns:
        # A name that is cut short cannot be typed again.
        table.add_column(column, overflow="fold")
    return table
