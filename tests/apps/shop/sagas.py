from __future__ import annotations

from apps.shop.events import OrderCancelled, OrderFulfilled, OrderImported, OrderPlaced, OrderShipped
from apps.shop.steps import PaymentId, charge_card, pack, print_label, refund_card, release_stock, reserve_stock
from uno_workflows import Saga, on


class FulfilOrder(Saga, starts_on=OrderPlaced, expects=OrderShipped, key="order_id"):
    payment: PaymentId | None = None
    notes: list[str] = []
    leaving: bool = False

    async def run(self, order: OrderPlaced) -> None:
        await self.step(reserve_stock, order, undo=release_stock)
        self.payment = await self.step(charge_card, order, undo=refund_card)
        packed, labelled = await self.parallel(self.step(pack, order), self.step(print_label, order))
        self.notes.append(f"{packed} {labelled.upper()}")
        shipped = await self.expect(OrderShipped, within="2s" if "soon" in order.mode else "2 days")
        if "bug" in order.mode:
            raise KeyError("a bug")
        self.leaving = True  # from here on it is too late to cancel
        await self.emit(OrderFulfilled(order_id=order.order_id, shipped_at=shipped.at))

    @on(OrderCancelled)
    async def cancelled(self, event: OrderCancelled) -> None:
        if not self.leaving:
            self.abort(f"cancelled by the customer: {event.reason}")


class HurriedOrder(FulfilOrder, starts_on=OrderImported, name="hurried-order"):
    """Inherits state, handler and expects; `super().run` works; has a deadline."""

    deadline = "1s"

    async def run(self, order: OrderImported | OrderPlaced) -> None:  # type: ignore[override]  (another start event)
        await super().run(OrderPlaced(order_id=order.order_id, mode="slowpack"))
