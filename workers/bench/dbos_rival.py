"""The same three steps on DBOS, in a process of its own; for orientation, for it is another kind of engine."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from workers.bench.children import Child, child
from workers.bench.surroundings import Surroundings

AT_ONCE: Final = 20


class DbosRival:
    """The other side of the pipe."""

    def __init__(self, process: Child) -> None:
        self._process = process

    async def run(self, number: int) -> tuple[float, float]:
        """Run so many; the seconds they took, and the seconds of CPU."""
        await self._process.say(str(number))
        answer = json.loads(await self._process.line())
        return float(answer["seconds"]), float(answer["cpu"])


@asynccontextmanager
async def dbos_rival(around: Surroundings) -> AsyncIterator[DbosRival]:
    """One for the block, on a database of its own."""
    async with (
        around.database() as url,
        child("dbos_rival", url, environment={}, log=around.folder / "dbos.log") as process,
    ):
        yield DbosRival(process)


def _workflow(url: str) -> Any:
    from dbos import DBOS

    DBOS(config={"name": "bench", "system_database_url": url, "log_level": "ERROR"})

    @DBOS.step()
    async def reserve(order: str) -> str:
        return "reserved"

    @DBOS.step()
    async def charge(order: str) -> str:
        return "charged"

    @DBOS.step()
    async def ship(order: str) -> str:
        return "shipped"

    @DBOS.workflow()
    async def fulfil(order: str) -> None:
        await reserve(order)
        await charge(order)
        await ship(order)

    DBOS.launch()
    return fulfil


async def _serve(url: str) -> None:
    fulfil, loop = _workflow(url), asyncio.get_running_loop()
    print("ready", flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await _run(fulfil, int(line))), flush=True)


async def _run(fulfil: Any, number: int) -> dict[str, float]:
    began, used, left = time.perf_counter(), _cpu(), iter(range(number))

    async def some() -> None:
        for one in left:
            await fulfil(f"{one:0300d}")

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(some())
    return {"seconds": time.perf_counter() - began, "cpu": _cpu() - used}


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
    sys.stdout.flush()
    os._exit(0)
