"""`uno audit delivery`: real workers leave pages that prove, and a reader that skips is named."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from acceptance.shop import Said, Shop, measured, until
from apps.shop.events import OrderFulfilled, OrderShipped
from patience import LIMIT

PROJECTION = "projection:OrdersByState"
WRITERS, ROUNDS = 8, 15
NO_FENCE = """
create or replace function uno.frontier(out bound bigint, out head bigint) language sql as
  'select last_value, last_value from uno.position_seq';
create or replace function uno.frontier_from(p_known bigint, p_most int default 2000, out bound bigint, out head bigint)
  language sql as 'select last_value, last_value from uno.position_seq'
"""


async def test_what_workers_handled_is_proven_while_appends_overlap_and_a_worker_is_killed(shop: Shop) -> None:
    """Dispatcher and projections both read behind transactions that commit late, in another order than their positions."""
    shop.stacks = True
    first = shop.worker()
    await shop.pumped(first)
    await _append_crosswise(shop, "before")
    await first.kill()
    await shop.pumped(shop.worker())
    await _append_crosswise(shop, "after")
    await shop.settled()
    said = await _until_audited(shop)
    assert (said.code, said.err) == (0, ""), said.out
    head = await shop.uno.store.events.bound()
    rows = {row["subscription"]: row for row in said.json}
    assert {row["audited_to"] for row in rows.values()} == {head}
    assert all(row["agrees"] and not row["findings"] and not row["waiting"]["pages"] for row in rows.values())
    handled = {name: rows[name]["events"] for name in (PROJECTION, "saga:FulfilOrder")}
    assert handled == {
        PROJECTION: await _count(shop, "OrderPlaced", "OrderFulfilled"),
        "saga:FulfilOrder": await _count(shop, "OrderPlaced", "OrderShipped", "OrderCancelled"),
    }
    measured.info("%d events proven in %s pages", head, {name: row["pages"] for name, row in rows.items()})


async def test_a_worker_whose_fence_is_broken_is_caught_and_what_it_skipped_is_named(shop: Shop) -> None:
    async with shop.sql() as hand, shop.sql() as slow:
        await hand.execute(NO_FENCE)
        await slow.execute("set idle_in_transaction_session_timeout = 0")  # it is open for as long as commands take
        await shop.pumped(shop.worker())
        transaction = slow.transaction()
        await transaction.start()
        event = OrderFulfilled(order_id="1", shipped_at=datetime.now(UTC))
        missed = await shop.uno.append("order-missed", event, tx=slow)
        seen = await shop.uno.append("order-seen", event)
        await until(lambda: _passed(shop, seen.positions[0]))
        early = await shop.cli("audit", "delivery", "--now")
        assert early.code == 0
        assert f" pages are not audited until process {slow.get_server_pid()} in database" in early.out
        waiting = (await _audited(shop, "--subscription", PROJECTION)).json[0]["waiting"]
        assert waiting["pages"]
        assert waiting["held_back_by"]["pid"] == slow.get_server_pid()
        await transaction.commit()
    said = await _until_audited(shop)
    assert said.code == 1
    (finding,) = next(row for row in said.json if row["subscription"] == PROJECTION)["findings"]
    position, event_id = missed.positions[0], str(missed.event_ids[0])
    named = {"position": position, "type": "OrderFulfilled", "stream_id": "order-missed", "event_id": event_id}
    assert (finding["kind"], finding["missing"], finding["events"]) == ("difference", [position], [named])
    words = await shop.cli("audit", "delivery")
    assert words.code == 1
    assert f"finding {finding['number']}: {PROJECTION} between positions" in words.out
    assert f": never handled position {position}\n" in words.out
    assert f"{position}  OrderFulfilled  order-missed  {event_id}" in words.out
    assert (await shop.cli("audit", "delivery", "--subscription", "saga:FulfilOrder")).code == 0
    assert (await shop.cli("audit", "settle", str(finding["number"]), "counted by hand")).code == 0
    assert (await shop.cli("audit", "delivery")).code == 0


async def test_what_cannot_be_audited_or_settled_is_wrong_usage(shop: Shop) -> None:
    for command in (("delivery", "--subscription", "saga:Nobody"), ("settle", "7", "note")):
        said = await shop.cli("audit", *command)
        assert said.code == 2, said.err
        assert command[-1] in said.err or "no open finding 7" in said.err


async def _append_crosswise(shop: Shop, name: str) -> None:
    """Append in transactions that stay open until all writers have appended, so that they commit in any order; and orders."""
    turn = asyncio.Barrier(WRITERS)

    async def append(writer: int) -> None:
        async with shop.sql() as connection:
            for number in range(ROUNDS):
                order, now = shop.order(f"{name}-{writer}-{number}"), datetime.now(UTC)
                events = [OrderShipped(order_id=order, at=now), OrderFulfilled(order_id=order, shipped_at=now)]
                async with connection.transaction():
                    await shop.uno.append(f"order-{order}", events, tx=connection)
                    await turn.wait()

    async with asyncio.TaskGroup() as group:
        for writer in range(WRITERS):
            group.create_task(append(writer))
        for number in range(3):
            await shop.place(f"{name}-{number}")


async def _passed(shop: Shop, position: int) -> bool:
    return await shop.uno.store.subscriptions.position(PROJECTION) >= position


async def _audited(shop: Shop, *more: str) -> Said:
    return await shop.cli("audit", "delivery", "--now", "--json", *more)


async def _until_audited(shop: Shop) -> Said:
    """The server gathers statistics now and then, in transactions for which a page waits, too."""
    async with asyncio.timeout(LIMIT):
        while True:
            said = await _audited(shop)
            if not any(row["waiting"]["pages"] for row in said.json):
                return said


async def _count(shop: Shop, *types: str) -> Any:
    async with shop.sql() as connection:
        return await connection.fetchval("select count(*) from uno.events where type = any($1)", types)
