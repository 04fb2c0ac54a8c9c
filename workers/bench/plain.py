"""The same saga written by hand on the plain SDK: three activities, and a list of what to undo."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

from temporalio import activity, workflow

with workflow.unsafe.imports_passed_through():
    from workers.bench.events import Ordered
    from workers.bench.steps import stamp

LIMIT = timedelta(seconds=30)


@activity.defn
async def plain_reserve(order: Ordered) -> str:
    """The first step."""
    stamp(order)
    return "reserved"


@activity.defn
async def plain_charge(order: Ordered) -> str:
    """The second step."""
    return "charged"


@activity.defn
async def plain_ship(order: Ordered) -> str:
    """The third step."""
    return "shipped"


@activity.defn
async def plain_undo(order: Ordered) -> None:
    """What undoes a step; never called here."""


@workflow.defn
class PlainFulfil:
    """Three activities, two of them with an undo."""

    def __init__(self) -> None:
        self._delivered = self._waiting = False

    @workflow.query
    def waiting(self) -> bool:
        """Whether it is at its last wait."""
        return self._waiting

    @workflow.signal
    def delivered(self) -> None:
        """End a saga that waits."""
        self._delivered = True

    @workflow.run
    async def run(self, order: Ordered) -> None:
        """Run them in order, and undo what was done if one fails."""
        undo: list[Callable[[Ordered], Awaitable[None]]] = []
        try:
            undo.append(plain_undo)
            await workflow.execute_activity(plain_reserve, order, start_to_close_timeout=LIMIT)
            undo.append(plain_undo)
            await workflow.execute_activity(plain_charge, order, start_to_close_timeout=LIMIT)
            await workflow.execute_activity(plain_ship, order, start_to_close_timeout=LIMIT)
            if order.mode == "wait":
                self._waiting = True
                await workflow.wait_condition(lambda: self._delivered)
        except BaseException:
            for step in reversed(undo):
                await workflow.execute_activity(step, order, start_to_close_timeout=LIMIT)
            raise
