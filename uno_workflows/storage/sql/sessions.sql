-- name: end_silent — find sessions of ours whose client stopped in the middle of a statement, and end those that an earlier look
-- found in the same state; a client that copies may be slow
with silent as materialized (
  select pid, state_change, coalesce(host(client_addr) || ':' || client_port, 'a local socket') as client,
         extract(epoch from clock_timestamp() - state_change)::float8 as seconds
    from pg_stat_activity
   where datname = current_database() and usename = session_user and pg_has_role(usesysid, 'usage')
     and application_name = cast(cast(:application as text) as name)
     and state = 'active' and wait_event_type = 'Client' and wait_event = 'ClientRead' and query not ilike 'copy %'
     and state_change < clock_timestamp() - make_interval(secs => cast(:seconds as float8)))
select pid, state_change, client, seconds,
       case when (pid, state_change) in (select * from unnest(cast(:pids as int[]), cast(:changes as timestamptz[])))
            then pg_terminate_backend(pid) else false end
  from silent
