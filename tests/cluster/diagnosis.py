"""Picks from the logs of a node the lines that say why it is not ready. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

LINES = 6
WIDTH = 400
ENDED = re.compile(r"^\S+ (\S+) ended with", re.MULTILINE)
# klog's errors and fatals, those of logfmt and JSON logs, and of Python.
ERROR = re.compile(r'^[EF]\d{4} |level=(error|fatal|panic)|"level":"(error|fatal|panic)"|^(panic|\w*Error)\b')


def telling(logs: Mapping[str, str]) -> str:
    """Return the last errors of the processes that ended, or of all of them if none did.

    While one component is down, the others fill their logs with errors about it; those say nothing.
    """
    supervisor = logs.get("supervisor", "")
    culprits = set(ENDED.findall(supervisor)) or logs.keys()
    parts = [f"--- supervisor\n{supervisor.strip()}"] if supervisor.strip() else []
    for name in sorted(culprits - {"supervisor"}):
        if lines := _errors(logs.get(name, "")):
            parts.append("\n".join([f"--- {name}", *lines]))
    return "\n".join(parts)


def _errors(log: str) -> list[str]:
    """Return the last different error lines of a log, or its last lines if none of them is one."""
    lines = [line[:WIDTH] for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if ERROR.search(line)]
    return (errors or lines)[-LINES:]
