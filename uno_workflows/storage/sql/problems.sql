-- name: note_problem — record why a run cannot go on, unless the run is closed; a repeat keeps the first time
insert into {schema}.saga_problems as p (workflow_id, part, saga, tenant, key, generation, kind, reason)
select cast(:workflow_id as text), cast(:part as text), cast(:saga as text), cast(:tenant as text), cast(:key as text),
       cast(:generation as int), cast(:kind as text), cast(:reason as text)
 where not exists (select from {schema}.saga_runs r
                    where r.saga = cast(:saga as text) and r.tenant = cast(:tenant as text) and r.key = cast(:key as text)
                      and r.generation = cast(:generation as int) and r.closed_at is not null)
on conflict (workflow_id, part) do update set kind = excluded.kind, reason = excluded.reason

-- name: drop_problem — delete the problem of a part that goes on
delete from {schema}.saga_problems where workflow_id = cast(:workflow_id as text) and part = cast(:part as text)

-- name: problems — why runs cannot go on, the oldest problem first
select workflow_id, part, kind, reason, since from {schema}.saga_problems
 order by since limit cast(:limit as bigint)
