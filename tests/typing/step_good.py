"""How steps are declared and called: no type checker may object to a line of this."""

from collections.abc import Coroutine, Sequence
from datetime import timedelta
from typing import Any, NewType, assert_type

from pydantic import BaseModel

from uno_workflows import Event, Retry, Transaction, current_step, step
from uno_workflows.sagas.steps import Step

PaymentId = NewType("PaymentId", str)


class OrderPlaced(Event):
    order_id: str


class GiftPlaced(OrderPlaced):
    card: str


class Refund(BaseModel):
    payment: PaymentId
    reason: str | None = None


@step
async def charge(order: OrderPlaced) -> PaymentId:
    assert_type(current_step().attempt, int)
    return PaymentId(order.order_id)


@step
async def reserve(order: OrderPlaced, tx: Transaction) -> list[str]:
    await tx.execute("insert into stock (order_id) values (:order_id)", {"order_id": order.order_id})
    await tx.append(f"stock-{order.order_id}", [order, order])
    return [order.order_id]


@step(name="give-back", timeout="2 minutes", heartbeat=timedelta(seconds=5), retry=Retry(attempts=3, initial="1s"))
async def refund(what: Refund) -> None: ...


@step(retry=Retry(factor=1.5))
async def note(words: Sequence[str], tx: Transaction) -> int | None:
    return None


@step()
async def look(number: int) -> dict[str, int]:
    return {"number": number}


assert_type(charge, Step[OrderPlaced, PaymentId])
assert_type(reserve, Step[OrderPlaced, list[str]])
assert_type(refund, Step[Refund, None])
assert_type(note, Step[Sequence[str], int | None])
assert_type(look, Step[int, dict[str, int]])
assert_type(charge.name, str)
pending: Coroutine[Any, Any, PaymentId] = charge(GiftPlaced(order_id="1", card="x"))
takes_gifts: Step[GiftPlaced, str] = charge  # contravariant in what it takes, covariant in what it returns


async def test(tx: Transaction) -> None:
    assert_type(await reserve(OrderPlaced(order_id="1"), tx), list[str])
