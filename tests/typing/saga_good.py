"""How sagas are written: no type checker may object to a line of this."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import ClassVar, assert_type

from uno_workflows import Event, Expired, Refused, Saga, StepFailed, Transaction, on, step


class OrderPlaced(Event):
    order_id: str


class OrderImported(Event):
    number: int


class OrderShipped(Event):
    order_id: str
    at: datetime


class OrderCancelled(Event):
    order_id: str
    reason: str


class OrderFulfilled(Event):
    order_id: str


@step
async def charge(order: OrderPlaced) -> str:
    return order.order_id


@step
async def refund(order: OrderPlaced) -> int:
    return 1


@step
async def reserve(order: OrderPlaced, tx: Transaction) -> None: ...


class FulfilOrder(Saga, starts_on=OrderPlaced, expects=OrderShipped | OrderFulfilled, key="order_id"):
    deadline = "30 days"
    payment: str | None = None
    notes: list[str] = []
    limit: ClassVar[int] = 3

    async def run(self, order: OrderPlaced) -> None:
        assert_type(await self.step(reserve, order), None)
        self.payment = await self.step(charge, order, undo=refund)
        paid, reserved = await self.parallel(self.step(charge, order), self.step(reserve, order))
        assert_type(paid, str)
        assert_type(reserved, None)
        one, two, three = await self.parallel(self.step(charge, order), self.look(), asyncio.sleep(1, "x"))
        assert_type((one, two, three), tuple[str, int, str])
        await self.parallel(self.look(), self.look(), self.look(), self.expect(OrderShipped))
        many = await self.parallel(*[self.step(charge, order) for _ in range(9)])
        assert_type(many, tuple[str, ...])
        five = await self.parallel(self.look(), self.look(), self.look(), self.look(), self.look())
        assert_type(five, tuple[int, ...])
        try:
            shipped = await self.expect(OrderShipped, within=timedelta(days=2))
        except Expired as err:
            assert_type(err.within, str)
            raise Refused("too late") from err
        except StepFailed as err:
            assert_type(err.step, str)
            raise
        assert_type(shipped.at, datetime)
        assert_type(await self.expect(OrderFulfilled), OrderFulfilled)
        await self.emit(OrderFulfilled(order_id=order.order_id), stream="elsewhere-1")

    async def look(self) -> int:
        return 1

    @on(OrderCancelled)
    async def cancelled(self, event: OrderCancelled) -> None:
        self.abort(event.reason)

    @on(OrderShipped, OrderFulfilled)
    async def either(self, event: OrderShipped | OrderFulfilled) -> None:
        self.notes.append(event.order_id)


class Imported(
    Saga,
    starts_on=(OrderImported, OrderPlaced),
    key={OrderImported: lambda event: str(event.number), OrderPlaced: "order_id"},
    name="imported",
    since=datetime(2026, 1, 1, tzinfo=UTC),
):
    deadline = timedelta(hours=1)

    async def run(self, order: OrderImported | OrderPlaced) -> None: ...


def keys_of(event: OrderPlaced) -> list[str]:
    return [event.order_id, "all"]


class Several(Saga, starts_on=OrderPlaced, key=keys_of):
    async def run(self, order: OrderPlaced) -> None: ...


class Common(Saga, expects=OrderShipped, key="order_id"):
    shipped: bool = False

    async def wait(self) -> OrderShipped:
        return await self.expect(OrderShipped, within="1 day")


class Special(Common, starts_on=OrderPlaced):
    async def run(self, order: OrderPlaced) -> None:
        assert_type(await self.wait(), OrderShipped)
