"""Scenarios 75 and 76: two migrations at once, one killed, and a migrated schema that equals a fresh one."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import asyncpg
import pytest
from patience import LIMIT

from uno_workflows.devstack.binaries import postgres_package, postgres_program
from uno_workflows.events.errors import ConfigurationError, SchemaMismatch
from uno_workflows.storage import migrations
from uno_workflows.storage.migrations import MigrationChanged, check_schema, migrate, newest_migration, sql
from uno_workflows.storage.store import PostgresStore

CATALOGUE = """
select 'column', table_name || '.' || column_name, concat(data_type, column_default, is_nullable, is_identity)
  from information_schema.columns where table_schema = $1
union all select 'index', indexname, indexdef from pg_indexes where schemaname = $1
union all select 'function', proname, pg_get_functiondef(p.oid) from pg_proc p
  where pronamespace = $1::text::regnamespace
union all select 'trigger', tgname, pg_get_triggerdef(t.oid) || tgenabled::text
  from pg_trigger t join pg_class c on c.oid = tgrelid
  where not tgisinternal and c.relnamespace = $1::text::regnamespace
union all select 'constraint', conname, pg_get_constraintdef(oid) from pg_constraint
  where connamespace = $1::text::regnamespace
union all select 'view', viewname, definition from pg_views where schemaname = $1
union all select 'options', relname, reloptions::text from pg_class where relnamespace = $1::text::regnamespace
order by 1, 2, 3"""


async def catalogue(url: str, schema: str = "uno") -> list[tuple[str, ...]]:
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(CATALOGUE, schema)]
    finally:
        await connection.close()


async def psql(url: str, script: str) -> None:
    """Run a script by asyncpg's simple protocol, which takes it whole, as psql would statement by statement."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(script)
    finally:
        await connection.close()


async def test_migrate_applies_everything_once(empty_database):
    names = [migration.name for migration in migrations.migrations()]
    assert await migrate(empty_database) == names
    assert await migrate(empty_database) == []


async def test_two_migrations_at_once_apply_everything_once(empty_database):
    """Scenario 75, first half: two processes."""
    code = f"import asyncio; from uno_workflows.storage.migrations import migrate; asyncio.run(migrate({empty_database!r}))"
    processes = [await asyncio.create_subprocess_exec(sys.executable, "-c", code) for _ in range(2)]
    assert [await process.wait() for process in processes] == [0, 0]
    assert await migrate(empty_database) == []


