"""Memory over a long read and over many sagas: it must not grow with their number."""

from __future__ import annotations

import asyncio
import sys
from typing import Final

from uno_workflows import Uno
from workers.bench import events
from workers.bench.children import Child, child
from workers.bench.log_of import fill
from workers.bench.measuring import Aim, Result, Row, Table
from workers.bench.subjects import ours
from workers.bench.surroundings import Surroundings

TITLE: Final = "Memory"
AIM: Final = "flat: what is held at the end is at most 1.1 × what was held after the first third"
PARTS: Final = 9
"""How often memory is looked at."""


async def measure(around: Surroundings) -> Result:
    """The resident set of a reader and of a worker, looked at nine times."""
    sizes = around.sizes
    read, sagas = await _reader(around, sizes.read), await _worker(around, sizes.sagas_run)
    rows = [
        Row(f"reading {sizes.read:,} events", "MB", {"a reader": read}),
        Row(f"running {sizes.sagas_run:,} sagas", "MB", {"a worker": sagas}),
    ]
    result = Result("memory", TITLE, AIM, [Table(f"Resident set, {PARTS} looks each", [row]) for row in rows])
    result.aims = [Aim(f"end ÷ after a third, {row.case}", _growth(row), 1.1, least=False) for row in rows]
    result.notes = [
        f"{row.case}: {' → '.join(f'{value:.0f}' for values in row.values.values() for value in values)} MB" for row in rows
    ]
    return result


def _growth(row: Row) -> float:
    values = next(iter(row.values.values()))
    return values[-1] / values[PARTS // 3 - 1]


async def _reader(around: Surroundings, number: int) -> list[float]:
    async with around.database() as url:
        around.say(f"memory: filling a log of {number:,}")
        await fill(url, number)
        log = around.folder / "reader.log"
        async with child("memory", str(number // PARTS), environment={"UNO_DATABASE_URL": url}, log=log) as reader:
            around.say("memory: reading it")
            await reader.say("go")
            return [await _megabytes_at_line(reader) for _ in range(PARTS)]


async def _megabytes_at_line(reader: Child) -> float:
    await reader.line()
    return reader.memory_bytes() / 1e6


async def _worker(around: Surroundings, number: int) -> list[float]:
    async with ours(around, "all") as subject:
        found = []
        for part in range(PARTS):
            around.say(f"memory: sagas, part {part + 1} of {PARTS}")
            await subject.run(max(1, number // PARTS))
            found.append(subject.workers[0].memory_bytes() / 1e6)
        return found


async def _read(part: int) -> None:
    """The reader, in a process of its own; it says a line after each part."""
    async with Uno.connect(modules=[events]) as uno:
        print("ready", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        found = 0
        async for _ in uno.read_all():
            found += 1
            if found % part == 0:
                print(found, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


if __name__ == "__main__":
    asyncio.run(_read(int(sys.argv[1])))
