"""What follows from an order and from a return. Deterministic: the world is touched by steps alone."""

from decimal import Decimal

from uno_workflows import Saga, StepFailed
from workers.retail.events import (
    OrderPlaced,
    OrderShipped,
    PaymentDeclined,
    PaymentTaken,
    PaymentWaived,
    RefundPaid,
    ReturnAccepted,
    ReturnHeld,
    ReturnRequested,
)
from workers.retail.steps import (
    Charge,
    OrderRef,
    Parcel,
    ReturnRef,
    charge_card,
    match_return,
    pay_refund,
    refund_card,
    release_stock,
    reserve_stock,
    settle_return,
    ship_order,
)


class FulfilOrder(Saga, starts_on=OrderPlaced, expects=OrderShipped, key="order_id"):
    """Reserve, charge, have it shipped: all of it, or nothing of it."""

    total: Decimal = Decimal()
    short_of: tuple[str, ...] = ()
    payment_id: str | None = None
    parcel_id: str | None = None

    async def run(self, order: OrderPlaced) -> None:
        """One order, from its placing to its final state."""
        self.total = order.total
        reservation = await self.step(reserve_stock, OrderRef(order_id=order.order_id), undo=release_stock)
        if reservation.short:
            self.short_of = tuple(each.sku for each in reservation.short)
            return  # the step has rejected the order: nothing is held, nothing was charged
        await self.pay(order)
        shipped = await self.expect(OrderShipped, within="2 days")
        self.parcel_id = shipped.parcel_id
        await self.step(ship_order, Parcel(order_id=order.order_id, parcel_id=shipped.parcel_id))

    async def pay(self, order: OrderPlaced) -> None:
        """Take the money; the warehouse waits for the event that says so."""
        if not order.total:
            await self.emit(PaymentWaived(order_id=order.order_id))
            return
        try:
            charge = Charge(order_id=order.order_id, amount=order.total)
            payment = await self.step(charge_card, charge, undo=refund_card)
        except StepFailed as failure:
            await self.emit(PaymentDeclined(order_id=order.order_id, amount=order.total, reason=failure.reason))
            raise
        self.payment_id = payment.booking_id
        await self.emit(PaymentTaken(order_id=order.order_id, amount=payment.amount, payment_id=payment.booking_id))


class HandleReturn(Saga, starts_on=ReturnRequested, key="return_id"):
    """Match a return to its sales, wait for them, pay back what was sold and hold the rest for a person."""

    refunded: Decimal = Decimal()
    held: int = 0
    refund_id: str | None = None

    async def run(self, request: ReturnRequested) -> None:
        """One return, from its request to its final state."""
        ret = ReturnRef(return_id=request.return_id)
        await self.step(match_return, ret)
        settlement = await self.step(settle_return, ret)
        if settlement.refund:
            payment = await self.step(pay_refund, settlement)
            self.refunded, self.refund_id = payment.amount, payment.booking_id
            await self.emit(RefundPaid(return_id=ret.return_id, amount=payment.amount, refund_id=payment.booking_id))
        self.held = sum(each.quantity for each in settlement.held)
        if settlement.held:
            await self.emit(ReturnHeld(return_id=ret.return_id, held=settlement.held))
        else:
            await self.emit(ReturnAccepted(return_id=ret.return_id))
