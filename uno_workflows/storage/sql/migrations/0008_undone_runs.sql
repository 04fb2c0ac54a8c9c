-- Which runs were undone: from the moment an undo begins, nothing goes forward under their keys any more (ADR 0027). A
-- `workflow reset` has Temporal forget the undo; this table does not.

create table {schema}.undone_runs (
  workflow_id text        primary key,
  run_id      text        not null,  -- of the Temporal run that undid it
  plan        text[]      not null,  -- what it set out to take back: "<undo> for <activity id of the step>", in order of the steps
  begun_at    timestamptz not null default clock_timestamp(),
  ended_at    timestamptz            -- null while some of it may not be taken back yet
);

insert into {schema}.undone_runs (workflow_id, run_id, plan, begun_at, ended_at)
select workflow_id, coalesce(mark_run, temporal_run_id, ''), cast(array[] as text[]), closed_at, closed_at
  from {schema}.saga_runs
 where state in ('compensated', 'cancelled')
on conflict do nothing;

-- A run that was reset is found by its workflow id, which an activity knows; the key need not stand in it.
create index saga_runs_workflow_id on {schema}.saga_runs (workflow_id);

-- Claim a step's key, in the transaction of its effect: `claimed`, `known` (it was done before), or `undone` (its run was).
-- The shared lock is held until that transaction ends, and an undo waits for it: else a step could pass the check, be held up,
-- and commit after the undo found nothing to take back. In READ COMMITTED each statement of a function sees what was committed
-- before it began, so the check sees what the lock waited for.
create function {schema}.claim_step(the_key text, the_tenant text, the_run text) returns text
language plpgsql as $$
begin
  if the_run is not null then  -- null for an undo, which may always run
    perform pg_advisory_xact_lock_shared(hashtextextended('{schema}/' || the_run, 0));
    if exists (select from {schema}.undone_runs u where u.workflow_id = the_run) then
      return 'undone';
    end if;
  end if;
  insert into {schema}.step_results (key, tenant) values (the_key, the_tenant) on conflict (key) do nothing;
  return case when found then 'claimed' else 'known' end;
end $$;

-- Write down that a run is being undone, unless that stands there already; what stands there then. Waits for steps of the run
-- that are at work.
create function {schema}.begin_undo(the_run text, the_temporal_run text, the_plan text[]) returns setof {schema}.undone_runs
language plpgsql as $$
begin
  perform pg_advisory_xact_lock(hashtextextended('{schema}/' || the_run, 0));
  insert into {schema}.undone_runs (workflow_id, run_id, plan) values (the_run, the_temporal_run, the_plan)
  on conflict (workflow_id) do nothing;
  return query select u.* from {schema}.undone_runs u where u.workflow_id = the_run;
end $$;
