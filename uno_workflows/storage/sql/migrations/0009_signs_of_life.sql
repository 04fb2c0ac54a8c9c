-- What is alive, and what stands still although nothing says so: pumps, and runs that cannot go on.

-- Which namespace of Temporal a run was started in, by its id there: that another one does not know the run says nothing of it.
alter table {schema}.saga_runs add column namespace_id text;

-- When a pump was last alive. A table of its own, because a projection's transaction holds the row of its checkpoint.
create table {schema}.pump_signs (
  subscription text        primary key,
  owner        text        not null,
  alive_at     timestamptz not null,
  heartbeat    interval    not null,  -- for how long one sign counts
  left_at      timestamptz            -- it was handed over, or its worker stopped
) with (fillfactor = 50);

-- What keeps an open run from going on. A row goes when the part goes on, and at the end of its run.
create table {schema}.saga_problems (
  workflow_id text        not null,
  part        text        not null,  -- empty for the run's own code, else the id of a step's call
  saga        text        not null,
  tenant      text        not null,
  key         text        not null,
  generation  int         not null,
  kind        text        not null check (kind in ('bug', 'nondeterministic', 'step')),
  reason      text        not null,
  since       timestamptz not null default clock_timestamp(),
  primary key (workflow_id, part)
);
