-- name: append — store events of one stream, or say in one row why not
select outcome, first_version, positions, actual_version, known_ids from {schema}.append(
  cast(:tenant as text), cast(:stream_id as text), cast(:expected as bigint), cast(:bucket as smallint),
  cast(:correlation_id as text), cast(:event_ids as uuid[]), cast(:types as text[]), cast(:schema_versions as smallint[]),
  cast(:payloads as bytea[]), cast(:metadata as bytea[]))

-- name: claim — lock the rows of several streams in the order given, so that their appends may follow in any other order
insert into {schema}.streams as s (tenant, stream_id, version)
select c.tenant, c.stream_id, 0  -- version 0, as a rolled-back append leaves it: it does not count as a stream
  from unnest(cast(:tenants as text[]), cast(:stream_ids as text[])) with ordinality as c (tenant, stream_id, turn)
 order by c.turn
on conflict (tenant, stream_id) do update set version = s.version

-- name: read_stream_forwards — a batch of one stream from a version on
select position, tenant, stream_id, version, event_id, type, schema_version, payload, metadata, recorded_at
  from {schema}.events
 where tenant = cast(:tenant as text) and stream_id = cast(:stream_id as text) and version >= cast(:from_version as bigint)
 order by version limit cast(:limit as bigint)

-- name: read_stream_backwards — a batch of one stream from a version back
select position, tenant, stream_id, version, event_id, type, schema_version, payload, metadata, recorded_at
  from {schema}.events
 where tenant = cast(:tenant as text) and stream_id = cast(:stream_id as text) and version <= cast(:from_version as bigint)
 order by version desc limit cast(:limit as bigint)

-- name: read_window — a batch of the whole log between two positions; a bound must have been read in an earlier statement
select position, tenant, stream_id, version, event_id, type, schema_version, payload, metadata, recorded_at
  from {schema}.events
 where position > cast(:after as bigint) and position <= cast(:upto as bigint)
   and (cast(:types as text[]) is null or type = any(cast(:types as text[])))
   and (cast(:epoch as uuid) is null or cast(:epoch as uuid) = (select epoch from {schema}.log))
 order by position limit cast(:limit as bigint)

-- name: next_position — the first event between two positions, to jump a hole
select min(position) from {schema}.events where position > cast(:after as bigint) and position <= cast(:upto as bigint)

-- name: load_events — single events by position
select position, tenant, stream_id, version, event_id, type, schema_version, payload, metadata, recorded_at
  from {schema}.events
 where position = any(cast(:positions as bigint[]))
 order by position

-- name: bound — how far readers may read now, and which log it is
select f.bound, f.head, l.epoch, l.first_position from {schema}.frontier() f, {schema}.log l

-- name: bound_from — the same, when an earlier bound is known
select f.bound, f.head, l.epoch, l.first_position from {schema}.frontier_from(cast(:known as bigint)) f, {schema}.log l

-- name: epoch — the id of the log between two restores
select epoch from {schema}.log

-- name: notify — wake the listeners of other processes
select pg_notify(cast(:channel as text), '')
