"""Workers that are killed, frozen, replaced and deceived; each time, all is as if nothing had happened."""

from __future__ import annotations

import asyncio
import signal
import time
from datetime import UTC, datetime

import pytest
from acceptance.checker import check
from acceptance.scenarios import Scenarios
from acceptance.shop import Shop, measured, until
from apps.shop.events import OrderPlaced, OrderShipped
from apps.trouble.events import Stumbled
from patience import LIMIT

from uno_workflows.devstack.temporal import TemporalServer

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("kills")]  # its scenarios run side by side
SCENARIOS = Scenarios()


@SCENARIOS
async def steps_cut_off_by_a_kill_are_repeated_with_their_keys(shop: Shop) -> None:
    """One is in a step that touches the world, the other in its transaction."""
    slow, charged = shop.order("slow"), shop.order("charged")
    worker = shop.worker()
    await shop.pumped(worker)
    async with shop.sql() as connection:
        undone = connection.transaction()
        await undone.start()
        await connection.execute("insert into shop_stock (order_id) values ($1)", slow)
        await shop.place("slow")
        await shop.waiting("%insert into shop_stock%")
        shop.arm("charge")
        await shop.place("charged")
        assert await worker.ended() == -9
        await undone.rollback()
    shop.worker()
    await check(shop)
    assert len(shop.keys("charge", charged)) == len(shop.keys("reserve", slow)) == 2


@SCENARIOS
async def events_appended_while_no_worker_looks_are_dispatched_by_the_next(shop: Shop) -> None:
    worker = shop.worker()
    await shop.pumped(worker)
    assert (await shop.cli("subscriptions", "pause", "saga:FulfilOrder")).code == 0
    order = await shop.place(1)
    await until(lambda: _at_head(shop, "projection:OrdersByState"))
    await worker.kill()
    await shop.place(2)
    await shop.worker().ready()
    assert await shop.states() == {}
    assert (await shop.cli("subscriptions", "resume", "saga:FulfilOrder")).code == 0
    await check(shop)
    assert len(shop.keys("charge", order)) == 1


@SCENARIOS
async def a_start_that_no_checkpoint_reports_is_not_made_twice(shop: Shop) -> None:
    """The pump dies between the start and its checkpoint, which the test keeps from being written."""
    worker = shop.worker()
    await shop.pumped(worker)
    async with shop.sql() as connection, connection.transaction():
        await connection.execute("select from uno.checkpoints where subscription = 'saga:FulfilOrder' for update")
        order = await shop.place(1)
        await shop.waiting("%checkpoints c set position%")
        await until(lambda: shop.keys("charge", order))
        await worker.kill()
    shop.worker()
    await check(shop, late=None)
    assert len(await shop.states()) == 1


@SCENARIOS
async def a_projection_killed_in_its_batch_counts_nothing_twice(shop: Shop) -> None:
    worker = shop.worker()
    await shop.pumped(worker)
    await shop.place(0)
    await shop.settled()
    async with shop.sql() as connection, connection.transaction():
        await connection.execute("select from shop_orders for update")
        for number in range(1, 4):
            await shop.place(number)
        await shop.waiting("%insert into shop_orders%")
        await worker.kill()
    shop.worker()
    await check(shop)


@SCENARIOS
async def a_worker_that_dies_in_a_first_workflow_task_leaves_it_to_another(shop: Shop) -> None:
    worker = shop.worker()
    await shop.pumped(worker)
    shop.arm("first-task")
    await shop.append("stumble-1", Stumbled(order_id=shop.order("1")))
    assert await worker.ended() == -9
    shop.worker()
    gap = await until(lambda: _is(shop, "Stumble", "1", "done"))
    measured.info("killed in its first workflow task: done %.1f s after the next worker was started", gap)
    await check(shop)


@SCENARIOS
async def a_killed_worker_is_replaced_by_another_that_runs(shop: Shop) -> None:
    first = shop.worker()
    await shop.pumped(first)
    second = shop.worker()
    await second.ready()
    await shop.place(1)
    await first.kill()
    await shop.place(2)
    measured.info("kill -9 with a second worker at hand: all done after %.1f s", await shop.settled())
    await check(shop, late=None)


@SCENARIOS
async def a_worker_that_is_told_to_stop_hands_over_at_once(shop: Shop) -> None:
    first = shop.worker()
    await shop.pumped(first)
    second = shop.worker()
    await second.ready()
    began = time.monotonic()
    first.send(signal.SIGTERM)
    await shop.place(1)
    gap = await until(lambda: _is(shop, "FulfilOrder", "1", "done"))
    assert await first.ended() == 0
    measured.info("hand-over: an order placed at SIGTERM was done after %.2f s, exit after %.2f", gap, time.monotonic() - began)
    await shop.pumped(second)
    await check(shop)


