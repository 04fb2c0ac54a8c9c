"""Spans of time as people write them: `"30s"`, `"2 days"`, `timedelta(hours=1)`."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Final

from uno_workflows.events.errors import DeclarationError

Duration = str | timedelta
"""What the public edge takes; inside it is always a `timedelta`."""

_SECOND: Final = 1_000_000
_UNITS: Final = {
    "ms": 1_000, "millisecond": 1_000, "s": _SECOND, "sec": _SECOND, "second": _SECOND,
    "m": 60 * _SECOND, "min": 60 * _SECOND, "minute": 60 * _SECOND, "h": 3600 * _SECOND, "hour": 3600 * _SECOND,
    "d": 86400 * _SECOND, "day": 86400 * _SECOND, "w": 604800 * _SECOND, "week": 604800 * _SECOND,
}  # fmt: skip
_SHAPE: Final = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]+)\s*")
_LONGEST: Final = timedelta(days=366_000)


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
        unit = match and (_UNITS.get(match[2]) or (len(match[2]) > 3 and _UNITS.get(match[2].removesuffix("s"))))
        if not match or not unit:
            raise DeclarationError(
                f"{what} {value!r} is not a span of time; write a number and a unit, such as '30s' or '2 days'"
            )
        span = timedelta(microseconds=round(min(Decimal(match[1]) * unit, Decimal(10**17))))
    if span < timedelta(0):
        raise DeclarationError(f"{what} {value!r} is negative")
    if span > _LONGEST:
        raise DeclarationError(f"{what} {value!r} is longer than 1,000 years")
    return span


def spell(span: timedelta) -> str:
    """The shortest exact way to write a span: `2 days`, `90s`, `1.5s`."""
    for unit, name in ((timedelta(days=1), "day"), (timedelta(hours=1), "hour"), (timedelta(minutes=1), "minute")):
        if span and not span % unit:
            return f"{span // unit} {name}{'s' if span != unit else ''}"
    whole = f"{span // timedelta(seconds=1)}.{span.microseconds:06d}"
    return f"{whole.rstrip('0').rstrip('.')}s"
