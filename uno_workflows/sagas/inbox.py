"""What has reached a saga: each event once, in order.

A high-water mark per stream decides within one epoch of the log. In a new epoch, and for events that were set aside, versions may
lie: there the event's id decides. Temporal lets a run have 10,000 signals, so a run can keep all ids.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Final
from uuid import UUID

from uno_workflows.sagas.envelope import Delivery

RING: Final = 200
"""How many of the last ids runs of older code knew."""


class Inbox:
    """Deliveries that wait to be taken: `work` by handlers, `waiting` by `expect`.

    Args:
        handled: Types that a handler takes; asked once for each event that is new.
        expected: Types that `expect` may wait for.
        forgets: Whether this run took again, as older code did, an event of which `RING` newer ones had driven the id out. Asked
            only where that decides.

    Attributes:
        furthest: The highest position that was taken in: a delivery at or below it is a repeat.
    """

    def __init__(self, handled: Container[str], expected: Container[str], *, forgets: Callable[[], bool] = lambda: False) -> None:
        self._handled, self._expected, self._forgets = handled, expected, forgets
        self._epoch: UUID | None = None
        self._marks: dict[str, int] = {}
        self._ids: dict[UUID, int] = {}  # each with its number
        self._taken = 0
        self._start: UUID | None = None
        self._handled_ids: set[UUID] = set()
        self.furthest = 0
        self.work: list[Delivery] = []
        self.waiting: list[Delivery] = []
        self.unclaimed: list[Delivery] = []

    def accept(self, delivery: Delivery, *, trusted: bool = True) -> bool:
        """Take a delivery in unless it was here before; a type that is both handled and expected goes to both.

        Args:
            trusted: False for a delivery that may be no event of the log. It moves no mark: after a forged version, the real
                events of its stream would count as repeats.
        """
        if not self._is_new(delivery, trusted=trusted):
            return False
        handled, expected = delivery.type in self._handled, delivery.type in self._expected
        if handled:
            self.work.append(delivery)
        if expected:
            self.waiting.append(delivery)
        if not handled and not expected:
            self.unclaimed.append(delivery)
        return True

    def first(self, event_type: str) -> Delivery | None:
        """The oldest waiting delivery of a type."""
        return next((d for d in self.waiting if d.type == event_type), None)

    def put_back(self, delivery: Delivery) -> None:
        """Let an awaited delivery wait again, before those that came after it."""
        self.waiting.insert(0, delivery)

    def unread(self) -> list[Delivery]:
        """What nobody took, each once, in log order; one that a handler took need not be awaited too."""
        left = {d.event_id: d for d in (*self.unclaimed, *self.work, *self.waiting) if d.event_id not in self._handled_ids}
        return sorted(left.values(), key=lambda d: d.position)

    def handling(self) -> Delivery:
        """The first of `work`, which a handler takes now; it stays there until the handler is done."""
        self._handled_ids.add(self.work[0].event_id)
        return self.work[0]

    def handled(self) -> None:
        """The first of `work` is done."""
        self.work.pop(0)

    def begin(self, start: Delivery) -> None:
        """Remember the start event, so that it is not taken again as an ordinary one.

        By its id and not by the mark of its stream: events before it in that stream may have waited for it, and follow.
        """
        self._start = start.event_id
        self._epoch = self._epoch or start.epoch
        self.furthest = max(self.furthest, start.position)

    def trust(self, delivery: Delivery) -> None:
        """Trust a delivery that was taken in untrusted: it is an event of the log."""
        if delivery.epoch == self._epoch and not delivery.redelivered:
            self._marks[delivery.stream] = max(delivery.version, self._marks.get(delivery.stream, 0))
            self.furthest = max(self.furthest, delivery.position)

    def _is_new(self, delivery: Delivery, *, trusted: bool = True) -> bool:
        if not trusted:
            return self._is_new_by_id(delivery)
        if self._epoch is None:
            self._epoch = delivery.epoch
        seen = delivery.event_id == self._start or self._knows(delivery.event_id)
        if delivery.epoch == self._epoch and not delivery.redelivered:
            seen = seen or delivery.version <= self._marks.get(delivery.stream, 0)
        elif not seen and delivery.epoch != self._epoch:
            self._epoch, self._marks, self.furthest = delivery.epoch, {}, 0
        if not seen:
            self.furthest = max(self.furthest, delivery.position)
            self._know(delivery.event_id)
            if not delivery.redelivered:
                self._marks[delivery.stream] = delivery.version
        return not seen

    def _is_new_by_id(self, delivery: Delivery) -> bool:
        known = delivery.epoch == self._epoch and delivery.version <= self._marks.get(delivery.stream, 0)
        if delivery.event_id == self._start or self._knows(delivery.event_id) or (known and not delivery.redelivered):
            return False
        self._know(delivery.event_id)
        return True

    def _know(self, event_id: UUID) -> None:
        self._ids.pop(event_id, None)
        self._ids[event_id] = self._taken = self._taken + 1

    def _knows(self, event_id: UUID) -> bool:
        taken = self._ids.get(event_id)
        return taken is not None and (self._taken - taken < RING or not self._forgets())
