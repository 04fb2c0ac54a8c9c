"""What is cancelled while it connects leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from patience import LIMIT

from uno_workflows.storage.pool import Database
from uno_workflows.storage.settings import StoreSettings


@pytest.mark.parametrize("how", ["of the pool", "for a transaction"])
async def test_a_connect_that_is_cancelled_leaves_no_error_that_nobody_takes(database: str, how: str):
    """As at the stop of a worker that has just started: asyncpg alone leaves a future behind, which asyncio complains of."""
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    gc.freeze()  # else each collection below walks through all that the suite has loaded
    for turns in range(40):
        async with Database.open(database, schema="uno", settings=StoreSettings()) as opened:

            async def use() -> None:
                if how == "of the pool":
                    async with opened.connection(), opened.connection():
                        pass
                else:
                    async with opened.steps.connection(seconds=None):
                        pass

            using = asyncio.create_task(use())
            for _ in range(turns):
                await asyncio.sleep(0)
            using.cancel()
            await asyncio.wait([using])
        del using
        gc.collect()
    await asyncio.sleep(0)
    gc.unfreeze()
    assert complaints == []


async def test_a_call_that_is_cancelled_twice_ends_as_cancelled(store, write, connect, blocked):
    await store.events.append([write("order-1")])
    other = await connect()
    async with other.transaction():
        await other.execute("select * from uno.streams for update")
        calls = [asyncio.create_task(store.database.fetch("claim", tenants=[""], stream_ids=["order-1"])) for _ in range(4)]
        await blocked(4)
        for _ in range(2):
            for call in calls:
                call.cancel()
            await asyncio.sleep(0)
        await asyncio.wait(calls, timeout=LIMIT)
    assert [call.cancelled() for call in calls] == [True] * 4
