"""Checks arguments of public calls before anything is sent; an error names the argument."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final
from uuid import UUID

from uno_workflows.events.base import Event
from uno_workflows.events.cursors import Cursor
from uno_workflows.events.errors import InvalidArgument
from uno_workflows.events.names import ANY, Version

MOST: Final = 2**63 - 1
"""The greatest version, position and number of rows: Postgres' bigint."""


def whole(argument: str, value: object, *, least: int, most: int = MOST) -> int:
    """The value, if it is a whole number in these bounds; `True` does not count as one.

    Raises:
        TypeError: it is no int.
        InvalidArgument: it is out of bounds.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{argument}: must be an int, not {type(value).__name__}")
    if not least <= value <= most:
        raise InvalidArgument(argument, f"{value} is not from {least} to {most}")
    return value


def optional_whole(argument: str, value: object, *, least: int) -> int | None:
    """As `whole`, or `None`."""
    return None if value is None else whole(argument, value, least=least)


def truth(argument: str, value: object) -> bool:
    """The value, if it is `True` or `False`."""
    if not isinstance(value, bool):
        raise TypeError(f"{argument}: must be a bool, not {type(value).__name__}")
    return value


def expected_version(value: object) -> Version:
    """The value, if it is a version or one of `ANY`, `STREAM_EXISTS`, `NO_STREAM`."""
    return Version(whole("expected_version", value, least=ANY))


def after(value: object) -> Cursor | int:
    """The value, if a reader can begin behind it."""
    if isinstance(value, Cursor):
        return value
    if isinstance(value, str):
        raise TypeError("after: must be a Cursor or an int, not str; Cursor.parse(text) reads a stored one")
    return whole("after", value, least=0)


def event_types(value: object) -> list[str] | None:
    """The names of the given event classes; `None` is all.

    Raises:
        TypeError: it is no collection, or something in it is no event class that can be stored.
        InvalidArgument: it is empty.
    """
    if value is None:
        return None
    if not isinstance(value, Collection) or isinstance(value, (str, bytes, Mapping)):
        raise TypeError(f"types: must be a collection of event classes, not {_named(value)}")
    classes: Collection[Any] = value
    for one in classes:
        if not (isinstance(one, type) and issubclass(one, Event) and one.event_type):
            raise TypeError(f"types: {_named(one)} is no event class that can be stored")
    if not classes:
        raise InvalidArgument("types", "is empty, so no event would ever come; leave it out for all types")
    return [one.event_type for one in classes]


def event_ids(value: object, *, events: int) -> list[UUID] | None:
    """The ids of a batch, one for each event; `None` if none were given.

    Raises:
        TypeError: something in it is no UUID.
        InvalidArgument: there are more or fewer than events.
    """
    if value is None:
        return None
    if isinstance(value, (str, bytes, Mapping, set, frozenset)) or not isinstance(value, (UUID, Iterable)):
        raise TypeError(f"event_ids: must be a UUID or a sequence of them, not {type(value).__name__}")
    given: list[Any] = [value] if isinstance(value, UUID) else list(value)
    for one in given:
        if not isinstance(one, UUID):
            raise TypeError(f"event_ids: must hold UUIDs, not {type(one).__name__}")
    if len(given) != events:
        raise InvalidArgument("event_ids", f"{events} events, but {len(given)} event ids")
    return given


def mapping(argument: str, value: object, *, streams: Mapping[str, object]) -> Mapping[Any, Any]:
    """The values given for some of the streams; `None` means for none.

    Raises:
        TypeError: it is no mapping.
        InvalidArgument: it names a stream to which nothing is appended.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"{argument}: must be a mapping by stream, not {type(value).__name__}")
    if strangers := [stream for stream in value if stream not in streams]:
        raise InvalidArgument(argument, f"names {strangers[0]!r:.200}, to which this call appends nothing")
    return value


def _named(value: object) -> str:
    return value.__name__ if isinstance(value, type) else f"a {type(value).__name__}"
