-- name: give_sign — record that these pumps are alive in this worker
insert into {schema}.pump_signs (subscription, owner, alive_at, heartbeat)
select name, cast(:owner as text), clock_timestamp(), make_interval(secs => cast(:heartbeat as float8))
  from unnest(cast(:names as text[])) as alive (name)
on conflict (subscription) do update
   set owner = excluded.owner, alive_at = excluded.alive_at, heartbeat = excluded.heartbeat, left_at = null

-- name: leave_pumps — record that these pumps have ended, unless another worker has them by now
update {schema}.pump_signs set left_at = clock_timestamp()
 where owner = cast(:owner as text) and subscription = any(cast(:names as text[]))
