"""Times, durations and counts as people read them. Pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_DAY = 86400


def parse_time(value: object) -> datetime | None:
    """Read a time as the API server writes it; anything else is no time."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def parse_duration(value: object) -> timedelta | None:
    """Read a duration such as `1h30m`; anything else is no duration."""
    if not isinstance(value, str) or not re.fullmatch(rf"(?:{_PART.pattern})+", value):
        return None
    return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(value)))


def how_long(span: timedelta) -> str:
    """Write a span as kubectl does: two units at most, the small one only where it matters."""
    seconds = max(0, int(span.total_seconds()))
    if seconds < 120:
        return f"{seconds}s"
    minutes, rest = divmod(seconds, 60)
    if minutes < 10:
        return f"{minutes}m{rest}s" if rest else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    hours, rest = divmod(minutes, 60)
    if hours < 10:
        return f"{hours}h{rest}m" if rest else f"{hours}h"
    return f"{hours}h" if hours < 48 else f"{seconds // _DAY}d"


def since(value: object, now: datetime) -> str | None:
    """Say how long ago a time was."""
    moment = parse_time(value)
    return how_long(now - moment) if moment else None


def left(value: datetime, now: datetime) -> str:
    """Say how long it is until a time."""
    return f"{how_long(value - now)} left" if value > now else "over"


def count(number: int, thing: str) -> str:
    """Write a number with its noun."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def pointer_of(spec: Mapping[str, object]) -> str:
    """Write the pointer that a ModelDeployment follows as the MLflow URI that means the same."""
    model = spec.get("model")
    wanted = model if isinstance(model, Mapping) else {}
    if wanted.get("alias"):
        return f"models:/{wanted.get('name')}@{wanted['alias']}"
    return f"models:/{wanted.get('name')}/{wanted.get('stage') or wanted.get('version')}"
