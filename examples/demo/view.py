"""What the live table says. Pure: the traffic and the status in, lines out."""

from __future__ import annotations

from collections.abc import Iterable

from examples.demo.kube import Manifest, conditions
from examples.demo.traffic import Second, Traffic

BAR = 30


def table(second: Second, total: Traffic, deployment: Manifest, since: float) -> list[str]:
    """Draw who serves how much in this second, a row for each version that serves or wants to."""
    rows = [f"{'version':<9}{'is':<11}{'pods ready':<12}{'weight':>6}{'answers/s':>11}  share"]
    for version in sorted(_known(second, deployment), key=_number):
        answers = second.count(version)
        share = answers / second.answered if second.answered else 0.0
        bar = ("█" * round(share * BAR)).ljust(BAR)
        state = f"{_role(version, deployment):<11}{_pods(version, deployment):<12}{_weight(version, deployment):>6}"
        rows.append(f"{version:<9}{state}{answers:>11}  {bar} {share:4.0%}")
    rows.append(f"{since:.0f} s after the promotion · {total.sent} requests, {total.failed} failed{_latency(second)}")
    return rows


def line(second: Second, total: Traffic, deployment: Manifest, since: float) -> str:
    """Say the same in one line."""
    parts = [
        f"v{version} {second.count(version):>3}/s ({_role(version, deployment)} {_weight(version, deployment)})"
        for version in sorted(_known(second, deployment), key=_number)
    ]
    return f"+{since:4.1f} s  {' · '.join(parts)} · {total.failed} failed"


def what_goes_on(deployment: Manifest) -> str:
    """Return the sentence of the status that matters now."""
    found = conditions(deployment)
    for name in ("Stalled", "Reconciling", "Ready"):
        condition = found.get(name)
        if condition and (name == "Ready" or condition["status"] == "True"):
            return f"{condition['reason']}: {condition['message']}"
    return "no status yet"


def rejection(deployment: Manifest, version: str) -> Manifest | None:
    """Return the record that a version was rejected, if it was."""
    rejected: Iterable[Manifest] = deployment.get("status", {}).get("rejected", [])
    return next((one for one in rejected if one["version"] == version), None)


def serves_only(deployment: Manifest, version: str) -> bool:
    """Tell whether the status names a version as stable and no other as candidate."""
    status = deployment.get("status", {})
    return status.get("stable", {}).get("version") == version and not status.get("candidate")


def _known(second: Second, deployment: Manifest) -> set[str]:
    status = deployment.get("status", {})
    named = {status.get(role, {}).get("version") for role in ("stable", "candidate")}
    return (named - {None}) | set(second.versions) | {one["version"] for one in status.get("rejected", [])}


def _role(version: str, deployment: Manifest) -> str:
    status = deployment.get("status", {})
    for role in ("candidate", "stable", "warm"):
        if status.get(role, {}).get("version") == version:
            return role
    return "rejected" if rejection(deployment, version) else "old"


def _weight(version: str, deployment: Manifest) -> str:
    state = _serving(version, deployment)
    return f"{state.get('weight', 0)}%" if state else "-"


def _pods(version: str, deployment: Manifest) -> str:
    state = _serving(version, deployment)
    return f"{state.get('readyReplicas', 0)} of {state.get('replicas', 0)}" if state else "-"


def _serving(version: str, deployment: Manifest) -> Manifest:
    """Return what the status says of a version that is candidate or stable; nothing of any other."""
    status = deployment.get("status", {})
    states = (status.get(role, {}) for role in ("candidate", "stable"))
    return next((state for state in states if state.get("version") == version), {})


def _latency(second: Second) -> str:
    if second.p50_ms is None or second.p99_ms is None:
        return ""
    return f" · p50 {second.p50_ms:.0f} ms, p99 {second.p99_ms:.0f} ms"


def _number(version: str) -> tuple[int, str]:
    return (int(version), "") if version.isdigit() else (0, version)
