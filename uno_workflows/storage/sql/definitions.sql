-- name: define — say what a subscription reads; see 0007_definitions.sql for the outcomes
select outcome, generation, added, removed, detail
  from {schema}.define(cast(:name as text), cast(:app as text), cast(:shared_by as text), cast(:types as text[]), cast(:rules as text[]),
                       cast(:start as bigint), cast(:explicit as boolean), cast(:rekey as boolean))

-- name: settle_starts — have a saga's new types count from the bound of now: a transaction of its own, behind the one that defined
select {schema}.settle_starts(cast(:name as text))

-- name: definition — what a subscription reads now; in a later statement than the one that raised the term, for that one may have
-- waited for a change of it and would still see the old one
select s.generation, t.type, t.rule, t.from_position
  from {schema}.subscriptions s
  left join {schema}.subscription_types t on t.subscription = s.name and t.removed is null
 where s.name = cast(:name as text)

-- name: wanted_ranges — which types each subscription wants and wanted, in the order of their times
select subscription, type, rule, from_position, until_position
  from {schema}.subscription_types
 order by subscription, type, added

-- name: older_events — how many events of a type the log holds that do not count, because it was added behind them
select count(*) from {schema}.events e
  join {schema}.subscription_types t on t.subscription = cast(:name as text) and t.type = e.type and t.removed is null
 where e.type = cast(:type as text) and e.position <= t.from_position

-- name: claim_namespace — write down in which namespace of Temporal the workers of subscriptions run; those that are pumped in another
-- one, where no pump has stopped in order
with other as (
  select s.name, s.namespace, s.namespace is not null and exists (
           select from {schema}.checkpoints c where c.subscription = s.name and not c.in_order) as pumped
    from {schema}.subscriptions s
   where s.name = any(cast(:names as text[])) and s.namespace is distinct from cast(:namespace as text)),
claimed as (
  update {schema}.subscriptions s set namespace = cast(:namespace as text) from other o where s.name = o.name and not o.pumped)
select name, namespace from other where pumped order by name

-- name: store_id — by which Temporal's namespace tells this store from others
select store_id from {schema}.log

-- name: adopt — have a subscription belong to another app; whoever pumps it is fenced. No row if there is none
with adopted as (
  update {schema}.subscriptions s set app = cast(:app as text), namespace = null
    from (select name, app from {schema}.subscriptions where name = cast(:name as text) for update) before
   where s.name = before.name
  returning s.name, before.app),
fenced as (
  update {schema}.checkpoints c set term = c.term + 1, owner = null from adopted a where c.subscription = a.name)
select app from adopted
