"""How events are read: no type checker may object to a line of this."""

from collections.abc import AsyncIterator
from typing import assert_type

from uno_workflows import CurrentStep, Cursor, Event, Recorded, StoreClosed, StoreUnavailable, Uno, current_step


class OrderPlaced(Event):
    order_id: str
    total: int


class OrderShipped(Event):
    order_id: str


class OrderLost(Event):
    reason: str


async def reads(uno: Uno, at: Cursor) -> None:
    async for placed in uno.follow(types=[OrderPlaced]):
        assert_type(placed, Recorded[OrderPlaced])
        assert_type(placed.event.total, int)
        assert_type(placed.cursor, Cursor)
    async for placed in uno.read_all(after=at, types=(OrderPlaced,), limit=3):
        assert_type(placed, Recorded[OrderPlaced])
    async for either in uno.follow(after=Cursor.parse("text"), types=(OrderPlaced, OrderShipped)):
        assert_type(either, Recorded[OrderPlaced | OrderShipped])
        assert_type(either.event.order_id, str)
    async for one in uno.read_all(types=(OrderPlaced, OrderShipped, OrderLost)):
        assert_type(one, Recorded[OrderPlaced | OrderShipped | OrderLost])
    wanted: list[type[OrderPlaced | OrderShipped]] = [OrderPlaced, OrderShipped]
    async for either in uno.read_all(types=wanted):
        assert_type(either, Recorded[OrderPlaced | OrderShipped])
    async for any_of_all in uno.follow(after=7):
        assert_type(any_of_all, Recorded[Event])
    classes: list[type[Event]] = [*wanted]
    async for any_of_these in uno.read_all(types=classes):
        assert_type(any_of_these, Recorded[Event])
    async for listed in uno.follow(types=[OrderPlaced, OrderLost]):
        print(listed.event)


async def opens() -> str:
    try:
        async with Uno.connect() as uno:
            assert_type(uno, Uno)
            found: AsyncIterator[Recorded[Event]] = uno.read("order-1")
            return str([one.version async for one in found])
    except (StoreClosed, StoreUnavailable) as error:
        return str(error)


def step() -> CurrentStep:
    return current_step()
