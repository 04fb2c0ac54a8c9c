-- What each subscription handled, kept until an auditor has held it against the log without asking the fence (ADR 0013).

-- One row a move of a checkpoint, written by the statement that moves it, so that no move is without its page.
create table {schema}.delivered_pages (
  id            bigint      generated always as identity,  -- drawn behind the lock of the subscription's row: in order
  subscription  text        not null,
  epoch         uuid        not null,
  term          bigint      not null,
  from_position bigint      not null,  -- the checkpoint before; not itself part of the page
  to_position   bigint      not null,
  events        int         not null,
  digest        bytea       not null,  -- sha256 over the 16 bytes of each event's id, in log order
  offsets       int[]       not null,  -- positions of the events, counted from from_position: only to name a difference
  types         text[]      not null,  -- what was wanted then
  xact          xid8        not null default pg_current_xact_id(),
  handled_at    timestamptz not null default clock_timestamp(),
  primary key (subscription, epoch, id),
  check (from_position < to_position),
  check (events = cardinality(offsets))
);

-- One row a subscription and epoch: pages whose turn has come are merged into it, and so take no room any more.
create table {schema}.delivery_audits (
  subscription    text        not null,
  epoch           uuid        not null,
  from_position   bigint      not null,            -- where the record begins
  to_position     bigint      not null,            -- where the next page must begin
  page            bigint      not null default 0,  -- the last one that was looked at
  pages           bigint      not null default 0,  -- proven ones, with their events
  events          bigint      not null default 0,
  unaudited_pages bigint      not null default 0,  -- retention took their events before their turn came
  audited_at      timestamptz,
  primary key (subscription, epoch)
) with (fillfactor = 50);

-- What did not agree. A difference keeps its page, as evidence.
create table {schema}.delivery_findings (
  id            bigint      generated always as identity primary key,
  subscription  text        not null,
  epoch         uuid        not null,
  kind          text        not null check (kind in ('difference', 'gap', 'overlap')),
  page          bigint      not null,
  from_position bigint      not null,
  to_position   bigint      not null,
  types         text[]      not null,
  missing       bigint[]    not null,  -- in the log and never handled; the first 1,000
  extra         bigint[]    not null,  -- handled, and not (or not so) in the log; the first 1,000
  found_at      timestamptz not null default clock_timestamp(),
  settled_at    timestamptz,           -- when a person dealt with it
  note          text        not null default ''
);
create index delivery_findings_open on {schema}.delivery_findings (subscription, epoch) where settled_at is null;
