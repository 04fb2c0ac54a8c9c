"""What one append takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from uno_workflows.events.base import Event
from uno_workflows.events.recorded import Recorded


def batch_of(events: Event | Sequence[Event]) -> list[Event]:
    """One event or several, as several.

    Raises:
        TypeError: something in it is no event, or it has no order. `Recorded` is rejected: it is a tuple and would be read as a
            list of events.
    """
    if isinstance(events, (Mapping, set, frozenset)) or not isinstance(events, (Event, Recorded, Iterable)):
        raise TypeError(f"events: append takes an Event or a sequence of them, not {type(events).__name__}")
    batch: list[Any] = [events] if isinstance(events, (Event, Recorded)) else list(events)
    for one in batch:
        if not isinstance(one, Event):
            hint = "; pass recorded.event" if isinstance(one, Recorded) else ""
            raise TypeError(f"events: append takes an Event or a sequence of them, not {type(one).__name__}{hint}")
    return batch
