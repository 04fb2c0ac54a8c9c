-- What a subscription reads is stored, not taken from the code that reads; and its checkpoints move to a row a pump (ADR 0024).

-- In the order in which pumps lock them: a migration that took the log first could meet a pump in a deadlock.
lock table {schema}.subscriptions, {schema}.log, {schema}.delivered_pages in access exclusive mode;

-- Whose runs Temporal has: two stores may not be served by one app in one namespace, or steps of one act on the other.
alter table {schema}.log add column store_id uuid not null default gen_random_uuid();

alter table {schema}.subscriptions
  add column app        text,  -- null: from before this migration; the first app that defines it has it
  add column namespace  text,  -- of Temporal, where its app's workers run; null: none has started yet
  add column namespace_id text,  -- and its id there: two clusters each have a namespace "default"; null where we may not ask
  add column shared_by  text not null default 'stream' check (shared_by in ('stream', 'key')),  -- what pumps would divide it by
  add column generation int  not null default 0,  -- + 1 with each change of what is wanted; 0: not defined yet
  add column plan       int  not null default 0;  -- + 1 with each change of how many pumps divide it
update {schema}.subscriptions set shared_by = 'key' where name like 'saga:%';

-- What is wanted, since and until which generation. Rows are never deleted: auditors hold older pages against them.
create table {schema}.subscription_types (
  subscription   text   not null references {schema}.subscriptions on delete cascade,
  type           text   not null,
  rule           text   not null default '', -- of a saga: its role and key, such as `start:order_id` or `hear:fn shop.key_of`
  from_position  bigint,                     -- the events behind it count; null: the bound is not taken yet
  added          int    not null,            -- first generation with it
  removed        int,                        -- first generation without it
  until_position bigint,                     -- where the checkpoint stood when it was removed
  primary key (subscription, type, added)
);
create unique index subscription_types_wanted on {schema}.subscription_types (subscription, type) where removed is null;

-- One row a pump: the buckets that it reads, its checkpoint, its term. Every subscription has one, for all buckets.
create table {schema}.checkpoints (
  subscription   text        not null references {schema}.subscriptions on delete cascade,
  part           smallint    not null check (part between 0 and 63),
  lo             smallint    not null check (lo between 0 and 255),
  hi             smallint    not null check (hi between lo and 255),
  position       bigint      not null check (position >= 0),  -- the last one that is finished
  floors         jsonb,                                       -- [[lo, hi, position]] of buckets that are ahead of it
  epoch          uuid        not null,                        -- the life of the log that position belongs to
  term           bigint      not null default 0,              -- fencing token: grows at each take-over and change of the definition
  owner          text,
  in_order       boolean     not null default true,           -- the last owner left, and nothing of its was in flight
  halted_at      timestamptz,
  halt_position  bigint,
  halt_reason    text,
  unfit_position bigint,  -- the event at which a pump handed over, because its code does not handle it; passed once behind position
  unfit_reason   text,
  updated_at     timestamptz not null default clock_timestamp(),
  primary key (subscription, part),
  check ((halted_at is null) = (halt_reason is null))
) with (fillfactor = 50);  -- the checkpoint moves all the time: leave room to do so in place

insert into {schema}.checkpoints (subscription, part, lo, hi, position, epoch, term, in_order, halted_at, halt_position, halt_reason, updated_at)
select name, 0, 0, 255, position, epoch, term + 1, false, halted_at, halt_position, halt_reason, updated_at from {schema}.subscriptions;
-- A pump of older code finds its columns gone: it fails by name, and moves nothing under a definition that it does not know.
alter table {schema}.subscriptions
  drop column position, drop column epoch, drop column term, drop column owner,
  drop column halted_at, drop column halt_position, drop column halt_reason, drop column updated_at;

-- A page says under which definition it was read, and not what its pump wanted. An auditor of older code fails by name too.
alter table {schema}.delivered_pages rename column types to types_before;  -- of pages that older code wrote; null since
alter table {schema}.delivered_pages
  alter column types_before drop not null,
  add column generation int,
  add column plan       int,
  add column lo         smallint,
  add column hi         smallint,
  add column floors     jsonb,
  add check ((types_before is null) = (generation is not null));

-- Say what a subscription reads. Pumps are fenced by the term, and meet the new definition at their next take-over.
--   outcome    unknown: there is no row yet, and p_start was not given. unchanged. created, adopted, changed: see added and removed.
--              other_app, was_removed, rule_changed, run_open: nothing was done, and detail says why
--   p_explicit the definition is exactly this. Without it, types are only added, and only those that never were there
--   p_rekey    with p_explicit: also give wanted types another rule, if no run and no event is under way by the old one
create function {schema}.define(
  p_name text, p_app text, p_shared_by text, p_types text[], p_rules text[], p_start bigint, p_explicit boolean, p_rekey boolean,
  out outcome text, out generation int, out added text[], out removed text[], out detail text)
language plpgsql volatile as $$
#variable_conflict use_column
declare
  known   {schema}.subscriptions;
  adds    text[];
  drops   text[];
  rekeyed text[];
  reached bigint;
