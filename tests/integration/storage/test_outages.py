"""The server goes away and comes back."""

from __future__ import annotations

import asyncio

import pytest
from patience import LIMIT

from uno_workflows.devstack.postgres import PostgresServer
from uno_workflows.events.encoding import to_new_events
from uno_workflows.events.errors import ConfigurationError, StoreContended, StoreUnavailable
from uno_workflows.storage.migrations import migrate
from uno_workflows.storage.settings import StoreSettings
from uno_workflows.storage.store import PostgresStore


@pytest.fixture
async def mortal(tmp_path):
    """A server of this test's own, to be killed."""
    async with PostgresServer(tmp_path / "mortal", disposable=True) as server:
        await migrate(server.dsn)
        yield server


async def test_the_store_outlives_a_crash_of_the_server(mortal, write):
    """Appends wait out the restart, the tail connects again, transactions find living connections."""
    async with PostgresStore.open(mortal.dsn, encode=to_new_events) as store, store.tail() as tail:
        await store.events.append([write("order-1")])
        assert await tail.wait_beyond(0, seconds=LIMIT) == 1
        async with store.subscriptions.transaction() as tx:
            await tx.execute("select 1")
        await mortal.kill()
        waiting = asyncio.create_task(tail.wait_beyond(1, seconds=LIMIT))
        appending = asyncio.create_task(store.events.append([write("order-1")]))
        await mortal.start()
        assert (await appending)[0].first_version == 2
        assert await waiting > 1
        async with store.subscriptions.transaction() as tx:
            assert (await tx.execute("select count(*) from uno.events")).scalar_one() == 2
        waiting = asyncio.create_task(tail.wait_beyond(await store.events.bound(), seconds=LIMIT))
        await store.events.append([write("order-1")])
        await waiting


async def test_without_a_server_the_store_says_so(mortal, write, monkeypatch, caplog):
    monkeypatch.setattr("uno_workflows.storage.appending._PAUSES", (0.01,))
    async with PostgresStore.open(mortal.dsn, encode=to_new_events) as store:
        await mortal.kill()
        for call in (store.events.bound(), store.events.append([write("order-1")]), store.subscriptions.statuses()):
            with pytest.raises(StoreUnavailable):
                await call
        with pytest.raises(StoreUnavailable):
            await store.subscriptions.transaction().__aenter__()
        with pytest.raises(StoreUnavailable):
            await PostgresStore.open(mortal.dsn, encode=to_new_events).__aenter__()
        assert [record for record in caplog.records if record.name.startswith("asyncpg")] == []  # no stacks of the driver's
        await mortal.start()


async def test_a_wrong_url_is_explained_without_showing_the_password(postgres):
    password = postgres.dsn.split(":")[2].split("@")[0]
    wrong = [
        postgres.dsn.replace(password, "s3cret-wrong"),
        postgres.dsn.replace("/postgres", "/nowhere").replace("//postgres", "//postgres"),
        "mysql://me:s3cret-wrong@localhost/db",
        "postgresql://me:s3cret-wrong@localhost:port/db",
    ]
    for dsn in wrong:
        with pytest.raises(ConfigurationError) as caught:
            await PostgresStore.open(dsn, encode=to_new_events).__aenter__()
        assert "s3cret" not in str(caught.value)
        assert password not in str(caught.value)


async def test_both_spellings_of_a_url_are_taken(database, write):
    async with PostgresStore.open(database.replace("postgresql:", "postgresql+asyncpg:"), encode=to_new_events) as store:
        await store.events.append([write("order-1")])


async def test_nothing_is_prepared_or_set_where_a_pooler_stands_between(database, write):
    settings = StoreSettings(statement_cache_size=0, listen_dsn=database)
    async with PostgresStore.open(database, encode=to_new_events, settings=settings) as store, store.tail() as tail:
        waiting = asyncio.create_task(tail.wait_beyond(0, seconds=LIMIT))
        await store.events.append([write("order-1")])
        assert await waiting == 1
        async with store.subscriptions.transaction() as tx:
            assert (await tx.execute("show lock_timeout")).scalar_one() == "5s"
        async with store.database.connection() as connection:
            assert await connection.fetchval("show lock_timeout") == "0"


async def test_a_stream_that_stays_busy_is_told_from_an_outage(database, write, connect, monkeypatch):
    monkeypatch.setattr("uno_workflows.storage.appending._PAUSES", (0.01,))
    holder = await connect()
    async with PostgresStore.open(database, encode=to_new_events, settings=StoreSettings(lock_timeout=0.05)) as store:
        async with holder.transaction():
            await store.events.append([write("order-1")], tx=holder)
            with pytest.raises(StoreContended, match="lock time-out"):
                await store.events.append([write("order-1")])
        assert (await store.events.append([write("order-1")]))[0].first_version == 2


async def test_an_application_error_inside_a_transaction_passes_as_it_is(store):
    with pytest.raises(FileNotFoundError):
        async with store.subscriptions.transaction():
            raise FileNotFoundError("a user's own file")
