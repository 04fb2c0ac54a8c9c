-- What outlives Temporal's memory: which sagas were ever started and how they ended, and what steps already did.

-- Never pruned: the row is what makes a start idempotent for ever.
create table {schema}.saga_runs (
  saga            text        not null,
  tenant          text        not null,
  key             text        not null,
  generation      int         not null check (generation >= 0),
  workflow_id     text        not null,
  start_event_id  uuid,    -- null until the dispatcher writes it down: a quick saga may end before that
  start_position  bigint,
  epoch           uuid,
  temporal_run_id text,
  state           text        not null
                  check (state in ('open', 'compensation_failed', 'done', 'compensated', 'cancelled', 'terminated')),
  reason          text        not null default '',
  started_at      timestamptz not null default clock_timestamp(),
  closed_at       timestamptz,
  primary key (saga, tenant, key, generation),
  check ((closed_at is null) = (state in ('open', 'compensation_failed')))
);
create index saga_runs_open on {schema}.saga_runs (saga, workflow_id) where closed_at is null;
create index saga_runs_newest on {schema}.saga_runs (started_at);

-- Events that came before the start of their saga; they are delivered with it.
create table {schema}.saga_pending (
  saga       text        not null,
  tenant     text        not null,
  key        text        not null,
  position   bigint      not null,
  event_id   uuid        not null,
  event_type text        not null,
  added_at   timestamptz not null default clock_timestamp(),
  primary key (saga, tenant, key, position)
);

-- Events that came after the end of their saga: counted and shown, never silently dropped.
create table {schema}.saga_late (
  saga       text        not null,
  tenant     text        not null,
  key        text        not null,
  generation int         not null,
  position   bigint      not null,
  event_id   uuid        not null,
  event_type text        not null,
  reason     text        not null,
  added_at   timestamptz not null default clock_timestamp(),
  primary key (saga, tenant, key, event_id)
);

-- The memory of transactional steps. The result is null only inside the transaction that is at work on it.
create table {schema}.step_results (
  key     text        primary key,
  tenant  text        not null,
  result  bytea,
  done_at timestamptz not null default clock_timestamp()
);
