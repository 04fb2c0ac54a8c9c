"""Subscriptions that stand still, by their own fault or by an operator's hand; nothing else does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from acceptance.checker import check
from acceptance.scenarios import Scenarios
from acceptance.shop import Shop, measured, until
from apps.trouble.events import Complained, Stumbled

SCENARIOS = Scenarios()


@SCENARIOS
async def a_projection_that_raises_halts_by_name_until_it_is_mended(shop: Shop) -> None:
    await shop.worker().ready()
    await shop.append("complaint-1", Complained(order_id=shop.order(1), words="unspeakable"))
    halted = await _halted(shop, "projection:Complaints")
    position = (await shop.uno.store.events.bound()).real
    assert halted["reason"] == f"at position {position}: Complained: add: ValueError: no words for it"
    await shop.place(1)
    await until(lambda: _is_done(shop, 1))
    assert (await shop.cli("subscriptions", "resume", "projection:Complaints")).code == 0
    await _halted(shop, "projection:Complaints")
    shop.let("mended")
    assert (await shop.cli("subscriptions", "resume", "projection:Complaints")).code == 0
    await check(shop)
    async with shop.sql() as connection:
        assert await connection.fetchval("select array_agg(words) from complaints") == ["unspeakable"]


@SCENARIOS
async def an_event_that_a_projection_cannot_take_is_skipped_by_an_operator(shop: Shop) -> None:
    await shop.worker().ready()
    for words in ("slow", "unspeakable", "dear"):
        await shop.append("complaint-1", Complained(order_id=shop.order(1), words=words))
    await _halted(shop, "projection:Complaints")
    assert (await shop.cli("subscriptions", "resume", "projection:Complaints", "--skip")).code == 0
    await check(shop, late=2)
    async with shop.sql() as connection:
        assert await connection.fetchval("select array_agg(words) from complaints") == ["slow", "dear"]
        assert await connection.fetchval("select count(*) from uno.skipped_events") == 1


@SCENARIOS
async def an_event_without_a_key_halts_its_saga_by_name(shop: Shop) -> None:
    await shop.worker().ready()
    await shop.append("complaint-0", Complained(order_id=shop.order(0)))
    await shop.append("complaint-1", Complained(order_id=None))
    await shop.append("complaint-2", Complained(order_id=shop.order(2)))
    halted = await _halted(shop, "saga:HearComplaint")
    assert "field 'order_id' of Complained is missing or null" in halted["reason"]
    await until(lambda: _is_done(shop, 0, "HearComplaint"))
    await shop.place(1)
    await until(lambda: _is_done(shop, 1))
    assert (await shop.cli("subscriptions", "resume", "saga:HearComplaint", "--skip")).code == 0
    await until(lambda: _is_done(shop, 2, "HearComplaint"))
    await check(shop)


@SCENARIOS
async def a_checkpoint_ahead_of_the_log_halts_by_name_and_stays_quiet(shop: Shop) -> None:
    """As after a restored backup; a pump that tried again and again would raise the term each time."""
    async with shop.sql() as connection:
        await connection.execute("update uno.checkpoints set position = 1000 where subscription = 'projection:Complaints'")
    worker = shop.worker()
    halted = await _halted(shop, "projection:Complaints")
    assert halted["reason"].startswith("its checkpoint 1000 is ahead of the log"), "no position, for no event is to blame"
    await shop.place(1)
    await until(lambda: _is_done(shop, 1))
    assert (await shop.subscription("projection:Complaints")).term == 1, "its first take-over, which found it"
    await worker.stop()
    heir = shop.worker()
    await heir.says("subscription_halted: ")
    await shop.place(2)
    await until(lambda: _is_done(shop, 2))
    assert (await shop.subscription("projection:Complaints")).term == 1
    worker = heir
    assert worker.code is None


@SCENARIOS
async def a_projection_that_blocks_its_loop_stalls_no_saga(shop: Shop) -> None:
    worker = shop.worker()
    await shop.pumped(worker)
    await shop.append("stumble-1", Stumbled(order_id=shop.order("sleep")))
    await worker.says("task=projection:Sleeper seconds=1.")
    await shop.place(1)
    took = await until(lambda: _is_done(shop, 1))
    assert "event_loop_free" not in worker.words
    measured.info("beside a blocked projection a saga took %.2f s", took)
    shop.let("awake")
    await worker.says("event_loop_free")
    assert "apps/trouble/projections.py:" in worker.words
    await check(shop)


@SCENARIOS
async def an_outage_that_a_projection_meets_in_its_handler_halts_nothing(shop: Shop) -> None:
    """Its connection is cut in its own statement, more often than a handler may fail."""
    worker = shop.worker()
    await shop.pumped(worker)
    await shop.place(0)
    await shop.settled()
    async with shop.sql() as connection, connection.transaction():
        await connection.execute("select from shop_orders for update")
        await shop.place(1)
        async with shop.sql() as hand:
            for _ in range(7):
                await shop.waiting("%insert into shop_orders%")
                await hand.execute(
                    "select pg_terminate_backend(pid, 1000) from pg_stat_activity"
                    " where datname = current_database() and wait_event_type = 'Lock'"
                )
    await check(shop)
    assert "outage_began" in worker.words


async def _halted(shop: Shop, name: str) -> dict[str, Any]:
    """Wait until a subscription has halted, as the command says."""

    async def halt() -> bool:
        return (await shop.subscription(name)).halt is not None

    await until(halt, what=f"{name} halts")
    said = await shop.cli("subscriptions", "list", "--json")
    assert said.code == 0, said.err
    row: dict[str, Any] = next(row for row in said.json if row["name"] == name)
    assert row["state"] == "halted"
    return row


async def _is_done(shop: Shop, number: object, saga: str = "FulfilOrder") -> bool:
    return await shop.state(shop.order(number), saga) == "done"


@pytest.mark.parametrize("name", list(SCENARIOS))
async def test_that(name: str, scenarios: dict[str, asyncio.Task[None]]) -> None:
    await scenarios[name]
