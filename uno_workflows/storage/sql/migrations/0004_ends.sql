-- How far a run had read the log when it ended, and which of its own marks is the newest: a workflow task that was lost after
-- it wrote "done" is done again, perhaps with an event that changes the end.

alter table {schema}.saga_runs
  add column furthest bigint,
  add column mark_run text,
  add column mark     bigint;
