-- Named readers of the log: one row is the whole truth of a checkpoint, who may move it, and whether it stands still.

create table {schema}.subscriptions (
  name          text        primary key,
  position      bigint      not null check (position >= 0),  -- the last one that is finished
  epoch         uuid        not null,                        -- the life of the log that position belongs to
  term          bigint      not null default 0,              -- fencing token: grows at each take-over
  owner         text,
  paused_at     timestamptz,
  halted_at     timestamptz,
  halt_position bigint,
  halt_reason   text,
  registered_at timestamptz not null default clock_timestamp(),
  updated_at    timestamptz not null default clock_timestamp(),
  check ((halted_at is null) = (halt_reason is null))
) with (fillfactor = 50);  -- the checkpoint moves all the time: leave room to do so in place

-- Events that an operator let a subscription pass. Pages leave them out; the rows stay as the record of it.
create table {schema}.skipped_events (
  subscription text        not null,
  epoch        uuid        not null,
  position     bigint      not null,
  reason       text        not null,
  skipped_at   timestamptz not null default clock_timestamp(),
  primary key (subscription, epoch, position)
);
