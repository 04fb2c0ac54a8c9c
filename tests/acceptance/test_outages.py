"""Servers that go away under load, and come back: nothing is lost, nothing happens twice, and it goes on by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count

import pytest
from acceptance.checker import check
from acceptance.shop import Shop, measured, until

from uno_workflows.devstack.stack import DevStack


@asynccontextmanager
async def customers(shop: Shop, numbers: count[int]) -> AsyncIterator[None]:
    """Orders keep coming while the block runs."""

    closed = asyncio.Event()

    async def order() -> None:
        while not closed.is_set():
            await shop.place(next(numbers))
            await asyncio.sleep(0.1)

    async with asyncio.TaskGroup() as group:
        group.create_task(order())
        try:
            yield
        finally:
            closed.set()


@pytest.mark.long
async def test_it_goes_on_after_every_outage(own_shop: Shop, stack: DevStack) -> None:
    """One after the other, on the same worker: Postgres and Temporal stopped, killed, both; and every time it recovers."""
    shop, numbers = own_shop, count()
    worker = shop.worker()
    await shop.pumped(worker)

    async def kill_postgres() -> None:
        await stack.postgres.kill()
        await stack.postgres.start()

    async def kill_temporal() -> None:
        await stack.temporal.kill()
        await stack.temporal.start()

    async def both() -> None:
        await asyncio.gather(stack.postgres.kill(), stack.temporal.kill())
        await asyncio.gather(stack.postgres.start(), stack.temporal.start())

    faults: dict[str, Callable[[], Awaitable[None]]] = {
        "Postgres restarted": stack.postgres.restart,
        "Postgres killed": kill_postgres,
        "Temporal restarted": stack.temporal.restart,
        "Temporal killed": kill_temporal,
        "both killed": both,
    }
    for name, fault in faults.items():
        async with customers(shop, numbers):
            first = next(numbers)
            try:
                await until(lambda first=first: _done(shop, shop.order(first + 3)), what=f"an order before: {name}")
            except AssertionError as error:
                error.add_note(await shop.servers_say())
                raise
            await fault()
        measured.info("%s: all done %.1f s after it was back", name, await shop.settled())
    assert worker.code is None, worker.words
    await check(shop, late=None)


async def test_appends_go_on_while_temporal_is_away(own_shop: Shop, stack: DevStack) -> None:
    """And so do the read models of a worker that runs, and the hands of an operator."""
    shop = own_shop
    await shop.pumped(shop.worker())
    held = await shop.place("held", mode="hold")
    await until(lambda: shop.keys("pack", held))
    await stack.temporal.stop()
    shop.let("go")
    for number in range(10):
        await shop.place(number)
    paused = await shop.cli("subscriptions", "pause", "projection:OrdersByState")
    assert paused.code == 0, paused.err
    resumed = await shop.cli("subscriptions", "resume", "projection:OrdersByState")
    assert resumed.code == 0, resumed.err
    await until(lambda: _lag_is_zero(shop, "projection:OrdersByState"))
    stopped = shop.worker(role="projections")
    assert await stopped.ended() == 1
    assert len(stopped.words.splitlines()) == 1
    await stack.temporal.start()
    measured.info("Temporal away while 10 orders came: all done %.1f s after it was back", await shop.settled())
    await check(shop, late=None)
    assert len(set(shop.keys("packed", held))) == 1


async def test_a_worker_can_be_stopped_while_temporal_is_away(own_shop: Shop, stack: DevStack) -> None:
    """What a step committed and could not report is not done again by the next worker."""
    shop = own_shop
    worker = shop.worker(UNO_GRACE="2s")
    await shop.pumped(worker)
    slow = shop.order("slow")
    async with shop.sql() as connection:
        holding = connection.transaction()
        await holding.start()
        await connection.execute("insert into shop_stock (order_id) values ($1)", slow)
        await shop.place("slow")
        await shop.waiting("%insert into shop_stock%")
        await stack.temporal.kill()
        await holding.rollback()
        await until(lambda: connection.fetchval("select exists (select from shop_stock)"))
    measured.info("a worker with a grace of 2 s stopped without Temporal in %.1f s", await worker.stop())
    await stack.temporal.start()
    await shop.pumped(shop.worker())
    await check(shop, late=None)


async def _done(shop: Shop, order: str) -> bool:
    return bool(shop.keys("packed", order))


async def _lag_is_zero(shop: Shop, subscription: str) -> bool:
    return bool((await shop.subscription(subscription)).lag == 0)
