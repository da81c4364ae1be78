"""The status of one ModelDeployment as a tree. Pure: what was seen and the time in, something to draw out."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from modelvane_cli import story
from modelvane_cli.seen import Manifest, Pod, Seen
from modelvane_cli.words import count, left, parse_time, pointer_of, since

BAR = 24
EVENTS = 6
REJECTED = 3
TABLE_NEEDS = 46
"""Columns below which the figures are written one under the other."""

PHASES = {
    "Ready": "bold green",
    "Progressing": "bold cyan",
    "Paused": "bold yellow",
    "Pending": "bold yellow",
    "Suspended": "bold magenta",
    "Degraded": "bold red",
}
VERDICTS = {"Passed": ("passed", "green"), "Failed": ("failed", "red"), "Inconclusive": ("is undecided", "yellow")}


@dataclass(frozen=True)
class Marks:
    """The signs of a tree; terminals that know only ASCII get others."""

    good: str = "✓"
    bad: str = "✗"
    waits: str = "…"
    leads_to: str = "→"
    between: str = " · "
    done: str = "━"
    open: str = "─"

    @classmethod
    def of(cls, *, ascii_only: bool) -> "Marks":
        """Choose the signs."""
        return cls("+", "x", "~", "->", " | ", "=", "-") if ascii_only else cls()


def draw(seen: Seen, now: datetime, *, ascii_only: bool = False) -> Tree:
    """Draw all that is known about a ModelDeployment."""
    marks = Marks.of(ascii_only=ascii_only)
    tree = Tree(_head(seen, marks), guide_style="dim", highlight=False)
    shown: set[object] = set()
    for role in ("stable", "candidate", "warm"):
        part = seen.part(role)
        if part:
            shown.add(part.get("revision"))
            branch = tree.add(_revision(seen, role, part, marks, now))
            if role == "candidate":
                _add_progress(branch, seen, part, marks, now)
            _add_pods(branch, seen.pods_of(part.get("revision")), marks, now)
    leaving = [pod for pod in seen.pods if pod.revision not in shown]
    if leaving:
        _add_pods(tree.add(_titled("leaving", "pods of no wanted revision")), leaving, marks, now)
    for one in list(seen.status.get("rejected") or ())[:REJECTED]:
        ago = since(one.get("at"), now)
        said = f"version {one.get('version')}, {ago} ago: {one.get('reason')}: {one.get('message')}"
        tree.add(_titled("rejected", said, "red"))
    _add_conditions(tree, seen, marks)
    if seen.events:
        branch = tree.add(Text("events", style="bold"))
        shown_events = seen.events[-EVENTS:]
        widest = max(len(event.reason) for event in shown_events)
        for event in shown_events:
            style = "yellow" if event.warning else ""
            ago = (since(event.time, now) or "").rjust(5)
            reason = event.reason.ljust(widest)
            branch.add(Text.assemble((f"{ago}  ", "dim"), (f"{reason}  ", style), event.message))
    return tree


def _head(seen: Seen, marks: Marks) -> RenderableType:
    status, desired = seen.status, seen.part("desired")
    phase = str(status.get("phase") or "not seen by the operator")
    wanted = desired.get("version")
    leads = f"{marks.leads_to} version {wanted}" if wanted else f"{marks.leads_to} nothing"
    first = Text.assemble((seen.name, "bold"), "  ", (phase, PHASES.get(phase, "bold red")))
    first.append(f"  namespace {seen.namespace}", "dim")
    lines: list[RenderableType] = [first]
    where = [f"{pointer_of(seen.spec)} {leads}"] if status else [pointer_of(seen.spec)]
    lines.append(Text(marks.between.join([*where, *([str(status["url"])] if status.get("url") else [])])))
    if status and not seen.is_current:
        lines.append(Text("The spec has changed since this status was written.", style="yellow"))
    lines += [Text(sentence, style="yellow") for sentence in story.advice(seen)]
    return Group(*lines)


def _revision(seen: Seen, role: str, part: Manifest, marks: Marks, now: datetime) -> Text:
    facts = [f"version {part.get('version')}"]
    if role == "warm":
        until = parse_time(part.get("until"))
        facts.append("kept for a quick way back" + (f", {left(until, now)}" if until else ""))
    else:
        if "weight" in part:
            facts.append(f"{part['weight']} % of the traffic")
        if part.get("mirrorPercent"):
            facts.append(f"gets copies of {part['mirrorPercent']} %")
        wanted, ready = part.get("replicas"), part.get("readyReplicas", 0)
        if wanted is not None:
            facts.append(f"{ready} of {count(wanted, 'pod')} ready")
        ago = since(part.get("since"), now)
        facts += [f"for {ago}"] if ago else []
    style = {"stable": "green", "candidate": "cyan", "warm": "dim"}[role]
    text = _titled(role.ljust(len("candidate")), marks.between.join(facts), style)
    return text.append(f"  {part.get('revision', '')}", "dim")


def _add_progress(branch: Tree, seen: Seen, part: Manifest, marks: Marks, now: datetime) -> None:
    filled = round((story.progress(seen, now) or 0.0) * BAR)
    bar = Text.assemble((marks.done * filled, "cyan"), (marks.open * (BAR - filled), "dim"))
    told = story.describe_progress(seen, now)
    branch.add(bar.append(f"  {told}", "yellow" if part.get("paused") else "default") if told else bar)
    if part.get("analysis"):
        branch.add(_analysis(part, now))
    elif part.get("failedChecks"):
        branch.add(Text(f"{count(part['failedChecks'], 'check')} failed", style="red"))
    predictions = part.get("predictions")
    if predictions:
        branch.add(_titled("predictions", str(predictions.get("message", ""))))


def _analysis(part: Manifest, now: datetime) -> RenderableType:
    analysis = part["analysis"]
    word, style = VERDICTS.get(analysis.get("verdict", ""), ("says nothing", "yellow"))
    ago, failed = since(analysis.get("checkedAt"), now), part.get("failedChecks") or 0
    said = Text.assemble(("analysis", "bold"), "  ", (word, style), f" {ago} ago" if ago else "")
    if failed:
        said.append(f", {count(failed, 'check')} failed so far", "red")
    if analysis.get("message"):
        said.append(f": {analysis['message']}")
    figures = {side: analysis.get(side) or {} for side in ("candidate", "stable")}
    queries = [f"{query.get('name')}: {query.get('value')}" for query in analysis.get("queries") or ()]
    return Group(said, _Figures(figures), *(Text(query) for query in queries))


@dataclass(frozen=True)
class _Figures:
    """The figures of both sides: a table where there is room, else a line for each side."""

    sides: dict[str, Manifest]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        keys = ("requests", "errorRate", "p50", "p95", "p99")
        if options.max_width < TABLE_NEEDS:
            for side, figures in self.sides.items():
                told = ", ".join(f"{_header(key)} {figures[key]}" for key in keys if key in figures)
                yield Text(f"{side}: {told or 'nothing'}")
            return
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        table.add_column("")
        for key in keys:
            table.add_column(_header(key), justify="right")
        for side, figures in self.sides.items():
            table.add_row(side, *(str(figures.get(key, "-")) for key in keys))
        yield table


def _header(key: str) -> str:
    return {"errorRate": "errors"}.get(key, key)


def _add_pods(branch: Tree, pods: Iterable[Pod], marks: Marks, now: datetime) -> None:
    for pod in pods:
        age = since(pod.since, now) or "?"
        if pod.ending:
            mark, style, said = marks.waits, "dim", "is ending"
        elif pod.ready:
            mark, style, said = marks.good, "green", f"ready for {age}"
        elif pod.trouble:
            mark, style, said = marks.bad, "red", pod.trouble
        else:
            mark, style, said = marks.waits, "yellow", f"waits for {pod.waiting_for}, {age} old"
        branch.add(Text.assemble((f"{mark} ", style), pod.name, "  ", (said, style)))


def _add_conditions(tree: Tree, seen: Seen, marks: Marks) -> None:
    sentences = list(story.conditions(seen))
    if not sentences:
        return
    branch = tree.add(Text("conditions", style="bold"))
    for one in sentences:
        mark, style = {True: (marks.good, "green"), False: (marks.bad, "red"), None: (marks.waits, "yellow")}[one.good]
        branch.add(Text.assemble((f"{mark} ", style), one.text, "  ", (one.detail, "dim")))


def _titled(title: str, said: str, style: str = "") -> Text:
    return Text.assemble((title, f"bold {style}".strip()), "  ", said)


def line(seen: Seen) -> str:
    """Say the state in one line, for a log; nothing in it changes while nothing happens."""
    parts = [str(seen.status.get("phase") or "not seen by the operator")]
    for role in ("stable", "candidate"):
        part = seen.part(role)
        if part:
            weight = f" {part['weight']} %" if "weight" in part else ""
            ready = f" {part.get('readyReplicas', 0)}/{part['replicas']}" if "replicas" in part else ""
            parts.append(f"{role} {part.get('version')}{weight}{ready}")
    for kind in ("Stalled", "Reconciling", "Ready"):
        condition = seen.condition(kind)
        if condition and (kind == "Ready" or condition.get("status") == "True"):
            parts.append(f"{condition.get('reason')}: {condition.get('message')}")
            break
    return " · ".join(parts)
