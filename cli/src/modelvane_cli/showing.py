"""Prints what the commands found: as text, as a live view, or as JSON."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from modelvane_cli import tables, tree
from modelvane_cli.cluster import MODEL_DEPLOYMENT, Cluster, MissingError
from modelvane_cli.doctor import report
from modelvane_cli.doctor.facts import Facts
from modelvane_cli.doctor.findings import Finding
from modelvane_cli.exits import Exit, StopError
from modelvane_cli.look import explain_no_kind, find_model, see
from modelvane_cli.screen import open_console, show, show_json
from modelvane_cli.seen import Seen

REFRESH_SECONDS = 1.0


def show_list(cluster: Cluster, *, everywhere: bool, as_json: bool) -> None:
    """Print `list`."""
    try:
        found = cluster.list(MODEL_DEPLOYMENT, None if everywhere else cluster.namespace)
    except MissingError:
        raise explain_no_kind() from None
    summaries = sorted(map(tables.summarize, found), key=lambda one: (one["namespace"], one["name"]))
    if as_json:
        show_json({"items": summaries})
    elif summaries:
        console = open_console()
        show(console, tables.list_table(summaries, _now(), console.width, with_namespace=everywhere))
    else:
        where = "the cluster" if everywhere else f"namespace {cluster.namespace} (-A looks in all)"
        print(f"There are no ModelDeployments in {where}.")


def show_status(cluster: Cluster, name: str, *, as_json: bool) -> None:
    """Print `status` once."""
    seen = see(cluster, cluster.namespace, name)
    if as_json:
        show_json(seen.document())
        return
    console = open_console()
    show(console, tree.draw(seen, _now(), ascii_only=console.options.ascii_only))


def watch_status(cluster: Cluster, name: str, *, as_json: bool) -> None:
    """Print `status` again and again until the user ends it, which is no failure."""
    console = open_console()
    try:
        if as_json or not console.is_terminal:
            _follow(cluster, name, as_json=as_json)
        else:
            _redraw(cluster, name, console)
    except KeyboardInterrupt:
        return


def show_history(cluster: Cluster, name: str, *, as_json: bool) -> None:
    """Print `history`."""
    seen = Seen(find_model(cluster, cluster.namespace, name))
    document = tables.history_document(seen)
    if as_json:
        show_json(document)
    elif document["history"]:
        console = open_console()
        show(console, tables.history_table(document["history"], _now(), console.width))
    else:
        print(f"{name} has finished no rollout yet.")


def show_diagnosis(facts: Facts, findings: Sequence[Finding], *, as_json: bool) -> None:
    """Print `doctor`."""
    if as_json:
        show_json(report.document(facts, findings))
        return
    console = open_console()
    show(console, report.draw(facts, findings, ascii_only=console.options.ascii_only))


def show_lines(document: Mapping[str, Any], lines: Sequence[str], *, as_json: bool) -> None:
    """Print what a command did."""
    if as_json:
        show_json(document)
        return
    for line in lines:
        print(line)


def _follow(cluster: Cluster, name: str, *, as_json: bool) -> None:
    """Print a line whenever something has changed."""
    last: object = None
    seen: Seen | StopError = see(cluster, cluster.namespace, name)
    while True:
        lost = isinstance(seen, StopError)
        news = _trying_again(seen) if isinstance(seen, StopError) else seen.document() if as_json else tree.line(seen)
        if news != last:
            last = news
            if lost:
                print(news, file=sys.stderr, flush=True)
            elif as_json:
                show_json(news, compact=True)
            else:
                print(f"{datetime.now(UTC):%H:%M:%S}  {news}", flush=True)
        time.sleep(REFRESH_SECONDS)
        seen = _see_again(cluster, name)


def _redraw(cluster: Cluster, name: str, console: Console) -> None:
    """Keep the tree up to date in its place."""
    drawn: RenderableType = tree.draw(
        see(cluster, cluster.namespace, name), _now(), ascii_only=console.options.ascii_only
    )
    with Live(drawn, console=console, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            time.sleep(REFRESH_SECONDS)
            seen = _see_again(cluster, name)
            if isinstance(seen, StopError):
                # What was seen last is worth more than an empty screen.
                live.update(Group(drawn, Text(_trying_again(seen), style="bold red")), refresh=True)
            else:
                drawn = tree.draw(seen, _now(), ascii_only=console.options.ascii_only)
                live.update(drawn, refresh=True)


def _see_again(cluster: Cluster, name: str) -> Seen | StopError:
    """See it once more. An API server that was there before may be back in a moment, so its silence ends nothing."""
    try:
        return see(cluster, cluster.namespace, name)
    except StopError as error:
        if error.code != Exit.UNREACHABLE:
            raise
        return error


def _trying_again(error: StopError) -> str:
    return f"{error} Trying again."


def _now() -> datetime:
    return datetime.now(UTC)
