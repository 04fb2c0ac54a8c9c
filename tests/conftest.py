"""Fixtures that need servers. They are made when a test first asks for them; unit tests never do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count

import asyncpg
import pytest

from uno_workflows.devstack.postgres import PostgresServer
from uno_workflows.events.encoding import to_new_event
from uno_workflows.storage.migrations import migrate
from uno_workflows.storage.store import PostgresStore

_numbers = count(1)


@pytest.fixture(scope="session")
async def postgres(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PostgresServer]:
    """A running Postgres server, for all tests of the session."""
    async with PostgresServer(tmp_path_factory.mktemp("postgres"), disposable=True) as server:
        yield server


@pytest.fixture(scope="session")
async def template(postgres: PostgresServer) -> str:
    """The name of a migrated database that others are copied from."""
    async with _administration(postgres) as connection:
        await connection.execute("create database uno_template")
    await migrate(database_url(postgres, "uno_template"))
    return "uno_template"


@pytest.fixture
async def empty_database(postgres: PostgresServer) -> AsyncIterator[str]:
    """The URL of a database with nothing in it, for one test."""
    async for url in _database(postgres, "template1"):
        yield url


@pytest.fixture
async def database(postgres: PostgresServer, template: str) -> AsyncIterator[str]:
    """The URL of a migrated database with an empty log, for one test."""
    async for url in _database(postgres, template):
        yield url


@pytest.fixture
async def store(database: str) -> AsyncIterator[PostgresStore]:
    """An open store with an empty log, for one test."""
    async with PostgresStore.open(database, encode=to_new_event) as made:
        yield made


def database_url(server: PostgresServer, name: str) -> str:
    """The URL of another database of a server."""
    return f"{server.dsn.rpartition('/')[0]}/{name}"


async def _database(server: PostgresServer, source: str) -> AsyncIterator[str]:
    name = f"test_{next(_numbers)}"
    async with _administration(server) as connection:
        await connection.execute(f"create database {name} template {source}")
    yield database_url(server, name)
    async with _administration(server) as connection:
        await connection.execute(f"drop database {name} with (force)")


class _administration:  # noqa: N801 (used as a function)
    def __init__(self, server: PostgresServer) -> None:
        self._dsn = server.dsn

    async def __aenter__(self) -> asyncpg.Connection:
        self._connection = await asyncpg.connect(self._dsn)
        return self._connection

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()
