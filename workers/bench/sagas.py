"""The saga of three steps, as our users write it."""

from __future__ import annotations

from uno_workflows import Saga
from workers.bench.events import Delivered, Ordered
from workers.bench.steps import charge, refund, release, reserve, ship


class Fulfil(Saga, starts_on=Ordered, expects=Delivered, key="order_id"):
    """Three steps, two of them with an undo."""

    async def run(self, order: Ordered) -> None:
        """Run them in order."""
        await self.step(reserve, order, undo=release)
        await self.step(charge, order, undo=refund)
        await self.step(ship, order)
        if order.mode == "wait":
            await self.expect(Delivered)
