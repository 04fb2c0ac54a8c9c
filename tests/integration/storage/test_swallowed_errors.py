"""User code that swallows the error of a statement, and with it the transaction."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError

from uno_workflows.events.base import Event
from uno_workflows.events.calls import StepCall
from uno_workflows.events.errors import StoreContended, StoreUnavailable, TransactionFailed
from uno_workflows.events.ids import new_event_id


class StockReserved(Event):
    order_id: str


@pytest.fixture
async def stock(connect):
    """A connection to a database with a table of the user's that holds the number 1."""
    made = await connect()
    await made.execute("create table stock (n int primary key); insert into stock values (1)")
    return made


@pytest.fixture(params=["program", "pump"])
def transaction(request, store):
    return store.transaction if request.param == "program" else store.subscriptions.transaction


async def run(transaction, work) -> None:
    async with transaction() as tx:
        await work(tx)


async def swallow(tx) -> None:
    with pytest.raises(IntegrityError):
        await tx.execute("insert into stock values (1)")


async def test_a_swallowed_error_is_not_taken_for_a_commit(store, stock, transaction, monkeypatch):
    woken = []
    monkeypatch.setattr(store._transactions, "_committed", lambda: woken.append(1))

    async def work(tx):
        await tx.append("stock-1", StockReserved(order_id="42"))
        await tx.execute("insert into stock values (2)")
        await swallow(tx)

    with pytest.raises(TransactionFailed, match=r"swallowed.*begin_nested") as caught:
        await run(transaction, work)
    assert not isinstance(caught.value, (StoreUnavailable, StoreContended))
    assert await stock.fetchval("select count(*) from stock") == 1
    assert [event async for event in store.events.read_all()] == []
    assert woken == []


async def test_an_append_after_a_swallowed_error_says_what_happened(store, stock, transaction):
    async def work(tx):
        await swallow(tx)
        await tx.append("stock-1", StockReserved(order_id="42"))

    with pytest.raises(TransactionFailed, match="savepoint"):
        await run(transaction, work)


async def test_a_step_that_swallows_an_error_fails_with_the_reason(store, stock):
    call = StepCall(
        key="FulfilOrder/42/reserve_stock#1",
        start_event_id=new_event_id(),
        stream="order-42",
        tenant="",
        correlation_id="conversation",
        causation_id="cause",
        principal=None,
    )

    async def work(tx):
        await swallow(tx)
        return b""

    with pytest.raises(TransactionFailed, match="savepoint"):
        await store.steps.run_once(call, work)


async def test_what_fails_in_a_savepoint_costs_nothing(store, stock, transaction):
    async with transaction() as tx:
        with pytest.raises(IntegrityError):
            async with tx.connection.begin_nested():
                await tx.execute("insert into stock values (1)")
        await tx.execute("insert into stock values (2)")
        await tx.append("stock-1", StockReserved(order_id="42"))
    assert await stock.fetchval("select count(*) from stock") == 2
    assert len([event async for event in store.events.read_all()]) == 1


async def test_a_swallowed_loss_of_the_connection_is_an_outage(store, stock, transaction):
    async def work(tx):
        pid = (await tx.execute("select pg_backend_pid()")).scalar_one()
        await stock.execute("select pg_terminate_backend($1, 5000)", pid)
        with pytest.raises(DBAPIError):
            await tx.execute("select 1")

    with pytest.raises(StoreUnavailable, match="nothing was written"):
        await run(transaction, work)


async def test_a_transaction_that_its_user_ended_is_left_alone(store, stock, transaction):
    async with transaction() as tx:
        await tx.execute("insert into stock values (2)")
        await tx.connection.commit()
    async with transaction() as tx:
        await swallow(tx)
        await tx.connection.rollback()
    assert await stock.fetchval("select count(*) from stock") == 2