async def test_a_migration_that_is_killed_leaves_whole_ones(empty_database, database, until):
    """Scenario 75, second half: kill -9 in the middle of the second migration; the next run finishes the work."""
    code = f"""
import asyncio
from uno_workflows.storage import migrations as m
first, second, *rest = m.migrations()
slow = m.Migration(second.number, second.name, second.script + "; select pg_sleep(60)", second.checksum)
m.migrations = lambda: (first, slow, *rest)
asyncio.run(m.migrate({empty_database!r}))"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    watcher = await asyncpg.connect(empty_database)

    async def in_the_middle() -> bool:
        return bool(await watcher.fetchval("select exists (select from pg_stat_activity where wait_event = 'PgSleep')"))

    await until(in_the_middle)
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    assert await watcher.fetch("select number from uno.schema_migrations") == [(1,)]
    await watcher.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()"
    )
    await watcher.close()
    applied = await migrate(empty_database)
    assert applied == [migration.name for migration in migrations.migrations()[1:]]
    assert await catalogue(empty_database) == await catalogue(database)


async def test_the_printed_script_makes_the_same_schema_and_may_be_run_again(empty_database, database):
    """Scenario 76."""
    await psql(empty_database, sql())
    await psql(empty_database, sql())
    assert await catalogue(empty_database) == await catalogue(database)
    assert await migrate(empty_database) == []


async def test_a_migrated_schema_takes_the_printed_script(database):
    before = await catalogue(database)
    await psql(database, sql())
    assert await catalogue(database) == before


async def test_a_migration_that_was_changed_is_refused(database):
    await psql(database, "update uno.schema_migrations set checksum = 'other' where number = 2")
    with pytest.raises(MigrationChanged, match="0002"):
        await migrate(database)
    with pytest.raises(asyncpg.PostgresError, match="another content"):
        await psql(database, sql())


async def test_a_newer_schema_is_refused(database):
    await psql(database, "insert into uno.schema_migrations values (99, '0099_later', 'x')")
    with pytest.raises(SchemaMismatch, match="upgrade"):
        await migrate(database)


async def test_a_store_opens_only_on_its_own_schema(empty_database, database):
    with pytest.raises(SchemaMismatch, match="run `uno migrate`") as caught:
        async with PostgresStore.open(empty_database, encode=lambda *_: None):
            pass
    assert (caught.value.found, caught.value.needed) == (0, newest_migration())
    connection = await asyncpg.connect(database)
    await check_schema(connection)
    await connection.execute("delete from uno.schema_migrations where number = $1", newest_migration())
    with pytest.raises(SchemaMismatch) as caught:
        await check_schema(connection)
    assert caught.value.found == newest_migration() - 1
    await connection.close()


async def test_a_statement_time_out_of_the_role_does_not_end_a_migration(empty_database, until):
    other = await asyncpg.connect(empty_database)
    await other.execute(f"alter database {empty_database.rpartition('/')[2]} set statement_timeout = '100ms'")
    await other.execute("select pg_advisory_lock(hashtextextended('uno migrate uno', 0))")
    old = "select true from pg_stat_activity where wait_event = 'advisory' and clock_timestamp() - query_start > interval '200ms'"
    migrating = asyncio.create_task(migrate(empty_database))

    async def has_waited_longer():
        return migrating.done() or await other.fetchval(old)

    await until(has_waited_longer)
    await other.close()
    assert len(await migrating) == newest_migration()


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ("events (id int)", 'relation "events" already exists'),
        ("schema_migrations (version text)", 'column "number" does not exist'),
    ],
)
async def test_a_schema_with_tables_of_another_program_is_refused_by_name(empty_database, table, reason):
    await psql(empty_database, f"create table public.{table}")
    with pytest.raises(
        ConfigurationError, match=f"'public' holds something that uno_workflows did not make.*{reason}.*UNO_SCHEMA"
    ):
        await migrate(empty_database, schema="public")


async def test_a_schema_may_have_a_name_that_sql_reserves(empty_database, write):
    await migrate(empty_database, schema="order")
    async with PostgresStore.open(empty_database, schema="order", encode=lambda *_: None) as store:
        assert (await store.events.append([write("order-1")]))[0].positions == (1,)
        async with store.tail() as tail:
            await store.events.append([write("order-1")])
            assert await tail.wait_beyond(1, seconds=LIMIT) == 2


@pytest.mark.parametrize("schema", ["", "Uno", "uno;drop", 'uno"', "1uno", "pg_uno", "information_schema", "u" * 64])
async def test_a_schema_name_that_is_not_plain_is_refused(empty_database, schema):
    with pytest.raises(ConfigurationError, match="schema"):
        await migrate(empty_database, schema=schema)
    with pytest.raises(ConfigurationError, match="schema"):
        sql(schema=schema)


async def test_people_see_readable_events(store, write, event, connect):
    await store.events.append([write("order-1", [event(payload=b'{"price":"1.10"}'), event(payload=b"\xff\x00sealed")])])
    rows = await (await connect()).fetch("select payload, metadata from uno.events_readable order by position")
    assert [tuple(row) for row in rows] == [('{"price":"1.10"}', "{}"), ("\\xff007365616c6564", "{}")]


async def test_psql_takes_the_printed_script(postgres, empty_database, database):
    program = postgres_program(postgres_package(), "psql")
    for _ in range(2):
        process = await asyncio.create_subprocess_exec(
            program,
            "-v",
            "ON_ERROR_STOP=1",
            "-q",
            empty_database,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
        )
        await process.communicate(sql().encode())
        assert process.returncode == 0
    assert await catalogue(empty_database) == await catalogue(database)
