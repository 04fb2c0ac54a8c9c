"""The fence against everything a writer may do, with the server killed under it; and proof that the checker would notice.

The reader moves its checkpoint to the *bound*, not to the last row it saw, so one wrong bound loses an event for good.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import suppress
from uuid import uuid4

import asyncpg
import pytest
from patience import LIMIT

from uno_workflows.devstack.postgres import PostgresServer
from uno_workflows.events.ids import new_event_id
from uno_workflows.storage.migrations import migrate

WRITERS = 8
APPEND = """select positions from uno.append(
  '', $1, $2, 1::smallint, 'c', $3::uuid[], $4::text[], $5::smallint[], $6::bytea[], $6::bytea[])"""
COLUMNS = "version, event_id, schema_version, bucket, tenant, stream_id, type, correlation_id, payload, metadata"
INSERT = f"""insert into uno.events ({COLUMNS})
values (1, $2, 1, 1, '', $1, 'T', 'c', '', '') returning position"""
LOST = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


@pytest.fixture
async def mortal(tmp_path):
    """A server of this test's own, to be killed."""
    async with PostgresServer(tmp_path / "mortal", disposable=True) as server:
        await migrate(server.dsn)
        yield server


async def connect(server: PostgresServer) -> asyncpg.Connection:
    while True:
        try:
            return await asyncpg.connect(server.dsn, timeout=5)
        except LOST:
            await asyncio.sleep(0.02)


class Attack:
    """Writers that do one odd thing after another, a reader, and what each of them knows."""

    def __init__(self, server: PostgresServer, seed: int) -> None:
        self.server, self.seed = server, seed
        self.acknowledged: set[int] = set()
        self.seen: Counter[int] = Counter()
        self.over = asyncio.Event()
        self.settled = asyncio.Event()

    async def append(self, connection, stream: str, expected: int = -2, count: int = 1) -> list[int]:
        ids, empty = [new_event_id() for _ in range(count)], [b""] * count
        return await connection.fetchval(APPEND, stream, expected, ids, ["T"] * count, [1] * count, empty)

    async def writer(self, number: int) -> None:
        dice, connection = random.Random(self.seed * 100 + number), await connect(self.server)
        ways = [
            self.one,
            self.hot,
            self.many,
            self.undone,
            self.raw,
            self.copied,
            self.aborted,
            self.prepared,
            self.reset,
            self.killed,
        ]
        while not self.over.is_set():
            try:
                self.acknowledged.update(await dice.choice(ways)(connection, dice, uuid4().hex))
            except LOST:
                connection.terminate()
                connection = await connect(self.server)
        connection.terminate()

    async def one(self, connection, dice, stream):
        return await self.append(connection, stream, 0, dice.randint(1, 20))

    async def hot(self, connection, dice, stream):
        return await self.append(connection, f"hot-{dice.randrange(3)}", -2, 2)

    async def many(self, connection, dice, stream):
        async with connection.transaction():
            made = []
            for _ in range(dice.randint(2, 6)):
                made += await self.append(connection, stream)
                await asyncio.sleep(dice.random() * 0.004)
        return made

    async def undone(self, connection, dice, stream):
        """The first append of a transaction inside a savepoint that is rolled back."""
        async with connection.transaction():
            with suppress(KeyError):
                async with connection.transaction():
                    await self.append(connection, stream, 0, 2)
                    raise KeyError
            await asyncio.sleep(dice.random() * 0.01)
            made = await self.append(connection, stream)
            with suppress(KeyError):
                async with connection.transaction():
                    await self.append(connection, stream)
                    raise KeyError
            await asyncio.sleep(dice.random() * 0.01)
            return made + await self.append(connection, stream)

    async def raw(self, connection, dice, stream):
        async with connection.transaction():
            made = [await connection.fetchval(INSERT, stream, new_event_id())]
            await asyncio.sleep(dice.random() * 0.02)
        return made

    async def copied(self, connection, dice, stream):
        rows = [(n, new_event_id(), 1, 1, "", stream, "T", "c", b"", b"") for n in range(1, 6)]
        async with connection.transaction():
            await connection.copy_records_to_table("events", schema_name="uno", columns=COLUMNS.split(", "), records=rows)
            await asyncio.sleep(dice.random() * 0.01)
        return []

    async def aborted(self, connection, dice, stream):
        with suppress(KeyError):
            async with connection.transaction():
                await self.append(connection, stream, 0, 3)
                await asyncio.sleep(dice.random() * 0.01)
                raise KeyError
        return []

    async def prepared(self, connection, dice, stream):
        await connection.execute("begin")
        made = await self.append(connection, stream)
        await connection.execute(f"prepare transaction '{stream}'")
        await asyncio.sleep(dice.random() * 0.02)
        await connection.execute(f"commit prepared '{stream}'")
        return made

    async def reset(self, connection, dice, stream):
        """The transaction-local setting is wiped, the locks are not."""
        async with connection.transaction():
            made = await self.append(connection, stream)
            await connection.execute("reset all")
            await asyncio.sleep(dice.random() * 0.005)
            return made + await self.append(connection, stream)

    async def killed(self, connection, dice, stream):
        async with connection.transaction():
            await self.append(connection, stream)
            await connection.execute("select pg_terminate_backend(pg_backend_pid())")
        return []

    async def reader(self) -> None:
        connection, checkpoint = await connect(self.server), 0
        while True:
            try:
                last = self.settled.is_set()  # before the bound is read: nobody appends any more
                bound = await connection.fetchval("select bound from uno.frontier_from($1)", checkpoint)
                upto = min(bound, checkpoint + 200)
                rows = await connection.fetch(
                    "select position from uno.events where position > $1 and position <= $2", checkpoint, upto
                )
                self.seen.update(row[0] for row in rows)
                if last and bound <= checkpoint:
                    connection.terminate()
                    return
                checkpoint = max(checkpoint, upto)
                await asyncio.sleep(0.0005)
            except LOST:
                connection.terminate()
                connection = await connect(self.server)

    async def run(self, *, seconds: float, kills: int = 0) -> None:
        reader = asyncio.create_task(self.reader())
        async with asyncio.TaskGroup() as group:
            for number in range(WRITERS):
                group.create_task(self.writer(number))
            for _ in range(kills):
                await asyncio.sleep(seconds / (kills + 1))
                await self.server.kill()
                await self.server.start()
            await asyncio.sleep(seconds / (kills + 1))
            self.over.set()
        connection = await connect(self.server)
        for (gid,) in await connection.fetch("select gid from pg_prepared_xacts"):
            await connection.execute(f"rollback prepared '{gid}'")
        self.settled.set()
        await asyncio.wait_for(reader, LIMIT)
        self.stored = {row[0] for row in await connection.fetch("select position from uno.events")}
        await connection.close()


@pytest.mark.parametrize("seed", [1, 2])
async def test_no_event_is_ever_passed_whatever_writers_do_and_however_often_the_server_dies(mortal, seed):
    attack = Attack(mortal, seed)
    await attack.run(seconds=4, kills=2)
    assert len(attack.stored) > 200
    assert attack.acknowledged <= attack.stored
    assert set(attack.seen) == attack.stored
    assert set(attack.seen.values()) == {1}


async def test_the_same_checker_finds_missed_events_when_the_fence_is_down(mortal):
    connection = await connect(mortal)
    await connection.execute("alter table uno.events disable trigger fence")
    await connection.close()
    attack = Attack(mortal, seed=3)
    await attack.run(seconds=2)
    assert attack.stored - set(attack.seen)
