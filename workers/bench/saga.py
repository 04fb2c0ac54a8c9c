"""A saga of three steps: what it costs in our worker, and in one that is written by hand; DBOS beside them for orientation."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

from workers.bench.dbos_rival import DbosRival, dbos_rival
from workers.bench.measuring import Aim, Result, Row, Sample, Table, interleave
from workers.bench.subjects import Subject, ours, plain
from workers.bench.surroundings import Surroundings

TITLE: Final = "Saga of three steps"
AIM: Final = "≤ 1.2 × the worker's CPU of the same saga written by hand on the plain SDK, in the same sandbox"

ALONE: Final = "ours, sagas alone"
WHOLE: Final = "ours, with dispatch"
PLAIN: Final = "plain SDK"
DBOS: Final = "DBOS"

CPU: Final = "worker CPU ms/saga"
WITH_START: Final = "CPU ms/saga with its start"
RATE: Final = "sagas/s"
MEMORY: Final = "kB in memory/open saga"


async def measure(around: Surroundings) -> Result:
    """CPU, rate and memory, for one worker process each."""
    number, rounds = around.sizes.sagas, around.sizes.rounds
    async with AsyncExitStack() as stack:
        alone = await stack.enter_async_context(ours(around, "sagas", "dispatch"))
        whole = await stack.enter_async_context(ours(around, "all"))
        by_hand = await stack.enter_async_context(plain(around))
        dbos = await stack.enter_async_context(dbos_rival(around))
        subjects: Mapping[str, Subject] = {ALONE: alone, WHOLE: whole, PLAIN: by_hand}
        run = {name: partial(_run, subject, number) for name, subject in subjects.items()}
        rows = await interleave("saga", {**run, DBOS: partial(_run_dbos, dbos, number)}, rounds=rounds, say=around.say)
        wait = {name: partial(_wait, subject, number) for name, subject in subjects.items()}
        rows += await interleave("open sagas", wait, rounds=min(rounds, 3), say=around.say, warm=False)
    table = Table("One worker process, Temporal's development server", [_padded(row) for row in rows])
    result = Result("saga", TITLE, AIM, [table])
    cpu, started = (next(row for row in rows if row.unit == unit) for unit in (CPU, WITH_START))
    result.aims = [
        Aim("worker CPU, ours ÷ plain SDK (sagas alone)", cpu.ratio(ALONE, PLAIN), 1.2, least=False),
        Aim("CPU with the start, ours ÷ plain SDK (dispatch and its client)", started.ratio(WHOLE, PLAIN), 1.2, least=False),
    ]
    result.notes = NOTES
    return result


NOTES: Final = [
    "The steps do nothing. Ours and the plain SDK's worker have the same sandbox, where only the module with the saga is loaded "
    "anew for a run; both hide what they have loaded from the garbage collector.",
    "Ours besides: undo registered before each call, idempotency keys, a heartbeat timer for each step, the journal in the UI, "
    "the inbox, and a last command that writes the end into the table of runs.",
    "“with its start” counts, for ours, the dispatcher (reading the log, starting, checkpoint); for the plain SDK, the client "
    "that starts the runs.",
    "DBOS keeps its state in Postgres and has no server of its own; what its process uses is all there is beside Postgres.",
]


async def _run(subject: Subject, number: int) -> Sample:
    cpu = [worker.cpu_seconds() for worker in subject.workers]
    began = time.perf_counter()
    starting = await subject.run(number)
    seconds = time.perf_counter() - began
    used = [worker.cpu_seconds() - before for worker, before in zip(subject.workers, cpu, strict=True)]
    return {CPU: used[0] * 1e3 / number, WITH_START: (sum(used) + starting) * 1e3 / number, RATE: number / seconds}


async def _wait(subject: Subject, number: int) -> Sample:
    before = subject.workers[0].memory_bytes()
    await subject.wait(number)
    return {MEMORY: (subject.workers[0].memory_bytes() - before) / 1024 / number}


async def _run_dbos(dbos: DbosRival, number: int) -> Sample:
    seconds, cpu = await dbos.run(number)
    return {CPU: cpu * 1e3 / number, WITH_START: cpu * 1e3 / number, RATE: number / seconds}


def _padded(row: Row) -> Row:
    """A row with all columns, for a table has one heading."""
    rounds = max(len(values) for values in row.values.values())
    empty = [float("nan")] * rounds
    return Row(row.case, row.unit, {name: row.values.get(name, empty) for name in (ALONE, WHOLE, PLAIN, DBOS)})
