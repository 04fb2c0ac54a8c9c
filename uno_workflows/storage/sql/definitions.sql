-- name: define — define what a subscription reads; see 0007_definitions.sql for the outcomes
select outcome, generation, added, removed, detail
  from {schema}.define(cast(:name as text), cast(:app as text), cast(:shared_by as text), cast(:types as text[]), cast(:rules as text[]),
                       cast(:start as bigint), cast(:explicit as boolean), cast(:rekey as boolean))

-- name: settle_starts — a saga's new types count from the current bound; runs in a transaction of its own, after the one that defined
select {schema}.settle_starts(cast(:name as text))

-- name: definition — what a subscription reads now; runs in a later statement than the one that raised the term, because that one may
-- have waited for a change of the definition and would still see the old one
select s.generation, t.type, t.rule, t.from_position
  from {schema}.subscriptions s
  left join {schema}.subscription_types t on t.subscription = s.name and t.removed is null
 where s.name = cast(:name as text)

-- name: wanted_ranges — the types that each subscription wants or wanted, in the order of their times
select subscription, type, rule, from_position, until_position
  from {schema}.subscription_types
 order by subscription, type, added

-- name: older_events — how many events of a type do not count, because the type was added behind them
select count(*) from {schema}.events e
  join {schema}.subscription_types t on t.subscription = cast(:name as text) and t.type = e.type and t.removed is null
 where e.type = cast(:type as text) and e.position <= t.from_position

-- name: claim_namespace — record the Temporal namespace in which the workers of subscriptions run; returns those that are pumped in
-- another one, where the pump has not stopped in order
with mine as (
  select s.name, s.namespace, s.namespace is not null
         and case when s.namespace_id is null or cast(:namespace_id as text) is null then s.namespace <> cast(:namespace as text)
                  else s.namespace_id <> cast(:namespace_id as text) end
         and (exists (select from {schema}.checkpoints c where c.subscription = s.name and not c.in_order)
              or exists (select from {schema}.pump_signs p
                          where p.subscription = s.name and p.left_at is null
                            and p.alive_at + p.heartbeat > clock_timestamp())) as pumped
    from {schema}.subscriptions s
   where s.name = any(cast(:names as text[])) and (s.app is null or s.app = cast(:app as text))
   order by s.name for update of s),
claimed as (
  update {schema}.subscriptions s
     set namespace = cast(:namespace as text),
         namespace_id = case when s.namespace = cast(:namespace as text) then coalesce(cast(:namespace_id as text), s.namespace_id)
                             else cast(:namespace_id as text) end
    from mine m
   where s.name = m.name and not exists (select from mine where pumped)
     and (s.namespace, s.namespace_id) is distinct from (cast(:namespace as text), cast(:namespace_id as text)))
select name, namespace from mine where pumped order by name

-- name: store_id — the id that distinguishes this store from others in a Temporal namespace
select store_id from {schema}.log

-- name: adopt — move a subscription to another app, unless a pump of it is alive; its last pump is fenced off, and the app that it
-- leaves is recorded. No row if there is no such subscription
with before as materialized (
  select s.name, s.app, g.alive_at,
         coalesce(g.left_at is null and g.alive_at + g.heartbeat > clock_timestamp(), false) as pumped
    from {schema}.subscriptions s left join {schema}.pump_signs g on g.subscription = s.name
   where s.name = cast(:name as text) for update of s),
adopted as (
  update {schema}.subscriptions s set app = cast(:app as text), namespace = null, namespace_id = null
    from before b where s.name = b.name and not b.pumped
  returning s.name),
left_behind as (
  insert into {schema}.former_apps (subscription, app)
  select b.name, b.app from before b join adopted a on a.name = b.name where b.app <> cast(:app as text)
  on conflict do nothing),
fenced as (
  update {schema}.checkpoints c set term = c.term + 1, owner = null from adopted a where c.subscription = a.name)
select app, pumped from before

-- name: former_apps — the other apps that these subscriptions belonged to
select distinct app from {schema}.former_apps
 where subscription = any(cast(:names as text[])) and app <> cast(:app as text)
 order by app
