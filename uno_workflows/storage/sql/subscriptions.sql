-- name: register — make a subscription's row unless there is one; only to look for it waits for nobody who moves it
insert into {schema}.subscriptions (name, position, epoch)
select cast(:name as text), cast(:position as bigint), epoch from {schema}.log
 where not exists (select from {schema}.subscriptions s where s.name = cast(:name as text))
on conflict (name) do nothing

-- name: first_since — the first event recorded at or after a time; the clock is only near to the order, so all are looked at
select min(position) from {schema}.events
 where recorded_at >= cast(:since as timestamptz) and position <= cast(:bound as bigint)

-- name: take_over — become the owner under the next term, unless somebody was since the one that we had, and see whether the
-- checkpoint still fits the log; auditing begins here
with taken as (
  update {schema}.subscriptions s set term = s.term + 1, owner = cast(:owner as text)
    from {schema}.log l
   where s.name = cast(:name as text) and s.term = coalesce(cast(:after as bigint), s.term)
  returning s.name, s.position, s.term, s.epoch, l.epoch as log_epoch, l.first_position),
audited as (
  insert into {schema}.delivery_audits (subscription, epoch, from_position, to_position)
  select t.name, t.epoch, t.position, t.position from taken t  -- only to look for it waits for no auditor who changes it
   where not exists (select from {schema}.delivery_audits a where a.subscription = t.name and a.epoch = t.epoch)
  on conflict do nothing)
select position, term, epoch, log_epoch, first_position, (select last_value from {schema}.position_seq) from taken

-- name: check — what a pump must know before each page
select s.term, s.epoch = l.epoch, s.paused_at is null and s.halted_at is null
  from {schema}.subscriptions s, {schema}.log l
 where s.name = cast(:name as text)

-- name: page — the wanted events of a window of positions, with what retention has left of the log; always at least one row
select l.epoch, l.first_position, e.*
  from {schema}.log l
  left join lateral (
    select position, tenant, stream_id, version, event_id, type, schema_version, payload, metadata, recorded_at
      from {schema}.events w
     where position > cast(:after as bigint) and position <= cast(:upto as bigint) and type = any(cast(:types as text[]))
       and not exists (select from {schema}.skipped_events k
                        where k.subscription = cast(:name as text) and k.epoch = l.epoch and k.position = w.position)
     order by position limit cast(:limit as bigint)) e on true
 order by e.position

-- name: advance — move the checkpoint, if it is still where we think and still ours, and write down what was handled on the way
with moved as (
  update {schema}.subscriptions s set position = cast(:to as bigint), updated_at = clock_timestamp()
    from {schema}.log l
   where s.name = cast(:name as text) and s.position = cast(:position as bigint) and s.term = cast(:term as bigint)
     and s.epoch = cast(:epoch as uuid) and l.epoch = s.epoch
  returning s.name, s.epoch, s.term),
page as (
  insert into {schema}.delivered_pages (subscription, epoch, term, from_position, to_position, events, digest, offsets, types)
  select name, epoch, term, cast(:position as bigint), cast(:to as bigint), cardinality(cast(:offsets as int[])),
         cast(:digest as bytea), cast(:offsets as int[]), cast(:types as text[])
    from moved where cast(:to as bigint) > cast(:position as bigint))
select name from moved

-- name: halt — stand still until somebody resumes, if it is still ours; halted again for the same reason, it stands since
-- the first time
update {schema}.subscriptions
   set halted_at = case when halt_reason = cast(:reason as text) and halt_position is not distinct from cast(:position as bigint)
                        then halted_at else clock_timestamp() end,
       halt_position = cast(:position as bigint), halt_reason = cast(:reason as text)
 where name = cast(:name as text) and term = cast(:term as bigint) and epoch = cast(:epoch as uuid)
returning name

-- name: pause — stand still because somebody wants it
update {schema}.subscriptions set paused_at = coalesce(paused_at, clock_timestamp())
 where name = cast(:name as text)
returning name

-- name: resume — go on after a pause or halt
update {schema}.subscriptions set paused_at = null, halted_at = null, halt_position = null, halt_reason = null
 where name = cast(:name as text)
returning name

-- name: resume_skipping — go on after a halt and write down that its event is passed; no row if no event is to blame
with halted as (
  select name, epoch, halt_position, halt_reason from {schema}.subscriptions
   where name = cast(:name as text) and halt_position is not null
     for update),
skipped as (
  insert into {schema}.skipped_events (subscription, epoch, position, reason)
  select name, epoch, halt_position, halt_reason from halted
  on conflict do nothing)
update {schema}.subscriptions s
   set paused_at = null, halted_at = null, halt_position = null, halt_reason = null
  from halted where s.name = halted.name
returning s.name

-- name: statuses — every subscription beside the head of the log
select s.name, s.position, q.last_value, greatest(q.last_value - s.position, 0), s.term, s.owner, s.paused_at is not null,
       s.halt_position, s.halt_reason, s.halted_at, s.updated_at
  from {schema}.subscriptions s, {schema}.position_seq q
 order by s.name

-- name: position — where a subscription stands
select position from {schema}.subscriptions where name = cast(:name as text)

-- name: transaction_limits — time-outs of this transaction only
select set_config('lock_timeout', cast(:lock_timeout as text), true),
       set_config('idle_in_transaction_session_timeout', cast(:idle_timeout as text), true)
