"""What follows from an order that was fulfilled: a second saga, which the first one's event starts."""

from __future__ import annotations

from opentelemetry import trace

from apps.shop.events import OrderFulfilled
from uno_workflows import Saga, step


@step
async def write_letter(order: OrderFulfilled) -> None:
    """Thank the customer."""


class ThankCustomer(Saga, starts_on=OrderFulfilled, key="order_id"):
    async def run(self, order: OrderFulfilled) -> None:
        with trace.get_tracer("thanks").start_as_current_span("thank"):
            await self.step(write_letter, order)
