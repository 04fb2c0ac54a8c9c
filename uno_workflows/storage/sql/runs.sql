-- name: latest_runs — the newest generation of each key asked for
select asked.n, r.saga, r.tenant, r.key, r.generation, r.workflow_id, r.start_event_id, r.start_position,
       coalesce(r.epoch, l.epoch), r.temporal_run_id, r.state, r.reason, r.started_at, r.closed_at, r.furthest
  from unnest(cast(:sagas as text[]), cast(:tenants as text[]), cast(:keys as text[])) with ordinality as asked (saga, tenant, key, n)
 cross join {schema}.log l
 cross join lateral (
    select * from {schema}.saga_runs r
     where r.saga = asked.saga and r.tenant = asked.tenant and r.key = asked.key
     order by r.generation desc limit 1) r

-- name: record_started — record runs as open; if a run has ended meanwhile, only fill in how it began
insert into {schema}.saga_runs as r
  (saga, tenant, key, generation, workflow_id, start_event_id, start_position, epoch, temporal_run_id, state, started_at, namespace_id)
select distinct on (saga, tenant, key, generation)
       saga, tenant, key, generation, workflow_id, event_id, position, cast(:epoch as uuid), run_id, 'open',
       coalesce(at, clock_timestamp()), namespace_id
  from unnest(cast(:sagas as text[]), cast(:tenants as text[]), cast(:keys as text[]), cast(:generations as int[]),
              cast(:workflow_ids as text[]), cast(:event_ids as uuid[]), cast(:positions as bigint[]), cast(:run_ids as text[]),
              cast(:times as timestamptz[]), cast(:namespace_ids as text[]))
       as started (saga, tenant, key, generation, workflow_id, event_id, position, run_id, at, namespace_id)
 order by saga, tenant, key, generation
on conflict (saga, tenant, key, generation) do update
   set start_event_id = coalesce(r.start_event_id, excluded.start_event_id),
       start_position = coalesce(r.start_position, excluded.start_position),
       epoch = coalesce(r.epoch, excluded.epoch),
       temporal_run_id = coalesce(r.temporal_run_id, excluded.temporal_run_id),
       started_at = least(r.started_at, excluded.started_at), namespace_id = coalesce(r.namespace_id, excluded.namespace_id)

-- name: record_end — write how a run ended; a final state gives way only to a newer mark of the run itself. Returns the previous state and the duration
with before as (
  select state from {schema}.saga_runs
   where saga = cast(:saga as text) and tenant = cast(:tenant as text) and key = cast(:key as text)
     and generation = cast(:generation as int)),
undone as (
  insert into {schema}.undone_runs as u (workflow_id, run_id, plan, ended_at)
  select cast(:workflow_id as text), coalesce(cast(:mark_run as text), ''), cast(array[] as text[]), clock_timestamp()
   where cast(:undone as boolean)
  on conflict (workflow_id) do update set ended_at = coalesce(u.ended_at, excluded.ended_at)),
solved as (
  delete from {schema}.saga_problems where workflow_id = cast(:workflow_id as text) and cast(:final as boolean))
insert into {schema}.saga_runs as r (saga, tenant, key, generation, workflow_id, start_event_id, state, reason, furthest, mark_run, mark,
                                     closed_at, started_at)
values (cast(:saga as text), cast(:tenant as text), cast(:key as text), cast(:generation as int), cast(:workflow_id as text),
        cast(:start_event_id as uuid), cast(:state as text), cast(:reason as text), cast(:furthest as bigint), cast(:mark_run as text), cast(:mark as bigint),
        case when cast(:final as boolean) then clock_timestamp() end, coalesce(cast(:began as timestamptz), clock_timestamp()))
on conflict (saga, tenant, key, generation) do update
   set state = excluded.state, reason = excluded.reason, closed_at = excluded.closed_at,
       start_event_id = coalesce(r.start_event_id, excluded.start_event_id), furthest = coalesce(excluded.furthest, r.furthest),
       mark_run = coalesce(excluded.mark_run, r.mark_run), mark = coalesce(excluded.mark, r.mark),
       started_at = least(r.started_at, excluded.started_at)
 where case when excluded.mark is null then r.closed_at is null
            else r.mark is null or r.mark_run <> excluded.mark_run or r.mark <= excluded.mark end
returning (select state from before) as before,
          (select extract(epoch from clock_timestamp() - e.recorded_at)::float8 from {schema}.events e
            where e.tenant = r.tenant and e.event_id = r.start_event_id) as seconds

