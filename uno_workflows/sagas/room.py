"""Whether the history of a run has room to go forward. Temporal terminates a run whose history is too large, without undo.

So a run stops before that, with room for its undos and for the calls in flight. The sizes are those at the present workflow task,
which the history records: a replay sees the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from temporalio import workflow

from uno_workflows.events.limits import TEMPORAL_HISTORY_BYTES, TEMPORAL_HISTORY_EVENTS

EVENTS: Final = TEMPORAL_HISTORY_EVENTS.most
BYTES: Final = TEMPORAL_HISTORY_BYTES.most
SPARE_EVENTS: Final = 2_000
SPARE_BYTES: Final = 6 * 1024 * 1024
"""For results of the steps in flight, for events that arrive meanwhile, and for the end."""
SPARE_AT_THE_END: Final = 1024 * 1024
"""Bytes for the end of a run whose undo keeps failing."""
EVENTS_PER_UNDO: Final = 12
"""Six for an attempt with its workflow task, and as many for one that follows after a pause."""
EVENTS_PER_CALL: Final = 6
HEAD: Final = 4 * 1024
"""Bytes of the events of a call beside its argument, generously."""


class Room:
    """What a run still needs of its history."""

    def __init__(self) -> None:
        self._undos = self._undo_bytes = self._calls = self._call_bytes = 0

    def undo(self, size: int) -> None:
        """An undo was registered, with an argument of so many bytes."""
        self._undos += 1
        self._undo_bytes += 2 * (size + HEAD)

    def begin(self, size: int) -> None:
        """A call begins, with arguments of so many bytes."""
        self._calls += 1
        self._call_bytes += size + HEAD

    def end(self, size: int) -> None:
        """A call has ended."""
        self._calls -= 1
        self._call_bytes -= size + HEAD

    @property
    def needs(self) -> int:
        """Bytes for the undos and for the calls in flight."""
        return self._undo_bytes + self._call_bytes

    def has_rounds(self, arguments: Sequence[int]) -> bool:
        """Whether undos with arguments of so many bytes may be called now, and twice more."""
        info = workflow.info()
        events = info.get_current_history_length() + 3 * len(arguments) * EVENTS_PER_UNDO
        size = info.get_current_history_size() + 3 * sum(argument + HEAD for argument in arguments)
        return events <= EVENTS and size + SPARE_AT_THE_END <= BYTES

    def fault(self) -> str:
        """Why the run must not go forward; empty if it may."""
        info = workflow.info()
        events, size = info.get_current_history_length(), info.get_current_history_size()
        needed = SPARE_EVENTS + self._undos * EVENTS_PER_UNDO + self._calls * EVENTS_PER_CALL
        if events + needed <= EVENTS and size + SPARE_BYTES + self.needs <= BYTES:
            return ""
        return (
            f"its history has {events:,} events and {size:,} bytes; Temporal terminates a run, without undo, that has more than "
            f"{EVENTS:,} or {BYTES:,}, and the undo needs the rest"
        )
