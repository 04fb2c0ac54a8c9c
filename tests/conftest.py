"""Fixtures that need servers. They are made when a test first asks for them; unit tests never do."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import hypothesis
import pytest
from apps.running import App, forget, running

from uno_workflows import Settings
from uno_workflows.app.worker import Role
from uno_workflows.devstack import temporal as temporal_server
from uno_workflows.devstack.environment import forget_servers
from uno_workflows.devstack.postgres import PostgresServer
from uno_workflows.devstack.temporal import TemporalServer
from uno_workflows.events.encoding import to_new_events
from uno_workflows.events.limits import TEMPORAL_SQL_ID
from uno_workflows.storage.migrations import migrate
from uno_workflows.storage.store import PostgresStore

MEMORY = Path("/dev/shm")
MEMORY_NEEDED = 4 << 30  # bytes; several such servers may run side by side
_numbers = count(1)
# machines differ, and no test is about time
hypothesis.settings.register_profile("uno", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("uno")
forget_servers()  # a developer's shell may be set up for production
# a shell's background jobs ignore it, and so would every process that a test starts and then interrupts
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a process of the suite send its reports to the first one, whatever text a test has logged or printed."""
    report = yield
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.fixture(scope="session")
async def postgres(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PostgresServer]:
    """A running Postgres server, for all tests of the session; in memory if there is room, as most tests make a database."""
    inmemory = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > MEMORY_NEEDED
    folder = Path(tempfile.mkdtemp(prefix="uno-tests-", dir=MEMORY)) if inmemory else tmp_path_factory.mktemp("postgres")
    try:
        async with PostgresServer(folder, disposable=True) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
    async with PostgresStore.open(database, encode=to_new_events) as made:
        yield made


@pytest.fixture(scope="session")
async def temporal() -> AsyncIterator[TemporalServer]:
    """A running Temporal server, for all tests of the session. It takes no longer ids than one on SQL, whose columns hold 255."""
    with pytest.MonkeyPatch.context() as patch:
        as_on_sql = ("--dynamic-config-value", f"limit.maxIDLength={TEMPORAL_SQL_ID.most}")
        patch.setattr(temporal_server, "SETTINGS", (*temporal_server.SETTINGS, *as_on_sql))
        async with TemporalServer(None, headless=True) as server:
            yield server


@pytest.fixture(scope="session")
def run_app(
    postgres: PostgresServer, template: str, temporal: TemporalServer, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., AbstractAsyncContextManager[App]]:
    """Runs an app in this process, with a database, an app name and a ledger of its own.

    `async with run_app(["apps.shop"]) as app: …`; keywords are settings, and `role`, and `database` for one that is there.
    """

    @asynccontextmanager
    async def run(
        modules: Sequence[str], *, role: Role = Role.ALL, database: str | None = None, **given: Any
    ) -> AsyncIterator[App]:
        ledger = tmp_path_factory.mktemp("ledger") / "ledger"
        async with AsyncExitStack() as stack:
            url = database or await stack.enter_async_context(asynccontextmanager(_database)(postgres, template))
            settings = Settings(database_url=url, **{"app": f"app{next(_numbers)}", **given})
            patch = stack.enter_context(pytest.MonkeyPatch.context())
            patch.setenv("TEMPORAL_ADDRESS", temporal.address)
            patch.setenv("SHOP_LEDGER", str(ledger))
            yield await stack.enter_async_context(running(settings, modules, ledger, role=role))
        if database is None:
            await forget(temporal.address, f"(TaskQueue = '{settings.app}' or TaskQueue STARTS_WITH '{settings.app}.')")

    return run


def database_url(server: PostgresServer, name: str) -> str:
    """The URL of another database of a server."""
    return f"{server.dsn.rpartition('/')[0]}/{name}"


async def _database(server: PostgresServer, source: str) -> AsyncIterator[str]:
    name = f"test_{next(_numbers)}"
    async with _administration(server) as connection:
        await connection.execute(f"create database {name} template {source} strategy file_copy")
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