@SCENARIOS
async def a_frozen_worker_that_wakes_up_moves_nothing(shop: Shop) -> None:
    """Its pumps are replaced, and go on where they froze: in a batch, and with events in flight."""
    shop.stacks = True  # a step that freezes in its transaction fails when it wakes up
    zombie = shop.worker()
    await shop.pumped(zombie)
    await shop.place(0)
    await shop.settled()
    async with shop.sql() as connection:
        holding = connection.transaction()
        await holding.start()
        await connection.execute("select from shop_orders for update")
        await shop.place(1)
        await shop.waiting("%insert into shop_orders%")
        zombie.send(signal.SIGSTOP)
        await holding.rollback()
    heir = shop.worker()
    await heir.ready()
    await shop.place(2)
    gap = await until(lambda: _at_head(shop, "projection:OrdersByState"))
    measured.info("SIGSTOP: the read model was at the head again after %.1f s", gap)
    await shop.pumped(heir, limit=2 * LIMIT)  # each poll of the frozen one may swallow a task, which then times out
    await shop.settled()
    terms = {status.name: status.term for status in await shop.uno.store.subscriptions.statuses()}
    zombie.send(signal.SIGCONT)
    await shop.place(3)
    await zombie.says("its heartbeats came too late")
    await shop.settled()
    after = {status.name: status.term for status in await shop.uno.store.subscriptions.statuses()}
    assert after == terms, zombie.words
    await check(shop)


@SCENARIOS
async def a_worker_that_freezes_in_the_middle_of_a_statement_holds_nobody_up_for_long(shop: Shop) -> None:
    """Postgres takes its session for an active one, so none of its limits ends what holds all readers back (ADR 0021)."""
    zombie = shop.worker()
    await shop.pumped(zombie)
    shop.arm("statement")
    await shop.place(1)
    await until(lambda: zombie.is_frozen)
    heir = shop.worker()
    await heir.ready()
    bound = await shop.uno.store.events.bound()
    await shop.place(2)
    assert await shop.uno.store.events.bound() == bound
    await heir.says("silent_session_ended: ")
    assert zombie.code is None
    gap = await until(lambda: _at_head(shop, "projection:OrdersByState"))
    measured.info("SIGSTOP in a statement: the read model was at the head %.1f s after the session was ended", gap)
    await zombie.kill()  # what else it holds up, polls that swallow tasks, is not what this is about
    await shop.pumped(heir, limit=2 * LIMIT)
    await check(shop)


@SCENARIOS
async def events_delivered_twice_change_nothing(shop: Shop) -> None:
    """The checkpoint is turned back while a saga runs and others are over, and the worker is another one."""
    first = shop.worker()
    await shop.pumped(first)
    for number in range(3):
        await shop.place(number)
    held = await shop.place("held", mode="hold")
    await until(lambda: shop.keys("pack", held))
    await until(lambda: _is(shop, "FulfilOrder", "2", "done"))
    await first.kill()
    await shop.rewind("saga:FulfilOrder")
    second = shop.worker()
    await shop.pumped(second)
    await until(lambda: _at_head(shop, "saga:FulfilOrder"))
    shop.let("go")
    await check(shop, late=None)
    assert all(len(shop.keys("charge", shop.order(number))) == 1 for number in (0, 1, 2, "held"))


@SCENARIOS
async def a_second_start_for_a_key_starts_nothing(shop: Shop) -> None:
    """Two customers place one order at the same time, and another when it is over."""
    await shop.worker().ready()
    order = shop.order(1)
    await asyncio.gather(*(shop.append(f"cart-{order}-{n}", OrderPlaced(order_id=order)) for n in range(2)))
    await until(lambda: shop.keys("packed", order))
    await shop.append(f"order-{order}", OrderShipped(order_id=order, at=datetime.now(UTC)))
    await shop.settled()
    await shop.append(f"cart-{order}-3", OrderPlaced(order_id=order))
    await check(shop, late=2)
    assert len(shop.keys("charge", order)) == 1


@SCENARIOS
async def a_start_replayed_after_temporal_forgot_is_not_a_second_run(shop: Shop) -> None:
    """Another Temporal, which knows nothing, is what a Temporal past its retention is."""
    first = shop.worker()
    await first.ready()
    orders = [await shop.place(number) for number in range(3)]
    await check(shop)
    await first.stop()
    await shop.rewind("saga:FulfilOrder")
    async with TemporalServer(None, headless=True) as forgetful:
        second = shop.worker(TEMPORAL_ADDRESS=forgetful.address)
        await shop.pumped(second)
        new = await shop.place("new")
        await shop.settled()
        assert [len(shop.keys("charge", order)) for order in [*orders, new]] == [1, 1, 1, 1]
        await second.stop()


async def _at_head(shop: Shop, subscription: str) -> bool:
    return (await shop.subscription(subscription)).lag == 0


async def _is(shop: Shop, saga: str, number: str, state: str) -> bool:
    return await shop.state(shop.order(number), saga) == state


@pytest.mark.parametrize("name", list(SCENARIOS))
async def test_that(name: str, scenarios: dict[str, asyncio.Task[None]]) -> None:
    await scenarios[name]
