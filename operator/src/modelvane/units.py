"""Durations, percentages and sizes as users write them, and as they are written back. Pure."""

import re
from datetime import timedelta
from decimal import ROUND_CEILING, Decimal
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_DURATION = re.compile(rf"(?:{_DURATION_PART.pattern})+")
_PERCENT = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,4})?%")
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,3})?)([kMGTP]?|[KMGTP]i)")
_SIZES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
_SIZES |= {f"{prefix}i": 1024**power for power, prefix in enumerate("KMGTP", 1)}


def parse_duration(value: object) -> object:
    """Read a duration the way Kubernetes writes it, such as `1h30m` or `500ms`."""
    if not isinstance(value, str):
        return value
    if not _DURATION.fullmatch(value):
        raise ValueError(f"{value!r} is not a duration such as 30s, 10m or 1h30m")
    return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(value)))


def format_duration(value: timedelta) -> str:
    """Write a duration the way it is read: `90s` becomes `1m30s`."""
    whole, rest = divmod(round(value.total_seconds() * 1000), 1000)
    minutes, seconds = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "m"), (seconds, "s"), (rest, "ms"))
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"


def parse_percent(value: object) -> object:
    """Read a percentage such as `1%` or `0.5%` as a fraction of 1."""
    if not isinstance(value, str):
        return value
    if not _PERCENT.fullmatch(value):
        raise ValueError(f"{value!r} is not a percentage such as 1% or 0.5%")
    return float(value.removesuffix("%")) / 100


def format_percent(value: float) -> str:
    """Write a fraction of 1 as a percentage."""
    return f"{value * 100:.6g}%"


def parse_size(value: object) -> object:
    """Read a number of bytes as Kubernetes writes it, such as `10Gi` or `500M`; a part of a byte counts whole."""
    if not isinstance(value, str):
        return value
    found = _SIZE.fullmatch(value)
    if found is None:
        raise ValueError(f"{value!r} is not a size such as 500Mi or 10Gi")
    return int((Decimal(found[1]) * _SIZES[found[2]]).to_integral_value(ROUND_CEILING))


Duration = Annotated[timedelta, BeforeValidator(parse_duration), PlainSerializer(format_duration)]
Percent = Annotated[float, BeforeValidator(parse_percent), PlainSerializer(format_percent)]
"""A fraction of 1, written as a percentage."""
Size = Annotated[int, BeforeValidator(parse_size)]
"""Bytes."""
