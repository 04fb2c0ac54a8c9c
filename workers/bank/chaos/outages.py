"""Faults of the two servers."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress

import asyncpg

from workers.bank.chaos.plan import Fault
from workers.bank.chaos.processes import frozen, kill
from workers.bank.chaos.servers import CONNECTIONS, OUTAGES
from workers.bank.chaos.system import System

CLIENTS = """
select pid from pg_stat_activity
 where backend_type = 'client backend' and application_name <> 'chaos'
 order by state = 'idle', random() limit 1
"""


async def crash_postgres(system: System, fault: Fault) -> None:
    """All of it is killed at once, and stays away for a while."""
    async with system.servers.postgres_lock:
        await system.servers.crash_postgres(fault.lasts)


async def freeze_postgres(system: System, fault: Fault) -> None:
    """It accepts connections, for the kernel does, and answers nobody."""
    async with system.servers.postgres_lock:
        with frozen(system.servers.postgres_pids()):
            await asyncio.sleep(fault.lasts)


async def kill_backend(system: System, fault: Fault) -> None:
    """One connection's process is killed; the postmaster restarts all the others, for their memory may be damaged."""
    kill(await _busy_backend(system))


async def freeze_backend(system: System, fault: Fault) -> None:
    """One connection stands still, and with it whatever it has locked."""
    with frozen(await _busy_backend(system)):
        await asyncio.sleep(fault.lasts)


async def leave_commits_unanswered(system: System, fault: Fault) -> None:
    """Commits become durable, and wait for a standby that does not exist: nobody is told."""
    await _change(system, "synchronous_standby_names", "ghost", seconds=fault.lasts)


async def forbid_writing(system: System, fault: Fault) -> None:
    """As on a primary that became a replica."""
    await _change(system, "default_transaction_read_only", "on", seconds=fault.lasts)


async def take_connections(system: System, fault: Fault) -> None:
    """Take every connection that is left, to another database, where they are not taken for the bank's."""
    elsewhere = system.servers.dsn.rpartition("/")[0] + "/template1"
    async with AsyncExitStack() as stack:
        for _ in range(CONNECTIONS):
            try:
                connection = await asyncpg.connect(elsewhere, timeout=3)
            except OUTAGES:
                break
            stack.callback(connection.terminate)
        await asyncio.sleep(fault.lasts)


async def crash_temporal(system: System, fault: Fault) -> None:
    """It is killed, and comes back with its file."""
    async with system.servers.temporal_lock:
        await system.servers.crash_temporal(fault.lasts)


async def freeze_temporal(system: System, fault: Fault) -> None:
    """It answers nobody."""
    async with system.servers.temporal_lock:
        with frozen([system.servers.temporal.pid]):
            await asyncio.sleep(fault.lasts)


async def _change(system: System, setting: str, value: str, *, seconds: float) -> None:
    """Give a setting another value for a while. Two such faults go one after the other: the first end would end both."""
    servers = system.servers
    async with system.setting_locks.setdefault(setting, asyncio.Lock()):
        try:
            await servers.execute(f"alter system set {setting} = '{value}'", "select pg_reload_conf()")
            await asyncio.sleep(seconds)
        finally:
            await servers.execute(f"alter system reset {setting}", "select pg_reload_conf()")


async def _busy_backend(system: System) -> list[int]:
    """One connection, of those at work if there are any; none if Postgres is away."""
    with suppress(*OUTAGES):
        async with system.servers.control() as connection:
            return [row["pid"] for row in await connection.fetch(CLIENTS)]
    return []
