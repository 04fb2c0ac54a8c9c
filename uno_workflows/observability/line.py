"""One log line: a stable code and fields. It needs nothing but the standard library, so sagas may use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

LONGEST: Final = 8_000
"""Characters of one value; a line that a log collector cuts is no JSON any more."""


@dataclass(frozen=True, slots=True)
class Line:
    """The message of a log record: the formatter takes its fields, and without one of ours it reads as `code name=value …`.

    Attributes:
        event: A code of the catalogue (`log_events`), never made of data: a newline in it would forge a line.
        fields: What is known of it; values may be anything.
    """

    event: str
    fields: Mapping[str, Any]

    def __str__(self) -> str:
        return " ".join([self.event, *spelt(self.fields)])


def line(event: str, /, *, error: BaseException | None = None, **fields: Any) -> Line:
    """A log line, as in `logger.warning(line("step_failed", step=name, error=err))`.

    Args:
        event: A code of the catalogue.
        error: What went wrong; it becomes the fields `error.type` and `error.message`.
        fields: The others; those that are `None` are left out.
    """
    return Line(event, {**{name: value for name, value in fields.items() if value is not None}, **error_fields(error)})


def error_fields(error: BaseException | None) -> dict[str, str]:
    """An error as two fields, none for `None`."""
    return {} if error is None else {"error.type": type(error).__name__, "error.message": cut(shown(error))}


def spelt(fields: Mapping[str, Any]) -> list[str]:
    """Fields as `name=value`, for people."""
    return [f"{name}={spell(value)}" for name, value in fields.items()]


def spell(value: object) -> str:
    """A value on one line: what is not one plain word is quoted, what a terminal would obey is escaped."""
    text = cut(shown(value))
    plain = text.isprintable() and text and not any(c in " \"'=" for c in text)
    return text if plain else repr(text)


def shown(value: object) -> str:
    """A value as text, whatever its own `__str__` does: a line that tells of a failure must not be the next one."""
    try:
        return str(value)
    except Exception as err:
        return f"({type(value).__name__}, whose text cannot be had: {type(err).__name__})"


def printable(text: str) -> str:
    """Text in which newlines, ESC and invisible characters are escaped, and all else is as it was."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def cut(text: str) -> str:
    """Text that is not too long for a field."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text) - LONGEST} more)"
