"""Postgres is there and refuses for a while: a password is changed, a database is closed for maintenance."""

from __future__ import annotations

import asyncio
import logging

import asyncpg
import pytest
from patience import LIMIT

from uno_workflows.events.encoding import to_new_events
from uno_workflows.events.errors import ConfigurationError, StoreRefused, StoreUnavailable, UnoError
from uno_workflows.storage.settings import StoreSettings
from uno_workflows.storage.store import PostgresStore

OFTEN = StoreSettings(poll=0.05)
TOLD = ("part='tail of the log'", "part=listener", "notification_lost")


@pytest.fixture
async def operator(postgres):
    """A connection to another database of the server."""
    made = await asyncpg.connect(postgres.dsn)
    yield made
    await made.close()


@pytest.fixture
def told(caplog, until):
    """Waits until each of the background tasks has met the refusal."""
    caplog.set_level(logging.DEBUG, logger="uno_workflows")

    async def wait():
        await until(lambda: all(any(part in line for line in caplog.messages) for part in TOLD))

    return wait


async def disconnect(operator, column: str, name: str) -> None:
    await operator.execute(f"select pg_terminate_backend(pid, 5000) from pg_stat_activity where {column} = $1", name)


async def refused(store) -> None:
    """Every kind of connection says that it may pass."""
    with pytest.raises(StoreUnavailable):
        await store.events.bound()
    with pytest.raises(StoreUnavailable):
        await store.transaction().__aenter__()


async def works_again(store, tail, write) -> None:
    last = await store.events.bound()
    waiting = asyncio.create_task(tail.wait_beyond(last, seconds=LIMIT))
    await store.events.append([write("order-1")])
    assert await waiting > last
    async with store.transaction() as tx:
        await tx.execute("select 1")


async def test_a_password_that_is_changed_is_an_outage(database, operator, write, told):
    await operator.execute("create role rotated login superuser password 'first'")
    host = database.partition("@")[2]
    try:
        async with (
            PostgresStore.open(f"postgresql://rotated:first@{host}", encode=to_new_events, settings=OFTEN) as store,
            store.tail() as tail,
        ):
            await works_again(store, tail, write)
            await operator.execute("alter role rotated password 'second'")
            await disconnect(operator, "usename", "rotated")
            with pytest.raises(StoreUnavailable, match=r"password.*check user and password"):
                await store.events.bound()
            await refused(store)
            store._committed()  # wakes the notifier
            await told()
            with pytest.raises(ConfigurationError, match="check user and password"):
                await PostgresStore.open(f"postgresql://rotated:first@{host}", encode=to_new_events).__aenter__()
            await operator.execute("alter role rotated password 'first'")
            await works_again(store, tail, write)
    finally:
        await operator.execute("drop role rotated")


async def test_a_database_that_is_closed_for_a_while_is_an_outage(database, operator, write, told):
    name = database.rpartition("/")[2]
    async with PostgresStore.open(database, encode=to_new_events, settings=OFTEN) as store, store.tail() as tail:
        await works_again(store, tail, write)
        await operator.execute(f"alter database {name} allow_connections false")
        await disconnect(operator, "datname", name)
        await refused(store)
        store._committed()
        await told()
        await operator.execute(f"alter database {name} allow_connections true")
        await works_again(store, tail, write)


async def test_a_table_that_is_away_for_a_while_is_an_outage(store, write, operator, connect):
    await (await connect()).execute("alter table uno.events rename to elsewhere")
    with pytest.raises(StoreUnavailable, match=r"lost what it had.*does not exist"):
        _ = [event async for event in store.events.read_stream("", "order-1")]
    await (await connect()).execute("alter table uno.elsewhere rename to events")
    assert [event async for event in store.events.read_stream("", "order-1")] == []


@pytest.fixture
async def tenant_url(database, connect):
    """The database for a role that has every grant, and obeys row security."""
    owner = await connect()
    await owner.execute("create role tenant login password 'p'; grant all on schema uno to tenant")
    await owner.execute("grant all on all tables in schema uno to tenant; grant all on all sequences in schema uno to tenant")
    yield f"postgresql://tenant:p@{database.partition('@')[2]}"
    await owner.execute("drop owned by tenant; drop role tenant")


async def test_events_that_row_security_hides_are_never_passed_as_if_there_were_none(tenant_url, write, connect):
    owner = await connect()
    async with PostgresStore.open(tenant_url, encode=to_new_events) as store:
        await store.events.append([write("order-1")])
        await owner.execute("alter table uno.events enable row level security")
        with pytest.raises(StoreRefused, match="row-level security policy"):
            _ = [event async for event in store.events.read_all()]
    with pytest.raises(ConfigurationError, match=r"row security of events in schema 'uno' hides events"):
        await PostgresStore.open(tenant_url, encode=to_new_events).__aenter__()
    await owner.execute("alter table uno.events disable row level security")


TRIGGER = """
create function uno.guard() returns trigger language plpgsql as $$begin raise exception 'not today'; end$$;
create trigger guard before insert on uno.events for each row execute function uno.guard()"""


@pytest.mark.parametrize(
    ("rule", "reason"),
    [(TRIGGER, "P0001: not today"), ("alter table uno.events add constraint mine check (type = '')", '23514: .* "mine"')],
)
async def test_an_append_that_a_rule_of_the_user_refuses_is_told_so_without_its_values(
    store, write, event, connect, rule, reason
):
    owner = await connect()
    await owner.execute(rule)
    told = f"refuses an append to stream order-1 with {reason}; does a trigger or a constraint of your own"
    secret = write("order-1", [event(payload=b"CANARY")])
    with pytest.raises(StoreRefused, match=f"{told}.*; nothing was stored$") as caught:
        await store.events.append([secret])
    assert b"CANARY".hex() not in str(caught.value)
    with pytest.raises(StoreRefused, match=told):
        async with owner.transaction():
            await store.events.append([secret], tx=owner)


@pytest.mark.parametrize("broken", ["tail", "listener"])
async def test_who_waits_for_a_tail_that_died_is_told(store, write, monkeypatch, broken):
    async def mistake(*_, **__):
        raise KeyError("a bug")

    async with store.tail() as healthy:
        assert await healthy.wait_beyond(0, seconds=0.01) == 0

    async def waits():
        async with store.tail() as tail:
            if broken == "tail":
                monkeypatch.setattr(store.database, "fetch_row", mistake)
                tail.wake()
            await tail.wait_beyond(0, seconds=LIMIT)

    if broken == "listener":
        monkeypatch.setattr("uno_workflows.storage.tail.connect", mistake)
    with pytest.raises(UnoError, match=r"no longer watched.*a bug") as caught:
        async with asyncio.timeout(LIMIT):
            await waits()
    assert isinstance(caught.value.__cause__, KeyError)
