"""A full disk, without a disk to fill: the files of Postgres may not grow beyond what they are (RLIMIT_FSIZE, getrlimit(2)).

The limit is set so that the log of Postgres itself meets it first. Postgres panics, cannot recover, and ends; it comes back when
there is room again and somebody starts it.
"""

from __future__ import annotations

import asyncio
import resource
import sys
from contextlib import suppress
from typing import Final

from workers.bank.chaos.plan import Fault
from workers.bank.chaos.servers import OUTAGES, Servers
from workers.bank.chaos.system import NotRun, System

SIZES: Final = """
select greatest((select max(pg_relation_size(oid)) from pg_class where relkind in ('r', 'i', 't')),
                (select file_offset from pg_walfile_name_offset(pg_current_wal_insert_lsn())))
"""
MARGIN: Final = 65_536
SEGMENT: Final = 16 * 1024 * 1024
"""Size of a file of Postgres's log, all of which is there from its beginning."""
PIECE: Final = 200_000
UNLIMITED: Final = resource.RLIM_INFINITY


async def fill_disk(system: System, fault: Fault) -> None:
    """Let no file grow for a while, and restart Postgres when there is room again.

    Raises:
        NotRun: limits of other processes cannot be set here.
    """
    servers = system.servers
    if sys.platform != "linux":
        raise NotRun("limits of other processes can be set on Linux only")
    async with servers.postgres_lock:
        try:
            await _limit(servers)
            await _write_until_full(servers)
            await asyncio.sleep(fault.lasts)
        finally:
            await servers.crash_postgres(0)


async def _limit(servers: Servers) -> None:
    size = await servers.ask(SIZES)
    limit = min(size + MARGIN, SEGMENT - MARGIN)
    for pid in servers.postgres_pids():
        with suppress(ProcessLookupError):
            try:
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, UNLIMITED))
            except PermissionError as error:
                raise NotRun("the limits of Postgres's processes may not be set here") from error


async def _write_until_full(servers: Servers) -> None:
    """Fill what is left; the connection breaks when the log meets the limit."""
    with suppress(*OUTAGES):
        async with servers.control() as connection:
            for _ in range(2 * SEGMENT // PIECE):
                await connection.execute(f"select pg_logical_emit_message(true, 'chaos', repeat('x', {PIECE}))")
