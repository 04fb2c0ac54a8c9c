-- name: note_problem — record why a run cannot go on, unless the run is closed; a repeat keeps the first time
insert into {schema}.saga_problems as p (workflow_id, part, saga, tenant, key, generation, kind, reason)
select cast(:workflow_id as text), cast(:part as text), coalesce(r.saga, cast(:saga as text)), coalesce(r.tenant, cast(:tenant as text)),
       coalesce(r.key, cast(:key as text)), coalesce(r.generation, cast(:generation as int)), cast(:kind as text), cast(:reason as text)
  from (select) as one
  left join {schema}.saga_runs r on r.workflow_id = cast(:workflow_id as text)
 where r.closed_at is null and coalesce(r.saga, cast(:saga as text)) is not null
on conflict (workflow_id, part) do update set kind = excluded.kind, reason = excluded.reason

-- name: drop_problem — delete the problem of a part that goes on
delete from {schema}.saga_problems where workflow_id = cast(:workflow_id as text) and part = cast(:part as text)

-- name: problems — why runs cannot go on, the oldest problem first
select workflow_id, part, kind, reason, since from {schema}.saga_problems
 order by since limit cast(:limit as bigint)