begin
  for locked in 0 .. 1 loop  -- at first without a lock: a worker that changes nothing waits for no pump and no other worker
    if locked = 1 then
      if p_start is not null then
        insert into {schema}.subscriptions (name, app, shared_by) values (p_name, p_app, p_shared_by) on conflict (name) do nothing;
        if found then
          outcome := 'created';
          insert into {schema}.checkpoints (subscription, part, lo, hi, position, epoch)
          select p_name, 0, 0, 255, p_start, l.epoch from {schema}.log l;
        end if;
      end if;
      perform from {schema}.subscriptions where name = p_name for update;  -- the queue of all that define it
    end if;
    select * into known from {schema}.subscriptions where name = p_name;
    if known.name is null and (locked = 1 or p_start is null) then
      outcome := 'unknown';
      return;
    elsif known.app <> p_app then
      outcome := 'other_app';
      detail := known.app;
      return;
    end if;
    select array_agg(w.type order by w.type) into adds from unnest(p_types) w (type)
     where not exists (select from {schema}.subscription_types t
                        where t.subscription = p_name and t.type = w.type and t.removed is null);
    select array_agg(t.type order by t.type) into drops from {schema}.subscription_types t
     where p_explicit and t.subscription = p_name and t.removed is null and t.type <> all (p_types);
    select array_agg(t.type order by t.type), string_agg(t.type || ' was ' || t.rule || ', is ' || w.rule, '; ' order by t.type)
      into rekeyed, detail
      from {schema}.subscription_types t join unnest(p_types, p_rules) w (type, rule) on w.type = t.type and w.rule <> t.rule
     where t.subscription = p_name and t.removed is null;
    if locked = 0 and known.app = p_app and coalesce(adds, drops, rekeyed) is null then
      outcome := 'unchanged';
      generation := known.generation;
      return;
    end if;
  end loop;

  if rekeyed is not null and not (p_explicit and p_rekey) then
    outcome := 'rule_changed';
    return;
  end if;
  if not p_explicit then
    select string_agg(distinct t.type, ', ' order by t.type) into detail from {schema}.subscription_types t
     where t.subscription = p_name and t.type = any (adds);
    if detail is not null then  -- is this worker newer than the removal, or what was removed? Without a clock it cannot be told
      outcome := 'was_removed';
      return;
    end if;
  end if;
  perform from {schema}.checkpoints c where c.subscription = p_name order by c.part for update;  -- waits for a batch that commits
  if rekeyed is not null then
    detail := {schema}.under_way(p_name);
    if detail is not null then
      outcome := 'run_open';
      return;
    end if;
  end if;
  if outcome is null then
    outcome := case when known.generation = 0 then 'adopted' when coalesce(adds, drops, rekeyed) is null then 'unchanged' else 'changed' end;
  end if;
  generation := known.generation;
  if outcome = 'unchanged' then  -- another worker was faster
    return;
  end if;

  select max(c.position) into reached from {schema}.checkpoints c where c.subscription = p_name;
  generation := known.generation + 1;
  update {schema}.subscriptions set generation = known.generation + 1, app = p_app where name = p_name;
  update {schema}.subscription_types t set removed = known.generation + 1, until_position = reached
   where t.subscription = p_name and t.removed is null and (t.type = any (drops) or t.type = any (rekeyed));
  insert into {schema}.subscription_types (subscription, type, rule, from_position, added)
  select p_name, w.type, w.rule,
         case when w.type = any (rekeyed) then reached  -- nothing is under way, so the checkpoint is all there is
              when outcome = 'created' then p_start
              when known.shared_by = 'stream' then case outcome when 'adopted' then 0 else reached end
              -- a saga's deliveries run ahead of the checkpoint, and what comes after them is dropped as a repeat: a type that is
              -- new counts from the bound, which a later transaction takes, when no pump delivers by the old definition any more
              when outcome = 'adopted' then reached end,
         known.generation + 1
    from unnest(p_types, p_rules) w (type, rule) where w.type = any (adds) or w.type = any (rekeyed);
  update {schema}.checkpoints set term = term + 1, owner = null, unfit_position = null, unfit_reason = null
   where subscription = p_name and outcome <> 'created';  -- the fence
  added := adds;
  removed := drops;
  detail := case when rekeyed is null then null else array_to_string(rekeyed, ', ') end;
end $$;

-- What is under way by a saga's present keys, in words; null if there is nothing. Its checkpoints must be locked.
create function {schema}.under_way(p_name text) returns text language sql stable as $$
  select nullif(concat_ws(', ',
    case when runs > 0 then runs || ' open runs' end,
    case when waiting > 0 then waiting || ' events that wait for their start' end,
    case when leased then 'deliveries of a pump that has not stopped in order' end), '')
    from (select (select count(*) from {schema}.saga_runs r where 'saga:' || r.saga = p_name and r.closed_at is null) as runs,
                 (select count(*) from {schema}.saga_pending p where 'saga:' || p.saga = p_name) as waiting,
                 exists (select from {schema}.checkpoints c where c.subscription = p_name and not c.in_order) as leased) found
$$;

-- The second transaction of define: a saga's new types count from the bound of now. Take-overs do it too, should the process that
-- defined have died in between.
create function {schema}.settle_starts(p_name text) returns void language plpgsql volatile as $$
declare
  reached bigint;
begin
  if exists (select from {schema}.subscription_types t where t.subscription = p_name and t.from_position is null) then
    select f.bound into reached from {schema}.frontier() f;
    update {schema}.subscription_types set from_position = reached where subscription = p_name and from_position is null;
  end if;
end $$;
