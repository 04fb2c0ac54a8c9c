"""Appending inside a transaction that the caller has open."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import asyncpg
import pytest
from patience import LIMIT
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from uno_workflows import Event
from uno_workflows.events.encoding import to_new_events
from uno_workflows.events.errors import (
    DuplicateEventId,
    InvalidArgument,
    NotInTransaction,
    StoreContended,
    StoreRefused,
    StreamClosed,
    TransactionFailed,
    WrongExpectedVersion,
)
from uno_workflows.events.names import NO_STREAM
from uno_workflows.storage.settings import StoreSettings
from uno_workflows.storage.store import PostgresStore
from uno_workflows.storage.tail import PostgresTail


class Happened(Event):
    n: int


KINDS = ["asyncpg", "asyncpg pool", "session", "connection", "own"]


@pytest.fixture
async def engine(database):
    made = create_async_engine(database.replace("postgresql://", "postgresql+asyncpg://"))
    yield made
    await made.dispose()


class Lent:
    """A transaction of some kind, with one way to run SQL and to end it."""

    def __init__(self, tx, execute, rollback, commit):
        self.tx, self.execute, self.rollback, self.commit = tx, execute, rollback, commit


@pytest.fixture
def lend(database, engine, store):
    @asynccontextmanager
    async def opened(kind, store=store):
        if kind == "asyncpg":
            connection = await asyncpg.connect(database)
            transaction = connection.transaction()
            await transaction.start()
            yield Lent(connection, connection.execute, transaction.rollback, transaction.commit)
            await connection.close()
        elif kind == "asyncpg pool":
            async with asyncpg.create_pool(database, min_size=1, max_size=1) as pool, pool.acquire() as proxy:
                transaction = proxy.transaction()
                await transaction.start()
                yield Lent(proxy, proxy.execute, transaction.rollback, transaction.commit)
        elif kind == "session":
            async with AsyncSession(engine) as session:
                await session.begin()
                yield Lent(session, lambda sql: session.execute(text(sql)), session.rollback, session.commit)
        elif kind == "connection":
            async with engine.connect() as connection:
                await connection.begin()
                yield Lent(connection, lambda sql: connection.execute(text(sql)), connection.rollback, connection.commit)
        else:
            async with store.subscriptions.transaction() as tx:
                yield Lent(tx, tx.execute, tx.connection.rollback, tx.connection.commit)

    return opened


async def types(store):
    return [(event.stream_id, event.version) async for event in store.events.read_all()]


@pytest.mark.parametrize("kind", KINDS)
async def test_events_are_gone_with_a_callers_rollback(store, write, lend, kind):
    """Scenario 11."""
    async with lend(kind) as lent:
        await store.events.append([write("order-1", 2), write("order-2")], tx=lent.tx)
        await lent.rollback()
    assert await types(store) == []


@pytest.mark.parametrize("kind", KINDS)
async def test_events_and_the_callers_rows_commit_together(store, write, lend, connect, kind):
    await (await connect()).execute("create table mine (id int)")
    async with lend(kind) as lent:
        await lent.execute("insert into mine values (1)")
        await store.events.append([write("order-1", 2), write("order-2")], tx=lent.tx)
        assert await types(store) == []
        await lent.commit()
    assert await types(store) == [("order-1", 1), ("order-1", 2), ("order-2", 1)]
    assert await (await connect()).fetchval("select count(*) from mine") == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_a_conflict_leaves_the_callers_transaction_usable(store, write, event, lend, connect, kind):
    known = event()
    await store.events.append([write("order-1", [known])])
    await store.events.append([write("closed-1")])
    await (await connect()).execute("update uno.streams set closed_at = now() where stream_id = 'closed-1'")
    async with lend(kind) as lent:
        with pytest.raises(WrongExpectedVersion):
            await store.events.append([write("order-1", expected=NO_STREAM)], tx=lent.tx)
        with pytest.raises(DuplicateEventId):
            await store.events.append([write("order-2", [known])], tx=lent.tx)
        with pytest.raises(StreamClosed):
            await store.events.append([write("closed-1")], tx=lent.tx)
        with pytest.raises(WrongExpectedVersion):
            await store.events.append([write("order-0"), write("order-1", expected=7)], tx=lent.tx)
        await store.events.append([write("order-1", expected=1)], tx=lent.tx)
        await lent.commit()
    assert await types(store) == [("order-1", 1), ("closed-1", 1), ("order-1", 2)]


async def test_appends_of_one_transaction_see_each_other(store, write, lend):
    async with lend("session") as lent:
        await store.events.append([write("order-1", expected=NO_STREAM)], tx=lent.tx)
        batch = write("order-1", 2, expected=1)
        first = await store.events.append([batch], tx=lent.tx)
        again = await store.events.append([batch], tx=lent.tx)
        await lent.commit()
    assert again[0].replayed
    assert first[0].positions == again[0].positions


async def test_a_connection_outside_of_a_transaction_is_refused(store, database, write, connect, engine):
    async with asyncpg.create_pool(database, min_size=1, max_size=1) as pool, pool.acquire() as released:
        pass
    with pytest.raises(NotInTransaction, match="outside"):
        await store.events.append([write("order-1")], tx=await connect())
    async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        with pytest.raises(NotInTransaction, match="AUTOCOMMIT"):
            await store.events.append([write("order-1")], tx=connection)
    async with AsyncSession(engine) as session:
        with pytest.raises(NotInTransaction, match="AsyncSession that has not begun"):
            await store.events.append([write("order-1")], tx=session)
        await session.execute(text("select 1"))  # now it has
        await store.events.append([write("order-1")], tx=session)
    async with engine.connect() as connection:
        with pytest.raises(NotInTransaction, match="AsyncConnection that has not begun"):
            await store.events.append([write("order-1")], tx=connection)
    for closed in (connection, released):
        with pytest.raises(NotInTransaction):
            await store.events.append([write("order-1")], tx=closed)
    with pytest.raises(NotInTransaction, match="int"):
        await store.events.append([write("order-1")], tx=42)
    assert await types(store) == []


async def test_a_transaction_of_another_database_is_refused_by_name(store, write, postgres):
    connection = await asyncpg.connect(postgres.dsn)
    transaction = connection.transaction()
    await transaction.start()
    with pytest.raises(StoreRefused, match="a transaction of the store's own database"):
        await store.events.append([write("order-1")], tx=connection)
    await transaction.rollback()
    await connection.close()


async def test_a_transaction_that_has_failed_is_refused_with_a_reason(store, write, connect):
    connection = await connect()
    transaction = connection.transaction()
    await transaction.start()
    with pytest.raises(asyncpg.UndefinedTableError):
        await connection.execute("select * from nowhere")
    with pytest.raises(TransactionFailed, match="savepoint"):
        await store.events.append([write("order-1")], tx=connection)
    await transaction.rollback()


@pytest.mark.parametrize("isolation", ["repeatable_read", "serializable"])
async def test_append_works_in_stricter_isolation_or_says_it_was_overtaken(store, write, connect, isolation):
    """The fence's writer is right in every isolation; Postgres refuses whoever would write on an old snapshot."""
    connection = await connect()
    async with connection.transaction(isolation=isolation):
        await store.events.append([write("order-1", 2, expected=NO_STREAM)], tx=connection)
    transaction = connection.transaction(isolation=isolation)
    await transaction.start()
    await connection.fetchval("select 1")
    await connection.fetchval("select count(*) from uno.events")
    await store.events.append([write("order-1", expected=2)])
    with pytest.raises(StoreContended):
        await store.events.append([write("order-1", expected=2)], tx=connection)
    await transaction.rollback()
    assert await types(store) == [("order-1", 1), ("order-1", 2), ("order-1", 3)]


