"""What follows from an order that was fulfilled: a second saga, which the first one's event starts."""

from __future__ import annotations

from apps.shop.events import OrderFulfilled
from uno_workflows import Saga, step


@step
async def write_letter(order: OrderFulfilled) -> None:
    """Thank the customer."""


class ThankCustomer(Saga, starts_on=OrderFulfilled, key="order_id"):
    async def run(self, order: OrderFulfilled) -> None:
        await self.step(write_letter, order)
