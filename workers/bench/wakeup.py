"""How long after a commit a reader knows that it may read: in the process of the writer, and in another one."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from uno_workflows import Settings, Uno
from uno_workflows.events.ids import new_event_id
from workers.bench.children import child
from workers.bench.events import order
from workers.bench.leash import stop_signal
from workers.bench.measuring import FAILED, Result, Row, Sample, Table, interleave, percentile
from workers.bench.surroundings import Surroundings

TITLE: Final = "Wake-up lag"
AIM: Final = "none; it is reported"
CALLERS: Final = 8
PAUSE: Final = 0.005
"""Seconds between two appends of a caller of the load: about 1,000 appends a second in all, far from what the server can do."""

OTHER: Final = "another process (NOTIFY)"
SAME: Final = "the same process"


async def measure(around: Surroundings) -> Result:
    """From the answer to an append to the moment at which a waiting reader holds a bound that covers it."""
    rows: list[Row] = []
    async with around.database() as url:
        for case, loaded in (("idle", False), ("under load", True)):
            async with _load(around, url, loaded=loaded), _store(url) as writer, _store(url) as reader:
                timed = {
                    name: partial(_lags, writer, one, around.sizes.wakeups) for name, one in ((OTHER, reader), (SAME, writer))
                }
                rows += await interleave(case, timed, rounds=around.sizes.rounds, say=around.say)
    result = Result("wakeup", TITLE, AIM, [Table("From commit to bound", rows)])
    result.notes = [
        f"Load: {CALLERS} callers in a process of their own append one event each {PAUSE * 1e3:.0f} ms.",
        "Without a NOTIFY (through a pooler, or lost) a reader polls: `UNO_POLL`, half a second by default.",
    ]
    return result


async def _lags(writer: Uno, reader: Uno, number: int) -> Sample:
    lags = []
    async with reader.store.tail() as tail:
        for _ in range(number):
            made = await writer.append(f"probe-{new_event_id()}", order(0))
            committed = time.perf_counter()
            bound = await tail.wait_beyond(made.positions[0] - 1, seconds=30)
            lags.append((time.perf_counter() - committed) * 1e3 if bound >= made.positions[0] else FAILED)
    return {"p50 ms": percentile(lags, 0.5), "p99 ms": percentile(lags, 0.99)}


@asynccontextmanager
async def _store(url: str) -> AsyncIterator[Uno]:
    async with Uno.connect(Settings(database_url=url)) as uno:
        yield uno


@asynccontextmanager
async def _load(around: Surroundings, url: str, *, loaded: bool) -> AsyncIterator[None]:
    if not loaded:
        yield
        return
    async with child("wakeup", environment={"UNO_DATABASE_URL": url}, log=around.folder / "load.log"):
        yield


async def _append_for_ever() -> None:
    """The load, in a process of its own."""
    stop = stop_signal()
    async with Uno.connect() as uno:

        async def call(number: int) -> None:
            while not stop.is_set():
                await uno.append(f"load-{number}", order(number))
                await asyncio.sleep(PAUSE)

        async with asyncio.TaskGroup() as group:
            for number in range(CALLERS):
                group.create_task(call(number))
            print("ready", flush=True)


if __name__ == "__main__":
    asyncio.run(_append_for_ever())
    sys.exit(0)
