-- The log, its fence and the one function that appends. Nothing here is newer than PostgreSQL 14.

create table {schema}.log (
  one            boolean primary key default true check (one),
  epoch          uuid    not null default gen_random_uuid(),  -- life of the log between restores; in every checkpoint
  first_position bigint  not null default 1                   -- what is below was taken away by retention
);
insert into {schema}.log default values;

-- One row a stream: queue of its writers, compare-and-set on the version, and a tombstone that outlives retention, so that
-- versions never begin again. A row with version 0 is what an undone append left: it counts as no stream.
create table {schema}.streams (
  tenant    text   not null check (octet_length(tenant) <= 128),
  stream_id text   not null check (octet_length(stream_id) between 1 and 512),
  version   bigint not null check (version >= 0),
  closed_at timestamptz,
  primary key (tenant, stream_id)
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);

create table {schema}.events (
  -- Drawn after the ticket of the fence, never before, never from a cache: reads rely on it.
  position       bigint      generated always as identity (sequence name {schema}.position_seq minvalue 0 start 0 cache 1) primary key,
  version        bigint      not null check (version > 0),
  recorded_at    timestamptz not null default clock_timestamp(),
  xact           xid8        not null default pg_current_xact_id(),  -- for auditors; never an order
  event_id       uuid        not null,
  schema_version smallint    not null,
  bucket         smallint    not null check (bucket between 0 and 255),
  tenant         text        not null,
  stream_id      text        not null,
  type           text        not null,
  correlation_id text        not null,
  payload        bytea       not null,  -- exact bytes: what was hashed or sealed comes back as it was
  metadata       bytea       not null,
  constraint events_event_id_key unique (tenant, event_id),
  constraint events_stream_version_key unique (tenant, stream_id, version)
) with (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_freeze_min_age = 0);

select nextval('{schema}.position_seq');  -- burn 0: until the first value is drawn, last_value would cover the next one

-- The fence. A statement trigger runs before any default is evaluated, so COPY and plain INSERT are fenced like append().
-- Any ticket that was last_value before the position was drawn is right, an older one only makes readers wait longer. The
-- transaction-local setting spares a second lock in the same transaction; it falls with a savepoint just as the lock does.
create function {schema}.fence_enter() returns trigger language plpgsql as $$
declare
  setting constant text := 'uno_fence.' || tg_table_schema;
  held    constant text := current_setting(setting, true);
  ticket  bigint;
  done    text;  -- an assignment is evaluated in place, where PERFORM would start the executor
begin
  select last_value - (not is_called)::int into ticket from {schema}.position_seq;
  if held is null or held = '' then
    done := set_config(setting, ticket::text, true);
  else
    ticket := least(ticket, held::bigint);
  end if;
  done := pg_advisory_xact_lock_shared('{schema}.position_seq'::regclass::oid::int4, ticket::bit(32)::int4);
  return null;
end $$;
create trigger fence before insert on {schema}.events for each statement execute function {schema}.fence_enter();
alter table {schema}.events enable always trigger fence;

create function {schema}.refuse_change() returns trigger language plpgsql as $$
begin
  raise exception 'events are never changed or removed (% on %.%)', tg_op, tg_table_schema, tg_table_name
    using errcode = 'UN010', hint = 'Append an event that corrects the earlier one.';
end $$;
create trigger unchangeable before update or delete or truncate on {schema}.events
  for each statement execute function {schema}.refuse_change();
alter table {schema}.events enable always trigger unchangeable;

-- How far readers may read: every position up to bound is committed or will never be. The head is read before the locks, and
-- rows must be read in a later statement than this one; each statement needs its own snapshot, hence the guards.
create function {schema}.frontier(out bound bigint, out head bigint) language plpgsql volatile as $$
begin
  if current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
    raise exception 'the bound may only be read in READ COMMITTED, not in %', current_setting('transaction_isolation')
      using errcode = 'UN011';
  end if;
  if pg_is_in_recovery() then
    raise exception 'the bound may only be read on the primary: a replica does not know who is appending'
      using errcode = 'UN011';
  end if;
  select last_value - (not is_called)::int into head from {schema}.position_seq;
  select min(head - ((head - objid::bigint) & 4294967295)) into bound from pg_locks
   where locktype = 'advisory' and objsubid = 2 and mode = 'ShareLock' and granted
     and classid = '{schema}.position_seq'::regclass::oid
     and database = (select oid from pg_database where datname = current_database());
  bound := coalesce(bound, head);
end $$;

-- The bound, known that p_known was one: a run of consecutive positions proves itself (what is there is committed), so the
-- locks, which are dear to look at, are looked at only when the very next position is missing.
create function {schema}.frontier_from(p_known bigint, p_most int default 2000, out bound bigint, out head bigint)
language plpgsql volatile set enable_seqscan = off as $$
begin
  if current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
    raise exception 'the bound may only be read in READ COMMITTED, not in %', current_setting('transaction_isolation')
      using errcode = 'UN011';
  end if;
  select last_value - (not is_called)::int into head from {schema}.position_seq;
  if head <= p_known then
    bound := head;
    return;
  end if;
  select max(run.position) into bound from (
    select next.position, row_number() over (order by next.position) as n from (
      select e.position from {schema}.events e where e.position > p_known and e.position <= head
       order by e.position limit p_most) next) run
   where run.position = p_known + run.n;
  if bound is null then
    select greatest(f.bound, p_known), f.head into bound, head from {schema}.frontier() f;
  end if;
