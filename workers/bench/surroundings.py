"""What a benchmark runs in: servers of its own, started when first asked for, and a database of its own for each case."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
from temporalio.api.workflowservice.v1 import GetSystemInfoRequest
from temporalio.client import Client

from uno_workflows.devstack.postgres import PostgresServer
from uno_workflows.devstack.temporal import TemporalServer
from uno_workflows.storage.migrations import migrate
from workers.bench.measuring import Say
from workers.bench.sizes import Sizes

TEMPLATE = "uno_template"
SHOWN = ("server_version", "fsync", "synchronous_commit", "shared_buffers")


class Surroundings:
    """Servers and databases for one run of the benchmarks.

    Args:
        folder: Where the servers keep what they write: its disk is what is measured.
        say: Takes lines of progress.
    """

    def __init__(self, folder: Path, stack: AsyncExitStack, *, sizes: Sizes, say: Say) -> None:
        self.folder, self.sizes, self.say = folder, sizes, say
        self._stack = stack
        self._postgres: PostgresServer | None = None
        self._temporal: str | None = None
        self._numbers = count(1)

    @classmethod
    @asynccontextmanager
    async def open(cls, folder: Path, *, sizes: Sizes, say: Say) -> AsyncIterator[Surroundings]:
        """Make room; at the end, whatever was started is stopped."""
        async with AsyncExitStack() as stack:
            yield cls(folder, stack, sizes=sizes, say=say)

    async def postgres(self) -> PostgresServer:
        """The Postgres server, which has a migrated template."""
        if self._postgres is None:
            self.say("starting Postgres")
            server = PostgresServer(self.folder / "postgres", disposable=True)
            self._postgres = await self._stack.enter_async_context(server)
            await self._administer(f"create database {TEMPLATE}")
            await migrate(_url(server, TEMPLATE))
        return self._postgres

    async def temporal(self) -> str:
        """The address of the Temporal server; its state is on disk, as that of `uno dev` is."""
        if self._temporal is None:
            self.say("starting Temporal")
            server = TemporalServer(self.folder / "temporal", headless=True, disposable=True)
            self._temporal = (await self._stack.enter_async_context(server)).address
        return self._temporal

    async def versions(self) -> dict[str, str]:
        """Those of the servers that were started."""
        found = {}
        if self._postgres is not None:
            async with connected(self._postgres.dsn) as connection:
                settings = [f"{name} {await connection.fetchval(f'show {name}')}" for name in SHOWN]
            found["postgres"] = ", ".join(settings)
        if self._temporal is not None:
            info = await (await Client.connect(self._temporal)).workflow_service.get_system_info(GetSystemInfoRequest())
            found["temporal"] = f"development server {info.server_version}, SQLite on disk (WAL)"
        return found

    def name(self) -> str:
        """A name that nothing here had before, such as an app's."""
        return f"bench{self.number()}"

    def number(self) -> int:
        """A number that nothing here had before."""
        return next(self._numbers)

    @asynccontextmanager
    async def database(self) -> AsyncIterator[str]:
        """The URL of a migrated database with an empty log."""
        server, name = await self.postgres(), self.name()
        await self._administer(f"create database {name} template {TEMPLATE}")
        try:
            yield _url(server, name)
        finally:
            await self._administer(f"drop database {name} with (force)")

    async def _administer(self, command: str) -> None:
        assert self._postgres is not None
        async with connected(self._postgres.dsn) as connection:
            await connection.execute(command)


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[Any]:
    """A connection of asyncpg for the block."""
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


def _url(server: PostgresServer, name: str) -> str:
    return f"{server.dsn.rpartition('/')[0]}/{name}"
