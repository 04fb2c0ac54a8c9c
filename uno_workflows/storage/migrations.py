"""The schema's history: numbered SQL files, applied in order, once, under a lock and a ledger of our own."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import chain
from typing import Any, Final

import asyncpg

from uno_workflows.events.errors import ConfigurationError, SchemaMismatch, UnoError
from uno_workflows.storage.dsn import plain_dsn
from uno_workflows.storage.errors import translated
from uno_workflows.storage.statements import DEFAULT_SCHEMA, check_schema_name, in_schema

_LEDGER: Final = """\
create schema if not exists {schema};
create table if not exists {schema}.schema_migrations (
  number     int         primary key,
  name       text        not null,
  checksum   text        not null,
  applied_at timestamptz not null default clock_timestamp()
);
"""
# One lock a schema. A key of 64 bits cannot meet the two keys of 32 that the fence uses.
_LOCK: Final = "hashtextextended('uno migrate {name}', 0)"
# A role's limits are for its queries; pg_restore lifts them as well. `lock_timeout` stays: operators set it for migrations.
_PATIENT: Final = """\
select set_config(name, '0', false) from pg_catalog.pg_settings
 where name in ('statement_timeout', 'transaction_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout')
"""
_HIDDEN: Final = """\
select string_agg(c.relname, ', ' order by c.relname)
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where n.nspname = $1 and c.relname = any($2::text[]) and c.relrowsecurity and pg_catalog.row_security_active(c.oid)
"""
_ENCODING: Final = """\
do $uno_encoding$
begin
  if current_setting('server_encoding') <> 'UTF8' then
    raise exception 'this database is %, which cannot hold every text', current_setting('server_encoding')
      using hint = 'Create one with encoding ''UTF8'' template template0.';
  end if;
end $uno_encoding$;
"""
_GUARDED: Final = """\
do $uno_guard$
declare
  applied constant text := (select checksum from {schema}.schema_migrations where number = {number});
begin
  perform pg_advisory_xact_lock({lock});
  if not exists (select from {schema}.schema_migrations where number = {number}) then
    execute $uno_migration$
{body}$uno_migration$;
    insert into {schema}.schema_migrations (number, name, checksum) values ({number}, '{title}', '{checksum}');
  elsif applied <> '{checksum}' then
    raise exception 'migration {title} was applied with another content';
  end if;
end $uno_guard$;
"""


class MigrationChanged(UnoError):
    """A migration that was applied is not the one that this version carries."""

    def __init__(self, schema: str, name: str) -> None:
        self.schema, self.name = schema, name
        super().__init__(
            f"schema {schema!r}: migration {name} was applied with another content than this version carries; nothing was "
            "changed. Install the version that applied it, or restore the file"
        )


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file. Its checksum is of the file, before the schema's name is put in."""

    number: int
    name: str
    script: str
    checksum: str


@cache
def migrations() -> tuple[Migration, ...]:
    """Every migration of this version, in order."""
    folder = resources.files(__package__).joinpath("sql", "migrations")
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    made = []
    for file in files:
        script = file.read_text(encoding="utf-8")
        name = file.name.removesuffix(".sql")
        made.append(Migration(int(name.split("_")[0]), name, script, hashlib.sha256(script.encode()).hexdigest()))
    assert [migration.number for migration in made] == list(range(1, len(made) + 1)), "migrations are numbered 1, 2, 3, …"
    return tuple(made)


def newest_migration() -> int:
    """The migration that this version needs."""
    return migrations()[-1].number