-- name: reopen_run — open the row of a run that was reset: another Temporal run of it is open than the one that wrote the row's state
update {schema}.saga_runs
   set state = 'open', reason = '', closed_at = null, temporal_run_id = cast(:run_id as text)
 where workflow_id = cast(:workflow_id as text) and mark_run is distinct from cast(:run_id as text)
   and (state <> 'open' or temporal_run_id is distinct from cast(:run_id as text))
returning saga

-- name: over_workflow_ids — the given workflow ids whose run is closed, and the Temporal run that recorded it
select workflow_id, mark_run from {schema}.saga_runs
 where workflow_id = any(cast(:among as text[])) and closed_at is not null

-- name: undone_run — the Temporal run that undid a run, its planned undos, and whether all are done
select run_id, plan, ended_at is not null from {schema}.undone_runs where workflow_id = cast(:workflow_id as text)

-- name: begin_undo — record that a run is being undone, unless a record exists; returns the record
select run_id, plan, ended_at is not null
  from {schema}.begin_undo(cast(:workflow_id as text), cast(:run_id as text), cast(:plan as text[]))

-- name: open_since — open runs of a namespace that are at least a minute old, so that the question does not race with their start
select tenant, key, generation, workflow_id from {schema}.saga_runs
 where saga = cast(:saga as text) and closed_at is null and workflow_id > cast(:after as text)
   and namespace_id = cast(:namespace_id as text) and started_at < clock_timestamp() - interval '1 minute'
 order by workflow_id limit cast(:limit as bigint)

-- name: unplaced_since — open runs whose namespace is not known: older code started them
select workflow_id from {schema}.saga_runs
 where saga = cast(:saga as text) and closed_at is null and namespace_id is null and workflow_id > cast(:after as text)
 order by workflow_id limit cast(:limit as bigint)

-- name: place_runs — record the namespace of runs that Temporal knows there
update {schema}.saga_runs set namespace_id = cast(:namespace_id as text)
 where workflow_id = any(cast(:workflow_ids as text[])) and namespace_id is null

-- name: count_open — how many runs of a saga are open
select count(*) from {schema}.saga_runs where saga = cast(:saga as text) and closed_at is null

-- name: open_among — the given workflow ids whose run is open
select workflow_id, saga, tenant, key, generation from {schema}.saga_runs
 where saga = cast(:saga as text) and closed_at is null and workflow_id = any(cast(:among as text[]))

-- name: find_runs — newest first
select r.saga, r.tenant, r.key, r.generation, r.workflow_id, r.start_event_id, r.start_position,
       coalesce(r.epoch, l.epoch), r.temporal_run_id, r.state, r.reason, r.started_at, r.closed_at, r.furthest,
       coalesce((select string_agg(p.reason, '; ' order by p.part) from {schema}.saga_problems p where p.workflow_id = r.workflow_id), '')
  from {schema}.saga_runs r, {schema}.log l
 where (cast(:saga as text) is null or r.saga = cast(:saga as text))
   and (cast(:state as text) is null or r.state = cast(:state as text))
 order by r.started_at desc limit cast(:limit as bigint)

-- name: add_pending — keep an event that came before its start
insert into {schema}.saga_pending (saga, tenant, key, position, event_id, event_type)
values (cast(:saga as text), cast(:tenant as text), cast(:key as text), cast(:position as bigint), cast(:event_id as uuid),
        cast(:event_type as text))
on conflict do nothing

-- name: pending — positions of the events that wait for a start
select position from {schema}.saga_pending
 where saga = cast(:saga as text) and tenant = cast(:tenant as text) and key = cast(:key as text)
 order by position

-- name: drop_pending — delete the events that were delivered
delete from {schema}.saga_pending
 where saga = cast(:saga as text) and tenant = cast(:tenant as text) and key = cast(:key as text)
   and position <= cast(:upto as bigint)

-- name: add_late — record an event that came after the end; no row if it is there already
insert into {schema}.saga_late (saga, tenant, key, generation, position, event_id, event_type, reason)
values (cast(:saga as text), cast(:tenant as text), cast(:key as text), cast(:generation as int), cast(:position as bigint),
        cast(:event_id as uuid), cast(:event_type as text), cast(:reason as text))
on conflict do nothing
returning position

-- name: count_pending — how many events wait for a start
select count(*) from {schema}.saga_pending where cast(:saga as text) is null or saga = cast(:saga as text)

-- name: count_late — how many events came after the end
select count(*) from {schema}.saga_late where cast(:saga as text) is null or saga = cast(:saga as text)
