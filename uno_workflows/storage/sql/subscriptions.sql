-- name: first_since — the first event recorded at or after a time; recorded times are only roughly in order, so it scans all events
select min(position) from {schema}.events
 where recorded_at >= cast(:since as timestamptz) and position <= cast(:bound as bigint)

-- name: take_over — become the owner under the next term, unless the term changed since ours; return whether the checkpoint fits
-- the log. Auditing begins here
with taken as (
  update {schema}.checkpoints c set term = c.term + 1, owner = cast(:owner as text), in_order = false
    from {schema}.log l
   where c.subscription = cast(:name as text) and c.part = 0 and c.term = coalesce(cast(:after as bigint), c.term)
  returning c.subscription, c.position, c.term, c.epoch, l.epoch as log_epoch, l.first_position),
audited as (
  insert into {schema}.delivery_audits (subscription, epoch, from_position, to_position)
  select t.subscription, t.epoch, t.position, t.position from taken t  -- an existence check takes no lock, so it never waits for an auditor
   where not exists (select from {schema}.delivery_audits a where a.subscription = t.subscription and a.epoch = t.epoch)
  on conflict do nothing)
select position, term, epoch, log_epoch, first_position, (select last_value from {schema}.position_seq) from taken

-- name: release — a pump has stopped, and has nothing in flight
update {schema}.checkpoints set in_order = true
 where subscription = cast(:name as text) and part = 0 and term = cast(:term as bigint)

-- name: subscription_standing — what a pump checks before it takes a lease, so that a halt or a pause does not raise the term
select c.position, s.generation, s.paused_at is not null, c.halt_position, c.halt_reason, c.halted_at
  from {schema}.subscriptions s join {schema}.checkpoints c on c.subscription = s.name and c.part = 0
 where s.name = cast(:name as text)

-- name: check — what a pump checks while it has nothing to read, and before each page
select c.term, c.epoch = l.epoch, s.paused_at is null and c.halted_at is null
  from {schema}.log l, {schema}.subscriptions s join {schema}.checkpoints c on c.subscription = s.name and c.part = 0
 where s.name = cast(:name as text)

-- name: page — the wanted events of a window, and the first position that retention left; no row if the term is not ours any
-- more. One snapshot checks the term and reads the events, so that no pump reads by an older definition
select l.epoch, l.first_position, e.*
  from {schema}.log l
  join {schema}.checkpoints c on c.subscription = cast(:name as text) and c.part = 0 and c.term = cast(:term as bigint)
  left join lateral (
    select position, tenant, stream_id, version, event_id, type, schema_version, payload, metadata, recorded_at
      from {schema}.events w
     where position > cast(:after as bigint) and position <= cast(:upto as bigint) and type = any(cast(:types as text[]))
       and not exists (select from {schema}.skipped_events k
                        where k.subscription = cast(:name as text) and k.epoch = l.epoch and k.position = w.position)
     order by position limit cast(:limit as bigint)) e on true
 order by e.position

-- name: advance — move the checkpoint if its position and term are still ours, and record the handled events as a page; the page's
-- generation comes from the definition, not from the pump
with moved as (
  update {schema}.checkpoints c set position = cast(:to as bigint), updated_at = clock_timestamp()
    from {schema}.log l, {schema}.subscriptions s
   where c.subscription = cast(:name as text) and c.part = 0 and s.name = c.subscription
     and c.position = cast(:position as bigint) and c.term = cast(:term as bigint)
     and c.epoch = cast(:epoch as uuid) and l.epoch = c.epoch
  returning c.subscription, c.epoch, c.term, c.lo, c.hi, c.floors, s.generation, s.plan),
page as (
  insert into {schema}.delivered_pages
         (subscription, epoch, term, from_position, to_position, events, digest, offsets, generation, plan, lo, hi, floors)
  select subscription, epoch, term, cast(:position as bigint), cast(:to as bigint), cardinality(cast(:offsets as int[])),
         cast(:digest as bytea), cast(:offsets as int[]), generation, plan, lo, hi, floors
    from moved where cast(:to as bigint) > cast(:position as bigint))
select subscription from moved

-- name: halt — halt until an operator resumes, if the term is still ours; a repeat for the same reason keeps the first time
update {schema}.checkpoints
   set halted_at = case when halt_reason = cast(:reason as text) and halt_position is not distinct from cast(:position as bigint)
                        then halted_at else clock_timestamp() end,
       halt_position = cast(:position as bigint), halt_reason = cast(:reason as text)
 where subscription = cast(:name as text) and part = 0 and term = cast(:term as bigint) and epoch = cast(:epoch as uuid)
returning subscription

-- name: hand_over — record the event at which a pump stopped because its code does not handle it; for operators
update {schema}.checkpoints set unfit_position = cast(:position as bigint), unfit_reason = cast(:reason as text)
 where subscription = cast(:name as text) and part = 0 and term = cast(:term as bigint)

-- name: pause — pause for an operator
update {schema}.subscriptions set paused_at = coalesce(paused_at, clock_timestamp())
 where name = cast(:name as text)
returning name

-- name: resume — go on after a pause or halt
with head as (
  update {schema}.subscriptions set paused_at = null where name = cast(:name as text) returning name),
parts as (
  update {schema}.checkpoints c set halted_at = null, halt_position = null, halt_reason = null
    from head where c.subscription = head.name)
select name from head

-- name: resume_skipping — go on after a halt and record that its event is skipped; no row if no event is to blame
with head as materialized (
  select name from {schema}.subscriptions where name = cast(:name as text) for update),
halted as (
  select c.subscription, c.part, c.epoch, c.halt_position, c.halt_reason
    from head join {schema}.checkpoints c on c.subscription = head.name and c.halt_position is not null
     for update of c),
skipped as (
  insert into {schema}.skipped_events (subscription, epoch, position, reason)
  select subscription, epoch, halt_position, halt_reason from halted
  on conflict do nothing),
resumed as (
  update {schema}.subscriptions s set paused_at = null from halted where s.name = halted.subscription)
update {schema}.checkpoints c
   set halted_at = null, halt_position = null, halt_reason = null
  from halted where c.subscription = halted.subscription and c.part = halted.part
returning c.subscription

-- name: statuses — every subscription beside the head of the log
select s.name, s.app, s.generation, c.position, q.last_value, greatest(q.last_value - c.position, 0), c.term, c.owner, s.paused_at is not null,
       c.halt_position, c.halt_reason, c.halted_at, c.updated_at,
       case when c.position < c.unfit_position then c.unfit_position end, c.unfit_reason, g.alive_at,
       coalesce(g.left_at is null and g.alive_at >= clock_timestamp() - g.heartbeat, false)
  from {schema}.subscriptions s
  join {schema}.checkpoints c on c.subscription = s.name and c.part = 0
 cross join {schema}.position_seq q
  left join {schema}.pump_signs g on g.subscription = s.name
 order by s.name

-- name: position — the checkpoint of a subscription
select position from {schema}.checkpoints where subscription = cast(:name as text) and part = 0

-- name: transaction_limits — time-outs of this transaction only
select set_config('lock_timeout', cast(:lock_timeout as text), true),
       set_config('idle_in_transaction_session_timeout', cast(:idle_timeout as text), true)
