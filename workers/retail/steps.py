"""What the sagas do. A step is given a number and reads the rest from the tables: an order can be 150 kB.

Steps that take `tx` touch only this database and are exactly once: their changes, their result and their events commit
together. The others call the payment gateway, at least once, with a key that never changes.
"""

from collections import Counter
from decimal import Decimal

from pydantic import BaseModel
from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert

from uno_workflows import NotYet, Refused, Retry, Transaction, current_step, step
from workers.retail import gateway_client as gateway
from workers.retail import lookups
from workers.retail.events import (
    HeldPieces,
    MatchedPieces,
    OrderCompensated,
    OrderFulfilled,
    OrderRejected,
    ReturnMatched,
    Short,
    StockRefused,
    StockReleased,
    StockReserved,
    StockRestocked,
)
from workers.retail.facts import HeldReason
from workers.retail.matching import ReturnLine, match
from workers.retail.stock import OnShelf, as_pieces, lock_stock, move_stock
from workers.retail.tables import allocations, order_lines, reservations, shipments

AT_THE_GATEWAY = Retry(initial="200ms", maximum="10s")
FOR_OPEN_ORDERS = Retry(initial="200ms", maximum="5s")
NOTHING = OnShelf(on_hand=0, reserved=0)


class OrderRef(BaseModel):
    """Which order."""

    order_id: str


class Reservation(BaseModel):
    """What came of a reservation: all goods are set aside, or these were short and none is."""

    short: tuple[Short, ...] = ()


class Charge(BaseModel):
    """What a customer is to pay for an order."""

    order_id: str
    amount: Decimal


class Payment(BaseModel):
    """Money that moved, as the gateway booked it."""

    booking_id: str
    amount: Decimal


class Parcel(BaseModel):
    """What the warehouse handed to the carrier."""

    order_id: str
    parcel_id: str


class ReturnRef(BaseModel):
    """Which return."""

    return_id: str


class Settlement(BaseModel):
    """What is to be done about a return: money to pay back (0 for none), and pieces to hold, with their reasons."""

    return_id: str
    refund: Decimal
    held: tuple[HeldPieces, ...]


class CardDeclined(Refused):
    """The customer's bank said no."""


class OrdersUnfinished(NotYet):
    """A return waits until it is known which of its sales came about."""


# -- orders


@step
async def reserve_stock(order: OrderRef, tx: Transaction) -> Reservation:
    """Set all goods of an order aside, or none of them; then the order is rejected."""
    wanted = await lookups.goods_of(order.order_id, tx)
    shelf = await lock_stock(tx.connection, wanted)
    short = tuple(
        Short(sku=sku, wanted=pieces, on_hand=free)
        for sku, pieces in sorted(wanted.items())
        if pieces > (free := shelf.get(sku, NOTHING).free)
    )
    if short:
        await lookups.conclude(order.order_id, "rejected", tx)
        reason = ", ".join(f"{each.wanted} of {each.sku} where {each.on_hand} were free" for each in short)
        refused = StockRefused(order_id=order.order_id, short=short)
        await tx.append(f"order-{order.order_id}", [refused, OrderRejected(order_id=order.order_id, reason=reason)])
        return Reservation(short=short)
    if wanted:
        await move_stock(tx.connection, wanted, reserved=1)
        rows = [{"order_id": order.order_id, "sku": sku, "quantity": pieces} for sku, pieces in sorted(wanted.items())]
        await tx.execute(insert(reservations), rows)
    await tx.append(f"order-{order.order_id}", StockReserved(order_id=order.order_id, pieces=as_pieces(wanted)))
    return Reservation()


@step
async def release_stock(order: OrderRef, tx: Transaction) -> None:
    """Undo `reserve_stock`, whether it happened or not, and close the order, unless it was closed before."""
    if await lookups.state_of(order.order_id, tx) != "placed":
        return
    pieces = await lookups.take_reservation(order.order_id, tx)
    await lock_stock(tx.connection, pieces)
    await move_stock(tx.connection, pieces, reserved=-1)
    await lookups.conclude(order.order_id, "compensated", tx)
    released = [StockReleased(order_id=order.order_id, pieces=as_pieces(pieces))] if pieces else []
    await tx.append(f"order-{order.order_id}", [*released, OrderCompensated(order_id=order.order_id)])


@step(retry=AT_THE_GATEWAY)
async def charge_card(charge: Charge) -> Payment:
    """Charge the customer's card.

    Raises:
        CardDeclined: the bank said no.
    """
    answer = await gateway.charge(charge.order_id, charge.amount, key=current_step().idempotency_key)
    if answer.declined:
        raise CardDeclined(answer.declined)
    return Payment(booking_id=answer.booking_id, amount=charge.amount)