end $$;

-- One call is one append to one stream. A conflict comes back as a row, so that the caller's transaction stays usable:
--   outcome               first_version  positions  actual_version  known_ids
--   appended, replayed    x              x
--   wrong_expected_version                          x
--   duplicate_event_id                                              x
--   stream_closed                                   x
-- p_expected: -2 whatever, -1 a stream, 0 no stream, n that version. A retry with the same ids is judged first and gets the
-- first result. The stream's row is taken before the ids are looked for, so a retry waits for an attempt that is still open.
-- In REPEATABLE READ and SERIALIZABLE Postgres itself refuses (40001) whoever comes after a newer append to the stream.
create function {schema}.append(
  p_tenant text, p_stream_id text, p_expected bigint, p_bucket smallint, p_correlation_id text,
  p_event_ids uuid[], p_types text[], p_schema_versions smallint[], p_payloads bytea[], p_metadata bytea[],
  out outcome text, out first_version bigint, out positions bigint[], out actual_version bigint, out known_ids uuid[]
) language plpgsql volatile set enable_seqscan = off as $$  -- a plan cached on a small table must not scan it once it is large
declare
  n      constant int := cardinality(p_event_ids);
  before bigint;  -- the stream's version, once its row is ours
  closed timestamptz;
  alike  boolean;
begin
  if n = 0 then
    raise exception 'an append holds at least one event' using errcode = '22023';
  end if;
  if current_setting('synchronous_commit') = 'off' then  -- else a crash could hand out a position twice
    perform set_config('synchronous_commit', 'on', true);
  end if;

  if p_expected = 0 then
    insert into {schema}.streams as s (tenant, stream_id, version) values (p_tenant, p_stream_id, n)
      on conflict (tenant, stream_id) do update set version = n where s.version = 0 and s.closed_at is null
      returning 0 into before;
  elsif p_expected = -2 then
    insert into {schema}.streams as s (tenant, stream_id, version) values (p_tenant, p_stream_id, n)
      on conflict (tenant, stream_id) do update set version = s.version + n where s.closed_at is null
      returning s.version - n into before;
  else
    update {schema}.streams s set version = s.version + n
     where s.tenant = p_tenant and s.stream_id = p_stream_id and s.closed_at is null
       and s.version > 0 and (p_expected = -1 or s.version = p_expected)
      returning s.version - n into before;
  end if;

  if exists (select from {schema}.events e where e.tenant = p_tenant and e.event_id = any(p_event_ids)) then
    select count(*) = n and bool_and(e.stream_id = p_stream_id and e.type = i.type and e.schema_version = i.schema_version
             and e.payload = i.payload) and max(e.version - i.ord) = min(e.version - i.ord),
           min(e.version), array_agg(e.position order by i.ord), array_agg(i.id order by i.ord)
      into alike, first_version, positions, known_ids
      from unnest(p_event_ids, p_types, p_schema_versions, p_payloads) with ordinality as i (id, type, schema_version, payload, ord)
      join {schema}.events e on e.event_id = i.id
     where e.tenant = p_tenant and e.event_id = any(p_event_ids);
    if before is not null then
      update {schema}.streams s set version = before where s.tenant = p_tenant and s.stream_id = p_stream_id;
    end if;
    if alike then
      outcome := 'replayed';
      known_ids := null;
    else
      outcome := 'duplicate_event_id';
      first_version := null;
      positions := null;
    end if;
    return;
  end if;

  if before is null then
    select s.version, s.closed_at into actual_version, closed from {schema}.streams s
     where s.tenant = p_tenant and s.stream_id = p_stream_id;
    actual_version := coalesce(actual_version, 0);
    outcome := case when closed is null then 'wrong_expected_version' else 'stream_closed' end;
    return;
  end if;

  if n = 1 then  -- the most frequent size, without the machinery of arrays
    insert into {schema}.events (version, event_id, schema_version, bucket, tenant, stream_id, type, correlation_id, payload, metadata)
    values (before + 1, p_event_ids[1], p_schema_versions[1], p_bucket, p_tenant, p_stream_id, p_types[1], p_correlation_id,
            p_payloads[1], p_metadata[1])
    returning array[position] into positions;
  else
    with written as (
      insert into {schema}.events (version, event_id, schema_version, bucket, tenant, stream_id, type, correlation_id, payload, metadata)
      select before + i.ord, i.id, i.schema_version, p_bucket, p_tenant, p_stream_id, i.type, p_correlation_id, i.payload, i.metadata
        from unnest(p_event_ids, p_types, p_schema_versions, p_payloads, p_metadata)
             with ordinality as i (id, type, schema_version, payload, metadata, ord)
       order by i.ord
      returning position)
    select array_agg(w.position order by w.position) into positions from written w;
  end if;
  outcome := 'appended';
  first_version := before + 1;
end $$;

-- For people at a prompt; nothing in the product reads it.
create function {schema}.readable(p_bytes bytea) returns text language plpgsql immutable as $$
begin
  return convert_from(p_bytes, 'UTF8');
exception when others then
  return '\x' || encode(p_bytes, 'hex');  -- sealed, or not text
end $$;
create view {schema}.events_readable as
  select position, tenant, stream_id, version, type, schema_version, recorded_at, event_id, correlation_id,
         {schema}.readable(payload) as payload, {schema}.readable(metadata) as metadata
    from {schema}.events;
