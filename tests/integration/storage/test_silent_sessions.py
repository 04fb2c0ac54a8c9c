"""A client that stops in the middle of a statement: asyncpg's first execution of one is two messages (ADR 0021)."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial

import asyncpg
import pytest

from uno_workflows.events.encoding import to_new_events
from uno_workflows.events.errors import StoreUnavailable
from uno_workflows.observability.outages import Outages
from uno_workflows.storage import silent
from uno_workflows.storage.settings import StoreSettings
from uno_workflows.storage.silent import SilentSessions
from uno_workflows.storage.store import PostgresStore

OURS = StoreSettings(application_name="uno of this test", silent_timeout=0.2)
PREPARE = "select 'stopped here'"


async def is_silent(watcher, *, pid=None, state="active"):
    """Whether a client has been silent for longer than is borne."""
    sessions = "select from pg_stat_activity where state = $1 and wait_event = 'ClientRead' and ($2::int is null or pid = $2)"
    return await watcher.fetch(f"{sessions} and state_change < now() - interval '0.3 s' and pid <> pg_backend_pid()", state, pid)


async def stop_in_a_statement(tx):
    """What a process has done that is frozen between the two messages."""
    driver = (await tx.connection.get_raw_connection()).driver_connection
    await driver.prepare(PREPARE)
    return driver.get_server_pid()


async def test_readers_go_on_when_a_client_stops_in_the_middle_of_a_statement(database, write, connect, until, store):
    """What it appended is undone; a limit on idle transactions, which is as short here, does not see it."""
    watcher = await connect()

    async def freezes(frozen):
        async with frozen.transaction() as tx:
            await tx.execute("set local idle_in_transaction_session_timeout = '200ms'")
            await frozen.events.append([write("order-1")], tx=tx)
            pid = await stop_in_a_statement(tx)
            await store.events.append([write("order-2")])
            await until(lambda: is_silent(watcher, pid=pid))
            assert await store.events.bound() == 0
            looks = SilentSessions(frozen.database)
            assert [await looks.end() for _ in range(2)] == [0, 1]
            await until(store.events.bound)

    async with PostgresStore.open(database, encode=to_new_events, settings=OURS) as frozen:
        with pytest.raises(StoreUnavailable):
            await freezes(frozen)
    assert [event.stream_id async for event in store.events.read_all()] == ["order-2"]


async def test_only_our_own_sessions_that_stopped_in_a_statement_are_ended(database, connect, until):
    """Not one that thinks in a transaction, within its limit; not a slow copy, a stranger's, a busy one; and none too soon."""
    watcher, copying = await connect(), asyncio.Event()

    async def lines():
        await copying.wait()
        yield b"1\n"

    async with AsyncExitStack() as stack:

        async def one_of_ours():
            connection = await asyncpg.connect(database, server_settings={"application_name": OURS.application_name})
            stack.callback(connection.terminate)
            return connection

        thinks, copies, busy, fresh, stranger = *[await one_of_ours() for _ in range(4)], await connect()
        await stranger.prepare(PREPARE)
        await thinks.execute("begin; create temp table t (n int)")
        await copies.execute("create temp table t (n int)")
        copy = asyncio.create_task(copies.copy_to_table("t", source=lines()))
        works = asyncio.create_task(busy.fetch("select pg_sleep(60)"))
        stack.callback(works.cancel)
        for session, state in ((stranger, "active"), (copies, "active"), (thinks, "idle in transaction")):
            await until(partial(is_silent, watcher, pid=session.get_server_pid(), state=state))
        async with PostgresStore.open(database, encode=to_new_events, settings=replace(OURS, silent_timeout=30)) as store:
            await fresh.prepare(PREPARE)
            looks = SilentSessions(store.database)
            assert [await looks.end() for _ in range(2)] == [0, 0]
        async with PostgresStore.open(database, encode=to_new_events, settings=OURS) as store:
            await until(partial(is_silent, watcher, pid=fresh.get_server_pid()))
            looks = SilentSessions(store.database)
            assert await looks.end() == 0
            assert await fresh.fetchval(PREPARE) == "stopped here"  # it only was slow
            await fresh.prepare("select 'and stopped again'")
            await until(partial(is_silent, watcher, pid=fresh.get_server_pid()))
            assert [await looks.end() for _ in range(2)] == [0, 1]
        copying.set()
        assert await copy == "COPY 1"
        assert await thinks.fetchval("select count(*) from t") == 0
        assert await stranger.fetchval("select 1") == 1
        assert not works.done()
        await until(fresh.is_closed)


async def test_whatever_postgres_says_it_looks_again(database, until, monkeypatch):
    """A worker does not end because of it."""
    monkeypatch.setattr(silent, "LOOK_SECONDS", 0.02)
    outages = Outages()
    async with PostgresStore.open(database, encode=to_new_events) as store:
        store.database.settings = replace(OURS, silent_timeout=1e300)  # no interval is so long
        looking = asyncio.create_task(SilentSessions(store.database, outages=outages).run())
        await until(lambda: outages.any or looking.done())
        store.database.settings = OURS
        await until(lambda: looking.done() or not outages.any)
        assert not looking.done()
        looking.cancel()
        await asyncio.wait([looking])
