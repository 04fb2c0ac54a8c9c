"""Append: `uno.append` beside a bare insert, beside the same promises by hand, and beside the library `eventsourcing`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import asyncpg

from uno_workflows import Settings, Uno
from uno_workflows.events.ids import new_event_id
from uno_workflows.events.names import EventType, StreamId
from uno_workflows.events.recorded import NewEvent, StreamAppend
from workers.bench import by_hand
from workers.bench.events import Ordered, order
from workers.bench.eventsourcing_rival import Rival, rival
from workers.bench.measuring import Aim, Result, Row, Sample, Table, Variant, interleave
from workers.bench.surroundings import Surroundings, connected

TITLE: Final = "Append"
AIM: Final = "≥ 0.75 × a bare insert, ≥ 1.5 × the same promises by hand at 8 and more callers, ≥ 3 × `eventsourcing`"
APPENDS: Final = 10
"""Appends to one stream before the next one begins."""

OURS: Final = "uno.append"
BARE: Final = "(a) bare insert"
CALLED: Final = "(b) by hand, one function"
TRANSACTED: Final = "(b) by hand, five round trips"
RIVAL: Final = "(c) eventsourcing"

RATE: Final = "events/s"

Append = Callable[[str, int, int], Awaitable[object]]
"""Appends to a stream, which is at a version, so many events."""


async def measure(around: Surroundings) -> Result:
    """Events a second, for each size of an append and each number of callers."""
    rows: list[Row] = []
    raw: list[Row] = []
    sizes = around.sizes
    for callers in sizes.callers:
        for batch in sizes.batches:
            case = f"{batch:,} a call, {callers} caller{'s' if callers > 1 else ''}"
            async with _variants(around, batch, callers) as (whole, stored):
                rows += await interleave(f"append, {case}", whole, rounds=sizes.rounds, say=around.say)
                if callers == 8:
                    raw += await interleave(f"store, {case}", stored, rounds=sizes.rounds, say=around.say)
    result = Result("append", TITLE, AIM, [Table("Events as Python objects, to durable", [_short(row) for row in rows])])
    if raw:
        result.tables.append(Table("The store alone: bytes that are ready, to durable", [_short(row) for row in raw]))
    result.aims = [aim for row in rows if row.unit == RATE for aim in _aims(row)]
    result.notes = NOTES
    return result


NOTES: Final = [
    "An append goes to a stream of its caller's at a version that the caller names; every ten a new stream begins.",
    "(a) inserts into a table with the columns and indexes of ours and without its triggers, from events that it writes by "
    "pydantic. It checks nothing, and a reader by position loses events.",
    "(b) has our promises: expected version, idempotent ids, and an order that readers can trust, by one advisory lock.",
    "(c) is the recorder of the library, with bytes that are ready: its aggregates and its JSON would come on top.",
]


def _aims(row: Row) -> list[Aim]:
    case = row.case.removeprefix("append, ")
    many = "1 caller" not in case
    aims = [Aim(f"ours ÷ bare insert, {case}", row.ratio(OURS, BARE), 0.75)] if many else []
    aims += [Aim(f"ours ÷ by hand in one function, {case}", row.ratio(OURS, CALLED), 1.5)] if many else []
    return [*aims, Aim(f"ours ÷ eventsourcing, {case}", row.ratio(OURS, RIVAL), 3.0)]


def _short(row: Row) -> Row:
    return Row(row.case.partition(", ")[2], row.unit, row.values)


@asynccontextmanager
async def _variants(
    around: Surroundings, batch: int, callers: int
) -> AsyncIterator[tuple[dict[str, Variant], dict[str, Variant]]]:
    events, seconds = [order(number) for number in range(batch)], around.sizes.seconds
    ready = [event.model_dump_json().encode() for event in events]
    async with (
        around.database() as url,
        Uno.connect(Settings(database_url=url, pool_size=callers)) as uno,
        asyncpg.create_pool(url, min_size=callers, max_size=callers, reset=_nothing) as pool,
        rival(url, log=around.folder / "eventsourcing.log") as other,
    ):
        async with connected(url) as connection:
            await connection.execute(by_hand.TABLE)
            await connection.execute(by_hand.FUNCTION)
        rate = partial(_rate, batch=batch, callers=callers, seconds=seconds)
        written = partial(_written, events)
        whole: dict[str, Variant] = {
            OURS: partial(rate, _ours(uno, events)),
            BARE: partial(rate, _through(pool, by_hand.insert, written)),
            CALLED: partial(rate, _through(pool, by_hand.call, written)),
            TRANSACTED: partial(rate, _through(pool, by_hand.transact, written)),
            RIVAL: partial(_rival_rate, other, batch, callers, seconds, len(ready[0])),
        }
        stored: dict[str, Variant] = {
            "store.append": partial(rate, _stored(uno, ready)),
            BARE: partial(rate, _through(pool, by_hand.insert, lambda: ready)),
        }
        yield whole, stored


async def _rate(append: Append, *, batch: int, callers: int, seconds: float) -> Sample:
    """Append for some seconds; events a second, and what an event cost in our process."""
    end, began, cpu = time.perf_counter() + seconds, time.perf_counter(), time.process_time()
    done = 0

    async def call() -> None:
        nonlocal done
        while time.perf_counter() < end:
            stream = f"order-{new_event_id()}"
            for version in range(0, APPENDS * batch, batch):
                await append(stream, version, batch)
                done += batch
                if time.perf_counter() >= end:
                    return

    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(call())
    return {RATE: done / (time.perf_counter() - began), "client µs/event": (time.process_time() - cpu) * 1e6 / done}


def _ours(uno: Uno, events: list[Ordered]) -> Append:
    async def append(stream: str, version: int, _: int) -> object:
        return await uno.append(stream, events, expected_version=version)

    return append


def _stored(uno: Uno, ready: list[bytes]) -> Append:
    async def append(stream: str, version: int, size: int) -> object:
        ids = [new_event_id() for _ in range(size)]
        rows = by_hand.Rows(ids, ready)
        events = [
            NewEvent(id_, EventType("Ordered"), 1, payload, rows.metadata[0]) for id_, payload in zip(ids, ready, strict=True)
        ]
        return await uno.store.events.append([StreamAppend("", StreamId(stream), version, events, str(ids[0]))])

    return append


def _through(pool: Any, statement: Callable[..., Awaitable[None]], payloads: Callable[[], list[bytes]]) -> Append:
    async def append(stream: str, version: int, size: int) -> None:
        rows = by_hand.Rows([new_event_id() for _ in range(size)], payloads())
        async with pool.acquire() as connection:
            await statement(connection, stream, version, rows)

    return append


def _written(events: list[Ordered]) -> list[bytes]:
    return [event.model_dump_json().encode() for event in events]


async def _rival_rate(other: Rival, batch: int, callers: int, seconds: float, size: int) -> Sample:
    return {RATE: await other.rate(batch=batch, callers=callers, seconds=seconds, size=size)}


async def _nothing(_: Any) -> None:
    """No state is left in a session; asyncpg's default would cost each call a second round trip."""
