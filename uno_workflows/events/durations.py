"""Spans of time as people write them: `"30s"`, `"2 days"`, `timedelta(hours=1)`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from uno_workflows.events.errors import DeclarationError

Duration = str | timedelta
"""What the public edge takes; inside it is always a `timedelta`."""

_UNITS: Final = {
    "ms": 0.001, "millisecond": 0.001, "s": 1.0, "sec": 1.0, "second": 1.0, "m": 60.0, "min": 60.0, "minute": 60.0,
    "h": 3600.0, "hour": 3600.0, "d": 86400.0, "day": 86400.0, "w": 604800.0, "week": 604800.0,
}  # fmt: skip
_SHAPE: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*")


def duration(value: Duration, *, what: str = "duration") -> timedelta:
    """Parse a span of time.

    Args:
        value: A number with a unit (ms, s, min, h, day, week, and their long forms), or a timedelta; at least zero.
        what: What it is for, used in the error.

    Raises:
        DeclarationError: it is neither, or negative, or longer than 1,000 years.
    """
    if isinstance(value, timedelta):
        span = value
    else:
        match = _SHAPE.fullmatch(value) if isinstance(value, str) else None
        unit = match and (_UNITS.get(match[2]) or _UNITS.get(match[2].removesuffix("s")))
        if not match or not unit:
            raise DeclarationError(
                f"{what} {value!r} is not a span of time; write a number and a unit, such as '30s' or '2 days'"
            )
        seconds = float(match[1]) * unit
        if seconds > 1000 * 366 * 86400:
            raise DeclarationError(f"{what} {value!r} is longer than 1,000 years")
        span = timedelta(seconds=seconds)
    if span < timedelta(0):
        raise DeclarationError(f"{what} {value!r} is negative")
    return span


def spell(span: timedelta) -> str:
    """The shortest exact way to write a span: `2 days`, `90s`, `1.5s`."""
    seconds = span.total_seconds()
    for unit, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds and seconds % unit == 0:
            return f"{int(seconds // unit)} {name}{'s' if seconds != unit else ''}"
    return f"{seconds:g}s"
