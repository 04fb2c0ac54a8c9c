"""The saga that the browser tier looks at."""

from __future__ import annotations

from decimal import Decimal

from uno_workflows import Event, Refused, Saga, step


class OrderPlaced(Event):
    order_id: str
    total: Decimal


class OrderShipped(Event):
    order_id: str


class OrderFulfilled(Event):
    order_id: str


class PaymentDeclined(Refused):
    """The card was declined."""


@step
async def reserve_stock(order: OrderPlaced) -> str:
    """Set the goods aside"""
    return f"shelf of order {order.order_id}"


@step
async def release_stock(order: OrderPlaced) -> None:
    """Put the goods back"""


@step
async def charge_card(order: OrderPlaced) -> str:
    """Charge the card"""
    if order.total > 1000:
        raise PaymentDeclined(f"{order.total} is more than the card allows")
    return "payment 1"


@step
async def refund_card(order: OrderPlaced) -> None:
    """Refund the card"""


class FulfilOrder(Saga, starts_on=OrderPlaced, expects=OrderShipped, key="order_id"):
    payment: str | None = None

    async def run(self, order: OrderPlaced) -> None:
        await self.step(reserve_stock, order, undo=release_stock)
        self.payment = await self.step(charge_card, order, undo=refund_card)
        await self.expect(OrderShipped, within="2 days")
        await self.emit(OrderFulfilled(order_id=order.order_id))
