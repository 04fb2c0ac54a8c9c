"""A projection: ours on its pump, beside a loop by hand that folds, upserts and moves its checkpoint in one transaction."""

from __future__ import annotations

import asyncio
import re
import time
from functools import partial
from typing import Any, Final

from uno_workflows import Settings, Uno
from uno_workflows.app.heap import set_heap_aside
from uno_workflows.app.registering import define_subscriptions
from uno_workflows.processing.pump import Pump, PumpSettings
from uno_workflows.projections.folder import ProjectionFolder
from uno_workflows.storage.tail import PostgresTail
from workers.bench import events, projections
from workers.bench.events import Ordered
from workers.bench.log_of import fill
from workers.bench.measuring import Aim, Result, Sample, Table, interleave
from workers.bench.projections import TABLE, UPSERT, Revenue, folded
from workers.bench.surroundings import Surroundings, connected

TITLE: Final = "Projection"
AIM: Final = "≥ 0.6 × an upsert with a checkpoint by hand"

OURS: Final = "projection"
BY_HAND: Final = "by hand"
NAME: Final = "projection:Revenue"
LOOK: Final = 0.002

PAGE: Final = "select position, payload from uno.events where position > $1 and type = 'Ordered' order by position limit 500"
MOVE: Final = "update by_hand_checkpoint set position = $1 where position = $2"
RESET: Final = "truncate revenue; update by_hand_checkpoint set position = 0; update uno.checkpoints set position = 0"
_PARAMETERS: Final = {":customers": "$1", ":orders": "$2", ":totals": "$3"}
UPSERT_BY_HAND: Final = re.sub(r":(customers|orders|totals)", lambda found: _PARAMETERS[found[0]], UPSERT)


async def measure(around: Surroundings) -> Result:
    """Events a second from the log to the read model, 500 in a transaction, in one process."""
    number = around.sizes.projected
    async with around.database() as url:
        around.say(f"projection: filling a log of {number:,}")
        await fill(url, number)
        async with (
            connected(url) as connection,
            Uno.connect(Settings(database_url=url), modules=[events, projections]) as uno,
            uno.store.tail() as tail,
        ):
            await connection.execute(f"{TABLE}; create table by_hand_checkpoint as select 0::bigint as position")
            await define_subscriptions(uno.store, uno.catalogue, app="bench")
            set_heap_aside()  # as `uno worker` does; for both, since they share a process
            variants = {
                OURS: partial(_ours, uno, tail, connection, number),
                BY_HAND: partial(_by_hand, connection, number),
            }
            rows = await interleave(f"{number:,} events", variants, rounds=around.sizes.rounds, say=around.say)
    result = Result("projection", TITLE, AIM, [Table("From the log to the read model", rows)])
    result.aims = [Aim("ours ÷ by hand", rows[0].ratio(OURS, BY_HAND), 0.6)]
    result.notes = [
        "Both fold a batch of 500 in Python and write it by one upsert with `unnest`, in one transaction with the checkpoint. By "
        "hand on one connection of asyncpg, without lease, pause, retries, or an order that readers can trust.",
        "What the process had loaded is hidden from the garbage collector, as `uno worker` does; by hand profits as well.",
    ]
    return result


async def _ours(uno: Uno, tail: PostgresTail, connection: Any, number: int) -> Sample:
    await connection.execute(RESET)
    folder = ProjectionFolder(Revenue, uno.catalogue.events, uno.store.subscriptions)
    pump = Pump(uno.store.subscriptions, tail, folder, owner="bench", settings=PumpSettings())
    began = time.perf_counter()
    running = asyncio.create_task(pump.run())
    try:
        while pump.position < number and not running.done():  # noqa: ASYNC110 (a pump sets no event when it has moved)
            await asyncio.sleep(LOOK)
        seconds = time.perf_counter() - began
    finally:
        pump.leaving.set()
        await running
    return await _checked(connection, number, seconds)


async def _by_hand(connection: Any, number: int) -> Sample:
    await connection.execute(RESET)
    began, position = time.perf_counter(), 0
    while rows := await connection.fetch(PAGE, position):
        added = folded(Ordered.model_validate_json(row["payload"]) for row in rows)
        async with connection.transaction():
            await connection.execute(MOVE, rows[-1]["position"], position)
            await connection.execute(UPSERT_BY_HAND, *added)
        position = rows[-1]["position"]
    return await _checked(connection, number, time.perf_counter() - began)


async def _checked(connection: Any, number: int, seconds: float) -> Sample:
    folded_in = await connection.fetchval("select sum(orders) from revenue")
    if folded_in != number:
        raise AssertionError(f"{folded_in} of {number} events are in the read model")
    return {"events/s": number / seconds}
