"""A bank in a test: its database and its ledgers, and how to spoil them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from workers.bank.checker.snapshot import Snapshot, gather, read_ledgers, take
from workers.bank.fates import Fate, fate_of

NAME, SEED, TRANSFERS = "a", 19, 24
"""Draw every fate."""
UNGUARDED = "alter table uno.events disable trigger all"


def of(fate: Fate) -> str:
    """The first transfer of a fate."""
    return next(each for n in range(1, TRANSFERS + 1) if fate_of(each := f"{NAME}-{SEED}-{n}") is fate)


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the test's own."""
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


@dataclass(frozen=True)
class Bank:
    """A bank's database and the ledger of its one writer."""

    dsn: str
    ledgers: Path
    during: tuple[str, ...] = ()
    """What was found while it was at work."""

    async def sql(self, *statements: str) -> None:
        """Spoil it for good, as whoever may do everything can."""
        async with connected(self.dsn) as connection:
            await connection.execute(UNGUARDED)
            for statement in statements:
                await connection.execute(statement)

    async def spoilt(self, statement: str) -> Snapshot:
        """What would be seen, had somebody done this."""
        async with connected(self.dsn) as connection:
            head = await connection.fetchval("select last_value from uno.position_seq")
            spoiling = connection.transaction()
            await spoiling.start()
            try:
                await connection.execute(UNGUARDED)
                await connection.execute(statement)
                return await gather(connection, self.ledgers, told=read_ledgers(self.ledgers))
            finally:
                await spoiling.rollback()
                await connection.execute(f"select setval('uno.position_seq', {head})")  # no transaction takes that back

    async def seen(self) -> Snapshot:
        return await take(self.dsn, self.ledgers)

    def lines(self) -> list[dict[str, Any]]:
        """The writer's ledger."""
        return [json.loads(line) for line in self._file.read_text().splitlines()]

    def rewrite(self, lines: list[dict[str, Any]]) -> None:
        """Replace the writer's ledger."""
        self._file.write_text("".join(json.dumps(line) + "\n" for line in lines))

    @property
    def _file(self) -> Path:
        return self.ledgers / "a.jsonl"
