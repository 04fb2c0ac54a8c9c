"""How far a subscription got when its events finish out of order."""

from __future__ import annotations

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

    def finish(self, position: int) -> None:
        """One delivery of it has ended."""
        left = self._unfinished[position] - 1
        if left:
            self._unfinished[position] = left
        else:
            del self._unfinished[position]

    @property
    def done(self) -> GlobalPosition:
        """The highest position below which nothing is open."""
        first = next(iter(self._unfinished), None)
        return self.read if first is None else GlobalPosition(first - 1)

    @property
    def idle(self) -> bool:
        """Whether nothing is in flight."""
        return not self._unfinished
