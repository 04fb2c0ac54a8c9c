"""A log that was restored: every checkpoint halts, and goes on by the statements of docs/operations.md."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from apps.defining import HAPPENED, define
from docs.blocks import blocks_of

from uno_workflows.events.names import GlobalPosition
from uno_workflows.events.subscriptions import Delivered, Lease, Page
from uno_workflows.processing.auditor import Auditor
from uno_workflows.processing.pump import Pump, PumpSettings
from uno_workflows.storage.store import PostgresStore

NAME = "projection:Revenue"
PAGE = Path(__file__).parents[3] / "docs" / "operations.md"
STATEMENTS = {block.attributes.get("title"): block.code for block in blocks_of(PAGE)}


@dataclass
class Session:
    """Writes down the positions that it had."""

    store: PostgresStore
    lease: Lease
    seen: list[int]

    at_rest = True

    @property
    def read(self) -> GlobalPosition:
        return self.lease.position

    def verify(self) -> None: ...

    async def take(self, page: Page) -> None:
        delivered = Delivered([(event.position, event.id) for event in page.events])
        self.lease = await self.store.subscriptions.advance(self.lease, page.upto, delivered=delivered)
        self.seen += [event.position for event in page.events]


class Consumer:
    """Opens such sessions."""

    subscription, handles = NAME, HAPPENED

    def __init__(self, store: PostgresStore) -> None:
        self.store, self.seen = store, list[int]()

    @asynccontextmanager
    async def open(self, lease: Lease, leaving: asyncio.Event) -> AsyncIterator[Session]:
        yield Session(self.store, lease, self.seen)


@asynccontextmanager
async def pumping(consumer: Consumer) -> AsyncIterator[None]:
    async with consumer.store.tail() as tail, asyncio.TaskGroup() as tasks:
        settings = PumpSettings(poll=timedelta(milliseconds=50))
        pump = Pump(consumer.store.subscriptions, tail, consumer, owner="test", settings=settings)
        tasks.create_task(pump.run())
        try:
            yield
        finally:
            pump.leaving.set()


@pytest.mark.parametrize("ahead", [0, 40], ids=["at the end", "ahead of the log"])
async def test_after_a_restore_every_checkpoint_halts_and_goes_on_when_told(store, write, connect, until, ahead):
    connection, consumer = await connect(), Consumer(store)
    await define(store, NAME, start="beginning")
    await store.events.append([write("order-1", 3)])
    async with pumping(consumer):
        await until(lambda: consumer.seen == [1, 2, 3])

    await connection.execute("update uno.checkpoints set position = position + $1", ahead)
    await connection.execute(STATEMENTS["new-epoch.sql"])
    async with pumping(consumer):

        async def halted():
            (status,) = await store.subscriptions.statuses()
            return status.halt and "it was restored or failed over" in status.halt.reason

        await until(halted)
        await store.events.append([write("order-1")])
        await connection.execute(STATEMENTS["go-on.sql"])
        await store.events.append([write("order-1")])
        await store.subscriptions.resume(NAME)
        await until(lambda: len(consumer.seen) == 5)
    assert consumer.seen == [1, 2, 3, 4 + ahead, 5 + ahead]

    async def audited():
        await Auditor(store.audits).look()
        return not any(one.waiting.pages for one in await store.audits.statuses())

    await until(audited)
    assert [one.upto for one in await store.audits.statuses() if one.current] == [5 + ahead]
    assert await store.audits.findings() == []
