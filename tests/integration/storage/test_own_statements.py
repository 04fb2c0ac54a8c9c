"""Statements of user code that would end a transaction of ours, or leave something in its session."""

from __future__ import annotations

import pytest
from apps.defining import define
from sqlalchemy.ext.asyncio import AsyncSession

from uno_workflows.events.calls import StepCall
from uno_workflows.events.errors import TransactionFailed
from uno_workflows.events.ids import new_event_id
from uno_workflows.events.subscriptions import Delivered
from uno_workflows.storage.own_statements import stays


async def commits(tx):
    await tx.connection.commit()


async def commits_and_catches(tx):
    try:
        await tx.connection.commit()
    except TransactionFailed:
        await tx.execute("insert into stock values (4)")


async def commits_in_sql(tx):
    await tx.execute("-- done\n commit")


async def rolls_back(tx):
    await tx.connection.rollback()


async def rolls_back_and_goes_on(tx):
    await tx.connection.rollback()
    await tx.execute("insert into stock values (3)")


async def rolls_back_a_session(tx):
    async with AsyncSession(bind=tx.connection) as session:
        await session.connection()
        await session.rollback()


async def rolls_back_in_sql(tx):
    await tx.execute("rollback")


async def rolls_back_by_the_driver(tx):
    raw = await tx.connection.get_raw_connection()
    await raw.driver_connection.execute("rollback")


ENDS = [
    commits,
    commits_and_catches,
    commits_in_sql,
    rolls_back,
    rolls_back_and_goes_on,
    rolls_back_a_session,
    rolls_back_in_sql,
    rolls_back_by_the_driver,
]


@pytest.fixture
async def stock(connect):
    """A connection to a database with a table of the user's."""
    made = await connect()
    await made.execute("create table stock (n int)")
    return made


def call() -> StepCall:
    return StepCall(
        key="Ship/1/pack#1", start_event_id=new_event_id(), stream="order-1", tenant="", correlation_id="c", causation_id="x"
    )


@pytest.mark.parametrize("end", ENDS)
async def test_a_step_that_ends_its_transaction_has_no_effect_and_may_run_again(store, stock, end):
    async def ending(tx):
        await tx.execute("insert into stock values (1)")
        await end(tx)
        return b"null"

    async def repaired(tx):
        await tx.execute("insert into stock values (2)")
        return b"null"

    with pytest.raises(TransactionFailed, match=r"your code .*end.*begin_nested"):
        await store.steps.run_once(call(), ending)
    await store.steps.run_once(call(), repaired)
    assert [row["n"] for row in await stock.fetch("select n from stock")] == [2]


@pytest.mark.parametrize("end", ENDS)
async def test_a_handler_that_ends_the_transaction_of_its_checkpoint_has_no_effect(store, stock, end):
    await define(store, "projection:A", start="beginning")
    lease = await store.subscriptions.take_over("projection:A", owner="me")

    async def fold():
        async with store.subscriptions.transaction() as tx:
            await store.subscriptions.advance(lease, 7, delivered=Delivered([]), tx=tx)
            await tx.execute("insert into stock values (1)")
            await end(tx)

    with pytest.raises(TransactionFailed, match="your code"):
        await fold()
    assert await store.subscriptions.position("projection:A") == 0
    assert await stock.fetchval("select count(*) from stock") == 0


async def test_savepoints_and_sessions_that_join_the_transaction_stay_possible(store, stock):
    async def work(tx):
        async with tx.connection.begin_nested() as savepoint:
            await tx.execute("insert into stock values (1)")
            await savepoint.rollback()
        await tx.execute("savepoint mine")
        await tx.execute("rollback to savepoint mine")
        async with AsyncSession(bind=tx.connection) as session:
            await session.connection()
            await session.commit()
        await tx.execute("insert into stock values (2)")
        return b"null"

    await store.steps.run_once(call(), work)
    assert [row["n"] for row in await stock.fetch("select n from stock")] == [2]


@pytest.mark.parametrize(
    "statement",
    [
        "set statement_timeout = '1min'",
        "set session characteristics as transaction read only",
        "select set_config('statement_timeout', '1min', false)",
        "create temp table scratch (n int)",
        "select pg_advisory_lock(7)",
        "listen news",
    ],
)
async def test_nothing_that_a_transaction_leaves_in_its_session_reaches_another(store, stock, statement):
    sessions = []
    for _ in range(12):  # more than the pool has connections
        async with store.transaction() as tx:
            sessions.append((await tx.execute("select pg_backend_pid()")).scalar())
            await tx.execute(statement)
    assert len(set(sessions)) == 12
    async with store.transaction() as tx:
        await tx.execute("insert into stock values (1)")
        assert (await tx.execute("show statement_timeout")).scalar() == "0"


@pytest.mark.parametrize(
    "statement",
    [
        "update stock set n = 1",
        "set local statement_timeout = '1s'",
        "set transaction read only",
        "select pg_advisory_xact_lock(7)",
        "insert into settings values ('set')",
        "create table temperatures (n int)",
    ],
)
def test_a_session_in_which_nothing_stays_goes_back_to_the_pool(statement):
    assert not stays(statement)
