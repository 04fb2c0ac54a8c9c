"""Everything at once: customers, readers, and workers that are killed, frozen and replaced again and again."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Sequence

import pytest
from acceptance.checker import check
from acceptance.shop import Process, Shop, measured, until
from apps.shop.events import OrderCancelled, OrderFulfilled, OrderPlaced

SEED, SECONDS, WRITERS = 7, 20.0, 3
MODES = ("", "", "", "decline", "nolabel", "slowpack", "notyet")
TYPES = (OrderPlaced, OrderFulfilled, OrderCancelled)
FOLD = """
select (select jsonb_object_agg(state, n) from shop_orders)
       is not distinct from
       (select jsonb_object_agg(type, n)
          from (select e.type, count(*) as n
                  from uno.events e, uno.checkpoints c
                 where c.subscription = 'projection:OrdersByState' and e.position <= c.position
                   and e.type in ('OrderPlaced', 'OrderFulfilled')
                 group by e.type) counted)
"""


@pytest.mark.long
async def test_chaos_leaves_every_order_in_one_final_state(shop: Shop) -> None:
    """The seed draws who orders what, and which worker meets what when."""
    shop.stacks = True  # as a step that was frozen in its transaction has
    end = time.monotonic() + SECONDS
    seen: list[int] = []
    reading = asyncio.create_task(_follow(shop, seen))
    async with asyncio.TaskGroup() as group:
        writers = [group.create_task(_order(shop, f"w{n}", random.Random(SEED + n), end)) for n in range(WRITERS)]
        group.create_task(_compare(shop, end))
        faults = group.create_task(_break(shop, random.Random(SEED), end))
    shop.worker()
    orders = sum(writer.result() for writer in writers)
    measured.info("%d orders, %s: all done %.1f s after the last", orders, faults.result(), await shop.settled())
    await check(shop, late=None)
    assert (await shop.cli("audit", "delivery", "--now")).code == 0
    written = [recorded.position async for recorded in shop.uno.read_all(types=TYPES)]
    await until(lambda: len(seen) >= len(written))
    reading.cancel()
    assert seen == written


async def _order(shop: Shop, writer: str, chance: random.Random, end: float) -> int:
    """Some orders decline, some are cancelled, some are placed twice."""
    orders = 0
    while time.monotonic() < end:
        number, orders = f"{writer}-{orders}", orders + 1
        order = await shop.place(number, mode=chance.choice(MODES))
        if chance.random() < 0.2:
            await shop.append(f"order-{order}", OrderCancelled(order_id=order, reason="chance"))
        if chance.random() < 0.1:
            await shop.place(number)
        await asyncio.sleep(chance.uniform(0.2, 0.8))
    return orders


async def _follow(shop: Shop, seen: list[int]) -> None:
    async for recorded in shop.uno.follow(types=TYPES):
        seen.append(recorded.position)


async def _compare(shop: Shop, end: float) -> None:
    """At any moment the read model is a fold of the log up to its checkpoint."""
    async with shop.sql() as connection:
        while time.monotonic() < end:
            assert await connection.fetchval(FOLD)
            await asyncio.sleep(0.3)


async def _break(shop: Shop, chance: random.Random, end: float) -> Sequence[str]:
    """Two workers, one of which is always in trouble."""
    done, workers = [], [shop.worker(), shop.worker()]
    faults = chance.sample([signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP] * 10, 30)
    for worker in workers:
        await worker.ready()
    while time.monotonic() < end:
        victim = workers.pop(chance.randrange(2))
        fault = faults.pop()
        done.append(fault.name)
        victim.send(fault)
        workers.append(shop.worker())
        await workers[-1].ready()
        await _thaw(victim, chance.uniform(1.0, 3.0)) if fault is signal.SIGSTOP else await victim.ended()
        await asyncio.sleep(chance.uniform(0.5, 1.5))
    for worker in workers:
        await worker.kill()
    return done


async def _thaw(victim: Process, seconds: float) -> None:
    await asyncio.sleep(seconds)
    victim.send(signal.SIGCONT)
