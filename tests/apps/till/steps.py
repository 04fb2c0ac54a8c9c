"""Money and goods are rows, so that a test can say how much there is. What is checked depends on a file."""

from __future__ import annotations

from apps.till.events import Ordered
from apps.trials.steps import gate
from uno_workflows import Refused, Transaction, step

TABLES = (
    "create table if not exists till_money (order_id text, cents int)",
    "create table if not exists till_goods (order_id text, pieces int)",
)


async def _book(order: Ordered, cents: int, tx: Transaction) -> None:
    await tx.execute("insert into till_money values (:order, :cents)", {"order": order.order_id, "cents": cents})


@step
async def pay(order: Ordered, tx: Transaction) -> None:
    await _book(order, order.cents, tx)


@step
async def repay(order: Ordered, tx: Transaction) -> None:
    await _book(order, -order.cents, tx)


@step
async def check(order: Ordered) -> None:
    """Of the world outside, and so without a memory of ours."""
    if not gate(f"check-{order.order_id}").exists():
        raise Refused("the customer may not buy")


@step
async def hand_over(order: Ordered, tx: Transaction) -> None:
    await tx.execute("insert into till_goods values (:order, 1)", {"order": order.order_id})


@step
async def take_back_goods(order: Ordered, tx: Transaction) -> None:
    await tx.execute("insert into till_goods values (:order, -1)", {"order": order.order_id})
