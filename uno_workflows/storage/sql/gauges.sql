-- name: log_gauges — the clock, how far the log goes and may be read, and how long the oldest transaction is open that holds readers back
select extract(epoch from clock_timestamp())::float8 as now, f.bound, f.head,
       case when f.bound < f.head then coalesce((
         select max(extract(epoch from clock_timestamp() - coalesce(a.xact_start, p.prepared)))::float8
           from pg_locks l
           left join pg_stat_activity a using (pid)
           left join pg_locks x on l.pid is null and x.locktype = 'transactionid' and x.virtualtransaction = l.virtualtransaction
           left join pg_prepared_xacts p on p.transaction = x.transactionid
          where l.locktype = 'advisory' and l.objsubid = 2 and l.mode = 'ShareLock' and l.granted
            and l.classid = '{schema}.position_seq'::regclass::oid
            and l.database = (select oid from pg_database where datname = current_database())), 0)
       else 0 end as fence_age
  from {schema}.frontier() f

-- name: subscription_gauges — how far each subscription is behind a bound, in positions and in seconds, and when it last moved or had nothing to do
select s.name, greatest(cast(:bound as bigint) - c.position, 0) as lag_events,
       greatest(coalesce(extract(epoch from clock_timestamp() - next.recorded_at), 0), 0)::float8 as lag_seconds,
       extract(epoch from case when c.position >= cast(:bound as bigint) then clock_timestamp() else c.updated_at end)::float8 as moved_at,
       s.paused_at is not null as paused, c.halted_at is not null as halted,
       extract(epoch from clock_timestamp())::float8 as now
  from {schema}.subscriptions s
  join {schema}.checkpoints c on c.subscription = s.name and c.part = 0
  left join lateral (
    select e.recorded_at from {schema}.events e
     where e.position > c.position and e.position <= cast(:bound as bigint)
     order by e.position limit 1) next on true
 order by s.name

-- name: run_gauges — how many runs are open
select saga, state, count(*) as runs from {schema}.saga_runs where closed_at is null group by saga, state

-- name: finding_gauges — what no person has settled yet: findings of a subscription, and how many events they say it never handled
select subscription, count(*) as findings, sum(cardinality(missing)) as skipped_events
  from {schema}.delivery_findings where settled_at is null group by subscription

-- name: standing — the newest migration that was applied, and whether this server lets us write: a standby answers, and is no use
select coalesce(max(number), 0) as number, current_setting('transaction_read_only')::boolean as read_only from {schema}.schema_migrations
