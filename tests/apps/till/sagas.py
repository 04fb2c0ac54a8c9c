"""A sale: money first, then the goods. From `leaving` on it is too late to recall it."""

from __future__ import annotations

from apps.till.events import Collected, Ordered, Recalled, Sold
from apps.till.steps import check, hand_over, pay, repay, take_back_goods
from uno_workflows import Saga, on


class Sale(Saga, starts_on=Ordered, expects=Collected, key="order_id"):
    leaving: bool = False

    async def run(self, order: Ordered) -> None:
        await self.step(pay, order, undo=repay)
        await self.step(check, order)
        self.leaving = True
        await self.step(hand_over, order, undo=take_back_goods)
        await self.expect(Collected)
        await self.emit(Sold(order_id=order.order_id))

    @on(Recalled)
    async def recalled(self, event: Recalled) -> None:
        if not self.leaving:
            self.abort("recalled")
