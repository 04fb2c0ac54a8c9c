"""How far a subscription got when its events finish out of order, and what it delivered on the way."""

from __future__ import annotations

from uuid import UUID

from uno_workflows.events.names import GlobalPosition


class Progress:
    """The checkpoint follows the lowest unfinished event: what lies before it is finished for good."""

    def __init__(self, position: int) -> None:
        self.read = GlobalPosition(position)
        """Everything up to here was taken in."""
        self._unfinished: dict[int, int] = {}  # position -> how many deliveries of it are open; in position order

    def begin(self, position: int) -> None:
        """One delivery of the event at this position begins. Positions come in order."""
        self._unfinished[position] = self._unfinished.get(position, 0) + 1

    def finish(self, position: int) -> bool:
        """One delivery of it has ended; returns whether it was the last one that was open."""
        left = self._unfinished[position] - 1
        if left:
            self._unfinished[position] = left
        else:
            del self._unfinished[position]
        return not left

    @property
    def done(self) -> GlobalPosition:
        """The highest position below which nothing is open."""
        first = next(iter(self._unfinished), None)
        return self.read if first is None else GlobalPosition(first - 1)

    @property
    def idle(self) -> bool:
        """Whether nothing is in flight."""
        return not self._unfinished


class Record:
    """Events that were delivered and that no checkpoint reports yet.

    It is kept apart from `Progress`, from what was seen to end: a checkpoint that went too far would report less than it passed.
    """

    def __init__(self) -> None:
        self._ids: dict[GlobalPosition, UUID] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, position: GlobalPosition, event_id: UUID) -> None:
        """Every delivery of it has ended, or it was for nobody."""
        self._ids[position] = event_id

    def upto(self, position: int) -> list[tuple[GlobalPosition, UUID]]:
        """What was delivered up to a position, in log order."""
        return sorted(entry for entry in self._ids.items() if entry[0] <= position)

    def forget(self, position: int) -> None:
        """A checkpoint reported everything up to here."""
        self._ids = {at: event_id for at, event_id in self._ids.items() if at > position}
