"""A bank that came to its end soundly, with transfers of every fate; each test gets a copy of it to spoil."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from itertools import count
from pathlib import Path

import pytest
from apps.running import App, until
from integration.bank.banks import NAME, SEED, TRANSFERS, Bank, connected

from uno_workflows.devstack.postgres import PostgresServer
from workers.bank import tables
from workers.bank.checker import check
from workers.bank.writer import arguments, write

_numbers = count(1)


@pytest.fixture(scope="session")
async def sound(
    run_app: Callable[..., AbstractAsyncContextManager[App]],
    postgres: PostgresServer,
    template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Bank:
    """The original: nobody is connected to it any more."""
    ledgers = tmp_path_factory.mktemp("ledgers")
    dsn = await _copy(postgres, template, "bank_sound")
    await tables.create(dsn)
    during: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNO_DATABASE_URL", dsn)
        async with run_app(["workers.bank"], database=dsn):
            done = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                group.create_task(_look(dsn, ledgers, during, done))
                await write(arguments(_line(ledgers, transfers=TRANSFERS)), asyncio.Event())
                await until(lambda: _is_settled(dsn, ledgers))
                done.set()
    return Bank(dsn, ledgers, tuple(during))


@pytest.fixture(scope="module")
async def copy(sound: Bank, postgres: PostgresServer) -> AsyncIterator[Bank]:
    """A copy that is only spoilt in transactions that roll back."""
    async for made in _bank(sound, postgres, sound.ledgers):
        yield made


@pytest.fixture
async def bank(sound: Bank, postgres: PostgresServer, tmp_path: Path) -> AsyncIterator[Bank]:
    """A copy of the test's own, to be spoilt."""
    async for made in _bank(sound, postgres, Path(shutil.copytree(sound.ledgers, tmp_path / "ledgers"))):
        yield made


@pytest.fixture
async def empty_bank(database: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bank:
    """One that opens today."""
    await tables.create(database)
    monkeypatch.setenv("UNO_DATABASE_URL", database)
    return Bank(database, tmp_path)


def _line(ledgers: Path, *, transfers: int) -> list[str]:
    file = str(ledgers / "a.jsonl")
    return ["--ledger", file, "--seed", str(SEED), "--name", NAME, "--transfers", str(transfers), "--customers", "8"]


async def _look(dsn: str, ledgers: Path, found: list[str], done: asyncio.Event) -> None:
    while not done.is_set():
        found += map(str, await check(dsn, ledgers=ledgers, settled=False))
        await asyncio.sleep(0.3)


async def _is_settled(dsn: str, ledgers: Path) -> bool:
    return not [each for each in await check(dsn, ledgers=ledgers, settled=True) if each.invariant == "I19"]


async def _bank(sound: Bank, postgres: PostgresServer, ledgers: Path) -> AsyncIterator[Bank]:
    name = f"bank_{next(_numbers)}"
    yield Bank(await _copy(postgres, sound.dsn.rpartition("/")[2], name), ledgers)
    async with connected(postgres.dsn) as connection:
        await connection.execute(f"drop database {name} with (force)")


async def _copy(postgres: PostgresServer, source: str, name: str) -> str:
    async with connected(postgres.dsn) as connection:
        await connection.execute(f"create database {name} template {source} strategy file_copy")
    return f"{postgres.dsn.rpartition('/')[0]}/{name}"
