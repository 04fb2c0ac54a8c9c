"""Appending without us: the same columns and indexes, no trigger, and the statements that an expert would write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

TABLE: Final = """
create table by_hand (
  position       bigint generated always as identity primary key,
  version        bigint      not null,
  recorded_at    timestamptz not null default clock_timestamp(),
  xact           xid8        not null default pg_current_xact_id(),
  event_id       uuid        not null,
  schema_version smallint    not null,
  bucket         smallint    not null,
  tenant         text        not null,
  stream_id      text        not null,
  type           text        not null,
  correlation_id text        not null,
  payload        bytea       not null,
  metadata       bytea       not null,
  unique (tenant, event_id),
  unique (tenant, stream_id, version)
) with (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_freeze_min_age = 0)
"""
"""The columns, indexes and settings of our events table, without its triggers and checks."""

INSERT: Final = """
insert into by_hand (version, event_id, schema_version, bucket, tenant, stream_id, type, correlation_id, payload, metadata)
select $2::bigint + i.ord, i.id, 1, 7, '', $1::text, i.type, $3::text, i.payload, i.metadata
  from unnest($4::uuid[], $5::text[], $6::bytea[], $7::bytea[]) with ordinality as i (id, type, payload, metadata, ord)
returning position
"""

FUNCTION: Final = """
create function append_by_hand(
  p_stream_id text, p_expected bigint, p_correlation_id text,
  p_ids uuid[], p_types text[], p_payloads bytea[], p_metadata bytea[],
  out positions bigint[], out conflict boolean
) language plpgsql as $$
declare
  actual bigint;
begin
  perform pg_advisory_xact_lock(4711);  -- one writer at a time: positions become visible in their order
  select array_agg(position order by position) into positions from by_hand where tenant = '' and event_id = any(p_ids);
  conflict := positions is not null and cardinality(positions) <> cardinality(p_ids);
  if positions is not null then
    return;
  end if;
  select coalesce(max(version), 0) into actual from by_hand where tenant = '' and stream_id = p_stream_id;
  if actual <> p_expected then
    conflict := true;
    return;
  end if;
  with written as (
    insert into by_hand (version, event_id, schema_version, bucket, tenant, stream_id, type, correlation_id, payload, metadata)
    select actual + i.ord, i.id, 1, 7, '', p_stream_id, i.type, p_correlation_id, i.payload, i.metadata
      from unnest(p_ids, p_types, p_payloads, p_metadata) with ordinality as i (id, type, payload, metadata, ord)
    returning position)
  select array_agg(position order by position) into positions from written;
end $$
"""
"""Version, idempotence and order in one round trip: the best that a lock can do."""

CALL: Final = "select positions, conflict from append_by_hand($1, $2, $3, $4, $5, $6, $7)"


class Conflict(Exception):
    """The stream is not where the caller thought, or an id was used before."""


async def insert(connection: Any, stream: str, version: int, rows: Rows) -> None:
    """(a) Only the insert: nothing is checked, and readers by position lose events."""
    await connection.fetch(INSERT, stream, version, str(rows.ids[0]), rows.ids, rows.types, rows.payloads, rows.metadata)


async def call(connection: Any, stream: str, version: int, rows: Rows) -> None:
    """(b) All promises, in one call of one function."""
    first = str(rows.ids[0])
    row = await connection.fetchrow(CALL, stream, version, first, rows.ids, rows.types, rows.payloads, rows.metadata)
    if row["conflict"]:
        raise Conflict(stream)


async def transact(connection: Any, stream: str, version: int, rows: Rows) -> None:
    """(b) All promises, by statements in one transaction, as most would write it."""
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock(4711)")
        known = await connection.fetchval("select count(*) from by_hand where tenant = '' and event_id = any($1)", rows.ids)
        if known == len(rows.ids):
            return
        stated = "select coalesce(max(version), 0) from by_hand where tenant = '' and stream_id = $1"
        if known or await connection.fetchval(stated, stream) != version:
            raise Conflict(stream)
        await insert(connection, stream, version, rows)


class Rows:
    """A batch, column by column, as `unnest` takes it."""

    __slots__ = ("ids", "metadata", "payloads", "types")

    def __init__(self, ids: Sequence[UUID], payloads: Sequence[bytes]) -> None:
        self.ids, self.payloads = ids, payloads
        self.types = ["Ordered"] * len(ids)
        self.metadata = [b'{"correlation_id":"%s"}' % str(ids[0]).encode()] * len(ids)
