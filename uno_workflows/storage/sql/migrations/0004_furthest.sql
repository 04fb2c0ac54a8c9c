-- How far a run had read the log when it ended: what lies at or below and is delivered again was here, and is not late.

alter table {schema}.saga_runs add column furthest bigint;
