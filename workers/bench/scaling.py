"""Several worker processes: what a saga costs each machine of a deployment, and whether that stays so as processes are added."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Final

from uno_workflows.devstack.processes import stat_of
from workers.bench.children import TICK
from workers.bench.measuring import Result, Sample, Table, interleave
from workers.bench.subjects import Ours, ours
from workers.bench.surroundings import Surroundings, connected

TITLE: Final = "More worker processes"
AIM: Final = "none: the figures for sizing. CPU for each saga should not grow with the number of processes"
PROCESSES: Final = (1, 2, 4)


async def measure(around: Surroundings) -> Result:
    """The saga of three steps, shared by so many whole workers."""
    async with AsyncExitStack() as stack:
        run = {}
        for number in PROCESSES:
            subject = await stack.enter_async_context(ours(around, *["all"] * number))
            name = f"{number} process{'es' if number > 1 else ''}"
            run[name] = partial(_run, around, subject, around.sizes.sagas)
        rows = await interleave("saga", run, rounds=around.sizes.rounds, say=around.say)
    result = Result("scaling", TITLE, AIM, [Table("Whole workers (`uno worker`) that share one task queue", rows)])
    result.notes = [
        "× is one process ÷ this one. Workers, Postgres and Temporal share the cores of this machine, so sagas/s says how far "
        "these cores go, and not how far several machines would.",
        "Temporal is its development server on SQLite: its CPU is no guide to a cluster's.",
        "Stored: the database's growth, with the start event, the run's row and what the auditor has not yet merged.",
    ]
    return result


async def _run(around: Surroundings, subject: Ours, number: int) -> Sample:
    postgres, temporal = around.folder / "postgres", around.folder / "temporal"
    workers, servers = _used(subject), (cpu_seconds(postgres), cpu_seconds(temporal))
    size, began = await _stored(subject.url), time.perf_counter()
    await subject.run(number)
    seconds = time.perf_counter() - began
    return {
        "sagas/s": number / seconds,
        "workers' CPU ms/saga": (_used(subject) - workers) * 1e3 / number,
        "Postgres' CPU ms/saga": (cpu_seconds(postgres) - servers[0]) * 1e3 / number,
        "Temporal's CPU ms/saga": (cpu_seconds(temporal) - servers[1]) * 1e3 / number,
        "kB stored/saga": (await _stored(subject.url) - size) / 1024 / number,
    }


def _used(subject: Ours) -> float:
    return sum(worker.cpu_seconds() for worker in subject.workers)


async def _stored(url: str) -> int:
    async with connected(url) as connection:
        size: int = await connection.fetchval("select pg_database_size(current_database())")
    return size


def cpu_seconds(folder: Path) -> float:
    """What the server that keeps its data in a folder has used so far, with all its processes and those that have ended."""
    parents, used, roots = {}, {}, set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            fields = stat_of(int(process.name))
            if str(folder).encode() in (process / "cmdline").read_bytes():
                roots.add(process.name)
        except OSError:  # it has just ended
            continue
        parents[process.name], used[process.name] = fields[1], sum(map(int, fields[11:15]))
    found, more = set[str](), roots
    while more:
        found |= more
        more = {child for child, parent in parents.items() if parent in found} - found
    return sum(used[process] for process in found) / TICK