@pytest.mark.parametrize("kind", KINDS)
async def test_readers_wake_after_the_commit_of_a_callers_transaction(database, write, lend, kind):
    """Readers of this process and of others, long before their next look."""
    never = StoreSettings(poll=60)
    async with (
        PostgresStore.open(database, encode=to_new_events, settings=never) as store,
        PostgresStore.open(database, encode=to_new_events, settings=never) as elsewhere,
        store.tail() as tail,
        elsewhere.tail() as other,
    ):
        async with lend(kind, store) as lent:
            await store.events.append([write("order-1")], tx=lent.tx)
            await store.events.append([write("order-1")], tx=lent.tx)
            waiting = [asyncio.create_task(_reaches(2, one)) for one in (tail, other)]
            await asyncio.sleep(0)
            await lent.commit()
        assert [await one for one in waiting] == [2, 2]


async def _reaches(position: int, tail: PostgresTail) -> int:
    """The bound, once it is there. A look that began between two appends of one transaction may find the first position alone."""
    at, before = 0, -1
    while before < at < position:
        before, at = at, await tail.wait_beyond(at, seconds=LIMIT)
    return at


async def test_each_commit_of_a_connection_wakes_and_a_rollback_leaves_nothing_behind(database, write, connect):
    async with PostgresStore.open(database, encode=to_new_events, settings=StoreSettings(poll=60)) as store, store.tail() as tail:
        connection = await connect()
        rolled_back = connection.transaction()
        await rolled_back.start()
        await store.events.append([write("order-1")], tx=connection)
        await rolled_back.rollback()
        await asyncio.sleep(0)
        assert connection._query_loggers == set()
        for _ in range(2):
            async with connection.transaction():
                await store.events.append([write("order-1")], tx=connection)
                async with connection.transaction():  # a savepoint ends, the transaction does not
                    await connection.execute("select 1")
                assert len(connection._query_loggers) == 1
                before = await store.events.bound()
            assert await tail.wait_beyond(before, seconds=LIMIT) > before


