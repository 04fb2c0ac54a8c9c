-- name: checks — what the fence and the log's promises rest on; a name, whether it holds, and what to do
select 'sequence hands out one position at a time' as name, seqcache = 1 and seqincrement = 1 and not seqcycle as ok,
       'run: alter sequence ' || seqrelid::regclass || ' cache 1 increment 1 no cycle; other settings lose events' as advice
  from pg_sequence where seqrelid = '{schema}.position_seq'::regclass
union all
select 'head of the log is its last position', (select last_value from {schema}.position_seq) >= coalesce(max(position), 0),
       'the log was restored without its sequence: call setval beyond max(position) and every checkpoint'
  from {schema}.events
union all
select 'text is kept as UTF-8', current_setting('server_encoding') = 'UTF8',
       'this database is ' || current_setting('server_encoding') || ', which cannot hold every text: create one with encoding ''UTF8'' template template0'
union all
select 'fence is up', exists (select from pg_trigger where tgrelid = '{schema}.events'::regclass and tgname = 'fence' and tgenabled = 'A'),
       'run: alter table events enable always trigger fence; until then readers lose events'
union all
select 'events cannot be changed',
       exists (select from pg_trigger where tgrelid = '{schema}.events'::regclass and tgname = 'unchangeable' and tgenabled = 'A'),
       'run: alter table events enable always trigger unchangeable'
union all
select 'commits are durable', current_setting('fsync') = 'on' and current_setting('full_page_writes') = 'on',
       'set fsync = on and full_page_writes = on: after a crash, positions that were read could be given to other events'
union all
select 'commits wait for the disk', current_setting('synchronous_commit') <> 'off',
       'set synchronous_commit = on; appends do so themselves, other commits of the product do not'
union all
select 'this is the primary', not pg_is_in_recovery(), 'point the URL at the primary: a replica does not know who is appending'
union all
select 'READ COMMITTED is the default', current_setting('default_transaction_isolation') = 'read committed',
       'set default_transaction_isolation = ''read committed'' for this role or database'
union all
select 'idle transactions are ended', current_setting('idle_in_transaction_session_timeout') <> '0',
       'set idle_in_transaction_session_timeout: an appender that never commits stops all readers'
union all
select 'this is PostgreSQL',
       version() !~* '(cockroach|yugabyte|redshift|dsql)' and not exists (select from pg_extension where extname = 'citus'),
       'use PostgreSQL: the fence needs its sequences, triggers and advisory locks'
union all
select 'room for locks',
       (select count(*) from pg_locks where not fastpath) < 0.5 * current_setting('max_locks_per_transaction')::int
         * (current_setting('max_connections')::int + current_setting('max_prepared_transactions')::int),
       'find who holds so many locks, or raise max_locks_per_transaction'

-- name: holders — who keeps readers from going on, oldest first; a prepared transaction has no process, so its name is given
with head as (select last_value as position from {schema}.position_seq),
prepared as (
  select l.virtualtransaction, p.gid, p.prepared, p.owner
    from pg_prepared_xacts p
    join pg_locks l on l.locktype = 'transactionid' and l.transactionid = p.transaction)
select h.position - ((h.position - l.objid::bigint) & 4294967295) as readers_stop_at, l.pid, p.gid,
       coalesce(a.usename, p.owner)::text as role, coalesce(a.application_name, '') as application,
       extract(epoch from clock_timestamp() - coalesce(a.xact_start, p.prepared))::float8 as seconds, coalesce(a.state, 'prepared') as state
  from pg_locks l
 cross join head h
  left join pg_stat_activity a using (pid)
  left join prepared p using (virtualtransaction)
 where l.locktype = 'advisory' and l.objsubid = 2 and l.mode = 'ShareLock' and l.granted
   and l.classid = '{schema}.position_seq'::regclass::oid
   and l.database = (select oid from pg_database where datname = current_database())
 order by 1, 2
