"""What the steps read from the tables, and the small changes that several of them share."""

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import delete, func, select, update

from uno_workflows import Refused, Transaction
from workers.retail.matching import SaleLine
from workers.retail.tables import allocations, order_lines, orders, reservations, return_lines, returns


class Concluded(NamedTuple):
    """What an order was, once its final state is written."""

    day: date
    country: str
    total: Decimal


class AlreadyConcluded(Refused):
    """An order has one final state, and it stays."""


async def goods_of(order_id: str, tx: Transaction) -> dict[str, int]:
    """Pieces of an order by SKU, over all its lines; no freight, no vouchers."""
    lines = order_lines.c
    found = await tx.execute(
        select(lines.sku, func.sum(lines.quantity).label("pieces"))
        .where(lines.order_id == order_id, lines.moves_stock)
        .group_by(lines.sku)
    )
    return {row.sku: row.pieces for row in found}


async def state_of(order_id: str, tx: Transaction) -> str:
    """`placed`, `fulfilled`, `rejected` or `compensated`."""
    return str((await tx.execute(select(orders.c.state).where(orders.c.order_id == order_id))).scalar_one())


async def take_reservation(order_id: str, tx: Transaction) -> dict[str, int]:
    """End an order's reservation: the pieces by SKU that it held, none if there was no reservation."""
    held = reservations.c
    ended = await tx.execute(delete(reservations).where(held.order_id == order_id).returning(held.sku, held.quantity))
    return {row.sku: row.quantity for row in ended}


async def conclude(order_id: str, state: str, tx: Transaction) -> Concluded:
    """Write an order's final state.

    Raises:
        AlreadyConcluded: it has one.
    """
    order = orders.c
    change = update(orders).where(order.order_id == order_id, order.state == "placed").values(state=state)
    row = (await tx.execute(change.returning(order.day, order.country, order.total))).first()
    if row is None:
        raise AlreadyConcluded(f"order {order_id} cannot become {state}: it has a final state")
    return Concluded(row.day, row.country, row.total)


async def arrived(return_id: str, tx: Transaction) -> tuple[str | None, int]:
    """Whose return it is, and its number among all that came in."""
    row = (await tx.execute(select(returns.c.customer_id, returns.c.arrival).where(returns.c.return_id == return_id))).one()
    return row.customer_id, row.arrival


async def returned_lines(return_id: str, tx: Transaction) -> Sequence[Any]:
    """The goods lines of a return: rows of `return_lines`, in their order."""
    lines = return_lines.c
    return (await tx.execute(select(return_lines).where(lines.return_id == return_id).order_by(lines.line))).all()


async def earlier_sales(customer_id: str | None, arrival: int, skus: Iterable[str], tx: Transaction) -> list[SaleLine]:
    """What this customer ordered of these SKUs before, and has not sent back.

    The rows stay locked until the transaction ends, so that two returns cannot both take the same pieces.
    """
    if customer_id is None:
        return []
    lines = order_lines.c
    found = await tx.execute(
        select(lines.order_id, lines.line, lines.customer_id, lines.sku, lines.unit_price, lines.remaining, orders.c.arrival)
        .join(orders, orders.c.order_id == lines.order_id)
        .where(lines.customer_id == customer_id, lines.sku.in_(sorted(skus)), lines.remaining > 0, orders.c.arrival < arrival)
        .order_by(lines.order_id, lines.line)
        .with_for_update(of=order_lines)
    )
    return [
        SaleLine(row.order_id, row.line, row.customer_id, row.sku, row.unit_price, row.remaining, placed=row.arrival)
        for row in found
    ]


async def allocated(return_id: str, tx: Transaction) -> Sequence[Any]:
    """What a return was matched to: line, order_id, quantity, and the state of that order."""
    part = allocations.c
    found = await tx.execute(
        select(part.line, part.order_id, part.quantity, orders.c.state)
        .join(orders, orders.c.order_id == part.order_id)
        .where(part.return_id == return_id)
        .order_by(part.line, part.order_id, part.order_line)
    )
    return found.all()