@step(retry=AT_THE_GATEWAY)
async def refund_card(charge: Charge) -> None:
    """Undo `charge_card`, whether it happened or not: the gateway knows."""
    await gateway.reverse(charge.order_id, key=current_step().idempotency_key)


@step
async def ship_order(parcel: Parcel, tx: Transaction) -> None:
    """The order has left: its goods are off the shelves, and it is a sale."""
    order_id = parcel.order_id
    pieces = await lookups.take_reservation(order_id, tx)
    await lock_stock(tx.connection, pieces)
    await move_stock(tx.connection, pieces, on_hand=-1, reserved=-1)
    await tx.execute(insert(shipments).values(parcel.model_dump()))
    sale = await lookups.conclude(order_id, "fulfilled", tx)
    event = OrderFulfilled(order_id=order_id, pieces=as_pieces(pieces), day=sale.day, country=sale.country, total=sale.total)
    await tx.append(f"order-{order_id}", event)


# -- returns


@step
async def match_return(ret: ReturnRef, tx: Transaction) -> None:
    """Find the sales that a return takes back, and count down what remains of them."""
    customer_id, arrival = await lookups.arrived(ret.return_id, tx)
    lines = [
        ReturnLine(line.line, customer_id, line.sku, line.quantity, line.unit_price)
        for line in await lookups.returned_lines(ret.return_id, tx)
    ]
    sales = await lookups.earlier_sales(customer_id, arrival, {line.sku for line in lines}, tx)
    found, rest = match(lines, sales)
    for part in found:
        sale = (order_lines.c.order_id == part.order_id) & (order_lines.c.line == part.order_line)
        await tx.execute(update(order_lines).where(sale).values(remaining=order_lines.c.remaining - part.quantity))
        row = {"line": part.line, "order_id": part.order_id, "order_line": part.order_line, "quantity": part.quantity}
        await tx.execute(insert(allocations).values(return_id=ret.return_id, **row))
    event = ReturnMatched(
        return_id=ret.return_id,
        matched=tuple(
            MatchedPieces(
                line=part.line,
                order_id=part.order_id,
                order_line=part.order_line,
                quantity=part.quantity,
                unit_price=part.unit_price,
            )
            for part in found
        ),
        unmatched=tuple(HeldPieces(line=part.line, quantity=part.quantity, reason=part.reason) for part in rest),
    )
    await tx.append(f"return-{ret.return_id}", event)


@step(retry=FOR_OPEN_ORDERS)
async def settle_return(ret: ReturnRef, tx: Transaction) -> Settlement:
    """Restock what was really sold, and decide what is paid back and what is held.

    Raises:
        OrdersUnfinished: one of its sales is still under way.
    """
    customer_id, _ = await lookups.arrived(ret.return_id, tx)
    unsold: HeldReason = "no_sale" if customer_id else "no_customer"
    lines = {line.line: line for line in await lookups.returned_lines(ret.return_id, tx)}
    left = Counter({number: line.quantity for number, line in lines.items()})
    restocked, refund, held = Counter[str](), Decimal(), list[HeldPieces]()
    for part in await lookups.allocated(ret.return_id, tx):
        if part.state == "placed":
            raise OrdersUnfinished(f"order {part.order_id} is not finished")
        left[part.line] -= part.quantity
        if part.state == "fulfilled":
            restocked[lines[part.line].sku] += part.quantity
            refund += part.quantity * lines[part.line].unit_price
        else:
            held.append(HeldPieces(line=part.line, quantity=part.quantity, reason="sale_not_fulfilled"))
    held += [HeldPieces(line=line, quantity=pieces, reason=unsold) for line, pieces in left.items() if pieces]
    if restocked:
        await lock_stock(tx.connection, restocked)
        await move_stock(tx.connection, restocked, on_hand=1)
        await tx.append(f"return-{ret.return_id}", StockRestocked(return_id=ret.return_id, pieces=as_pieces(restocked)))
    return Settlement(return_id=ret.return_id, refund=refund, held=tuple(held))


@step(retry=AT_THE_GATEWAY)
async def pay_refund(settlement: Settlement) -> Payment:
    """Pay the customer back."""
    answer = await gateway.refund(settlement.return_id, settlement.refund, key=current_step().idempotency_key)
    return Payment(booking_id=answer.booking_id, amount=settlement.refund)