async def migrate(dsn: str, *, schema: str = DEFAULT_SCHEMA) -> list[str]:
    """Bring the schema up to this version. A repeat is harmless, and so are several processes at the same time.

    Each migration is a transaction with its line in the ledger, so a killed process leaves only whole migrations. `dsn` must
    lead to Postgres directly: the lock belongs to a session, which a pooler in transaction mode would share.

    Returns:
        The names of the migrations that this call applied, in order.

    Raises:
        MigrationChanged: one that was applied has another content in this version; nothing is applied then.
        SchemaMismatch: the schema is newer than this version.
        ConfigurationError: the database is not in UTF-8, so it cannot hold every text, or the schema holds other objects.
    """
    check_schema_name(schema)
    with translated(schema, needed=newest_migration(), opening=True, migrating=True):
        connection = await asyncpg.connect(plain_dsn(dsn), server_settings={"application_name": "uno migrate"})
        try:
            await connection.execute(_PATIENT)
            await _check_encoding(connection)
            await connection.execute(f"select pg_advisory_lock({_LOCK.format(name=schema)})")
            return await _apply(connection, schema)
        finally:
            connection.terminate()  # ends the session and so the lock, even in the middle of a cancelled migration


async def _check_encoding(connection: Any) -> None:
    encoding, database = await connection.fetchrow("select current_setting('server_encoding'), current_database()")
    if encoding != "UTF8":
        raise ConfigurationError(
            [
                f"database {database!r} is in {encoding}, which cannot hold every text, and nothing was changed: create one with "
                "encoding 'UTF8' template template0"
            ]
        )


async def _apply(connection: Any, schema: str) -> list[str]:
    await connection.execute(in_schema(_LEDGER, schema))
    ledger = await connection.fetch(in_schema("select number, name, checksum from {schema}.schema_migrations", schema))
    known = {row["number"]: row for row in ledger}
    for migration in migrations():
        applied = known.get(migration.number)
        if applied is not None and applied["checksum"] != migration.checksum:
            raise MigrationChanged(schema, migration.name)
    if known and max(known) > newest_migration():
        raise SchemaMismatch(schema, found=max(known), needed=newest_migration())
    made = []
    for migration in migrations():
        if migration.number not in known:
            async with connection.transaction():
                await connection.execute(in_schema(migration.script, schema))
                await connection.execute(
                    in_schema("insert into {schema}.schema_migrations (number, name, checksum) values ($1, $2, $3)", schema),
                    migration.number,
                    migration.name,
                    migration.checksum,
                )
            made.append(migration.name)
    return made


def sql(*, schema: str = DEFAULT_SCHEMA) -> str:
    """The whole history as one script for psql or for a user's own migration tool; running it twice changes nothing."""
    lock = _LOCK.format(name=check_schema_name(schema))
    parts = [f"-- uno_workflows: schema {schema}, migrations 1 to {newest_migration()}.\n", _ENCODING, _LEDGER]
    for migration in migrations():
        guarded = _GUARDED.replace("{lock}", lock).replace("{number}", str(migration.number))
        guarded = guarded.replace("{title}", migration.name).replace("{checksum}", migration.checksum)
        parts.append(guarded.replace("{body}", migration.script))
    return in_schema("\n".join(parts), schema)


@cache
def tables() -> tuple[str, ...]:
    """The tables that the migrations make."""
    made = (re.findall(r"^create table \{schema\}\.(\w+)", migration.script, re.MULTILINE) for migration in migrations())
    return tuple(chain.from_iterable(made))


async def check_schema(connection: Any, *, schema: str = DEFAULT_SCHEMA) -> None:
    """Make sure that the schema is the one of this version, and that the role sees every row of it.

    Args:
        connection: Of asyncpg.

    Raises:
        SchemaMismatch: it is older, newer, or not there (migration 0).
        ConfigurationError: row security hides rows of it from the role: readers would pass hidden events as if there were none.
    """
    found = 0
    table = in_schema("{schema}.schema_migrations", schema)
    if await connection.fetchval("select to_regclass($1) is not null", table):
        found = await connection.fetchval(f"select coalesce(max(number), 0) from {table}")
    if found != newest_migration():
        raise SchemaMismatch(schema, found=found, needed=newest_migration())
    if hidden := await connection.fetchval(_HIDDEN, schema, list(tables())):
        raise ConfigurationError(
            [
                f"row security of {hidden} in schema {schema!r} hides events and checkpoints from this role: turn it off (alter "
                "table … disable row level security), or use the owner of the tables or a role with BYPASSRLS"
            ]
        )
