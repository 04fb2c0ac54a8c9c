"""The two servers of a run, on folders and ports of its own, and the hands on them that no proxy stands in the way of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, Self

import asyncpg

from uno_workflows.devstack.errors import DevStackError
from uno_workflows.devstack.guardian import children_of
from uno_workflows.devstack.postgres import PostgresServer
from uno_workflows.devstack.server import Server
from uno_workflows.devstack.temporal import TemporalServer
from workers.bank.chaos.processes import kill

CONNECTIONS: Final = 200
"""Connections that Postgres takes: more than three workers and two writers may have, so that a leak shows early."""
PATIENCE: Final = 60.0
"""Seconds to try to reach a Postgres that is being broken by another fault, or to start a server again."""
OUTAGES: Final = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


class Servers:
    """A Postgres and a Temporal server that are there to be broken. `async with Servers(folder) as servers:` runs them.

    Attributes:
        postgres_lock: Held by whoever stops or starts Postgres: two such faults would undo each other.
        temporal_lock: Likewise.
    """

    def __init__(self, folder: Path) -> None:
        self.postgres = PostgresServer(folder / "postgres", options={"max_connections": str(CONNECTIONS)}, disposable=True)
        self.temporal = TemporalServer(folder / "temporal", headless=True)
        self.postgres_lock, self.temporal_lock = asyncio.Lock(), asyncio.Lock()

    async def __aenter__(self) -> Self:
        try:
            await asyncio.gather(self.postgres.start(), self.temporal.start())
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Stop both. Harmless when they do not run."""
        await asyncio.gather(self.postgres.stop(), self.temporal.stop())

    @property
    def dsn(self) -> str:
        """URL of the database, past all proxies."""
        return self.postgres.dsn

    @property
    def temporal_port(self) -> int:
        return int(self.temporal.address.rpartition(":")[2])

    def postgres_pids(self) -> list[int]:
        """The postmaster and all its children."""
        pid = self.postgres.pid
        return [] if pid is None else [pid, *children_of(pid)]

    async def crash_postgres(self, seconds: float) -> None:
        """Kill all of Postgres at once, and start it after so many seconds: it recovers as after a loss of power."""
        kill(self.postgres_pids())
        await _stay_away(self.postgres, seconds)

    async def crash_temporal(self, seconds: float) -> None:
        """Kill Temporal, and start it on its file after so many seconds."""
        await _stay_away(self.temporal, seconds)

    @asynccontextmanager
    async def control(self) -> AsyncIterator[Any]:
        """A superuser's connection past all proxies; waits until one can be had.

        It may write on a server that is read-only, and does not wait for standbys.

        Raises:
            TimeoutError: there was none to be had.
        """
        async with asyncio.timeout(PATIENCE):
            connection = await self._connect()
        try:
            yield connection
        finally:
            connection.terminate()

    async def execute(self, *statements: str) -> None:
        """Run statements until they have run, whatever happens to the server meanwhile.

        Raises:
            TimeoutError: they could not be run.
        """
        async with asyncio.timeout(PATIENCE):
            while True:
                with suppress(*OUTAGES):
                    async with self.control() as connection:
                        for statement in statements:
                            await connection.execute(statement, timeout=5)
                        return
                await asyncio.sleep(0.1)

    async def ask(self, query: str) -> Any:
        """The value that a query returns; the query is repeated until there is an answer.

        Raises:
            TimeoutError: there was none to be had.
        """
        async with asyncio.timeout(PATIENCE):
            while True:
                with suppress(*OUTAGES):
                    async with self.control() as connection:
                        return await connection.fetchval(query, timeout=5)
                await asyncio.sleep(0.1)

    async def _connect(self) -> Any:
        settings = {"application_name": "chaos", "default_transaction_read_only": "off", "synchronous_commit": "local"}
        while True:
            with suppress(*OUTAGES):
                return await asyncpg.connect(self.dsn, timeout=3, command_timeout=10, server_settings=settings)
            await asyncio.sleep(0.1)


async def _stay_away(server: Server, seconds: float) -> None:
    await server.kill()
    try:
        await asyncio.sleep(seconds)
    finally:  # a finding cancels the faults, and is judged and told with both servers
        await _insist(server.start)


async def _insist(start: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Start a server, again if need be: another fault may be in its way."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await start()
            except DevStackError:
                await asyncio.sleep(0.5)