async def test_a_transaction_of_ours_that_has_ended_takes_no_events(store):
    async with store.transaction() as tx:
        pass
    with pytest.raises(NotInTransaction, match="has ended"):
        await tx.append("order-1", Happened(n=1))
    assert await types(store) == []


async def test_a_cancelled_transaction_of_ours_is_rolled_back(store, write):
    entered = asyncio.Event()

    async def work() -> None:
        async with store.subscriptions.transaction() as tx:
            await store.events.append([write("order-1")], tx=tx)
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await store.events.append([write("order-1", expected=NO_STREAM)]))[0].first_version == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_append_to_streams_after_a_swallowed_error_says_what_happened(store, lend, write, kind):
    async with lend(kind) as lent:
        with pytest.raises((DBAPIError, asyncpg.PostgresError)):
            await lent.execute("select 1/0")
        with pytest.raises(TransactionFailed, match="savepoint"):
            await store.events.append([write("order-1"), write("order-2")], tx=lent.tx)
        await lent.rollback()


async def test_append_in_a_session_whose_flush_failed_says_what_happened(store, engine, write):
    class Base(DeclarativeBase):
        pass

    class Stock(Base):
        __tablename__ = "stock"
        n: Mapped[int] = mapped_column(primary_key=True)

    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        await connection.execute(text("insert into stock values (1)"))
    async with AsyncSession(engine) as session:
        await session.begin()
        session.add(Stock(n=1))
        with pytest.raises(DBAPIError):
            await session.flush()
        with pytest.raises(TransactionFailed, match="savepoint"):
            await store.events.append([write("order-1")], tx=session)


@pytest.mark.parametrize("kind", ["asyncpg", "asyncpg pool"])
async def test_append_in_a_transaction_that_another_task_is_using_names_the_argument(store, lend, write, kind):
    async with lend(kind) as lent:
        other = asyncio.create_task(lent.execute("select pg_sleep(60)"))
        await asyncio.sleep(0)
        for writes in ([write("order-1")], [write("order-1"), write("order-2")]):
            with pytest.raises(InvalidArgument, match="tx: another task is using this transaction"):
                await store.events.append(writes, tx=lent.tx)
        other.cancel()
        await asyncio.wait([other])
