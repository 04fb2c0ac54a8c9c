"""One log line: a stable code and fields. It needs only `events`, so sagas may use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from uno_workflows.events.limits import FIELD
from uno_workflows.events.raised import is_a
from uno_workflows.events.telling import error_type, masked, message_of
from uno_workflows.events.text import printable, shown


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
    return {} if error is None else {"error.type": error_type(error), "error.message": message_of(error, FIELD)}


def spelt(fields: Mapping[str, Any]) -> list[str]:
    """Fields as `name=value`, for people."""
    return [f"{printable(shown(name))}={spell(value)}" for name, value in fields.items()]


def told(value: object) -> str:
    """A value of a field as text: for an error its message, without values that drivers quote."""
    return message_of(value, FIELD) if is_a(value, BaseException) else masked(shown(value), FIELD)


def spell(value: object) -> str:
    """A value on one line: what is not one plain word is quoted, what a terminal would obey is escaped."""
    text = told(value)
    plain = text.isprintable() and text and not any(c in " \"'=" for c in text)
    return text if plain else repr(text)
