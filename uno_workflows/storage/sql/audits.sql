-- name: audit_pages — compare the next pages of one subscription with the log; a row without a finding only has the progress
with snapshot as materialized (  -- the snapshot that reads the events below: for it a finished transaction is visible or aborted
  select pg_snapshot_xmin(pg_current_snapshot()) as oldest, pg_snapshot_xmax(pg_current_snapshot()) as next),
turn as (  -- another auditor takes another subscription
  select a.subscription, a.epoch, a.to_position, a.page
    from {schema}.delivery_audits a
   cross join snapshot s
   cross join lateral (
      select p.id, p.xact from {schema}.delivered_pages p
       where p.subscription = a.subscription and p.epoch = a.epoch and p.id > a.page
       order by p.id limit 1) first
   where first.xact < s.oldest or first.xact >= s.next
   order by first.id limit 1
     for update of a skip locked),
chain as (  -- the pages, each with the types and start positions in its generation's definition; only old pages carry types
  select p.*, coalesce(p.types_before, wanted.types) as types, wanted.froms, lag(p.to_position, 1, p.begins) over (order by p.id) as before,
         bool_and(p.xact < s.oldest or p.xact >= s.next) over (order by p.id) as ripe  -- a transaction id from the future comes from a dump
    from snapshot s
   cross join (
      select p.*, t.to_position as begins
        from turn t
       cross join lateral (
          select * from {schema}.delivered_pages d
           where d.subscription = t.subscription and d.epoch = t.epoch and d.id > t.page
           order by d.id limit cast(:limit as bigint)) p) p
 cross join lateral (
    select coalesce(array_agg(w.type order by w.type), '{}') as types, array_agg(w.from_position order by w.type) as froms
      from {schema}.subscription_types w
     where w.subscription = p.subscription and w.added <= p.generation and (w.removed is null or p.generation < w.removed)) wanted),
judged as (
  select c.*, c.from_position + 1 < l.first_position as retained, c.events = found.events and c.digest = found.digest as agrees
    from chain c
   cross join {schema}.log l
   cross join lateral (
      select count(*) as events, sha256(coalesce(string_agg(uuid_send(e.event_id), ''::bytea order by e.position), ''::bytea)) as digest
        from {schema}.events e
       where e.position > c.from_position and e.position <= c.to_position and e.type = any(c.types)
         and (c.generation is null or e.position > c.froms[array_position(c.types, e.type)])
         and (not exists (select from {schema}.skipped_events k
                           where k.subscription = c.subscription and k.epoch = c.epoch and k.position = e.position)
              or (e.position - c.from_position)::int = any(c.offsets))) found
   where c.ripe),
differing as (
  select j.id, j.subscription, j.epoch, j.from_position, j.to_position, j.types,
         array(select e.position from {schema}.events e
                where e.position > j.from_position and e.position <= j.to_position and e.type = any(j.types)
                  and (j.generation is null or e.position > j.froms[array_position(j.types, e.type)])
                  and (e.position - j.from_position)::int <> all(j.offsets)
                  and not exists (select from {schema}.skipped_events k
                                   where k.subscription = j.subscription and k.epoch = j.epoch and k.position = e.position)
                order by e.position limit 1000) as missing,
         array(select j.from_position + o.n from unnest(j.offsets) o (n)
                group by o.n
               having count(*) > 1 or not exists (select from {schema}.events e
                                                   where e.position = j.from_position + o.n and e.type = any(j.types)
                                                     and (j.generation is null or e.position > j.froms[array_position(j.types, e.type)]))
                order by o.n limit 1000) as extra
    from judged j where not j.agrees and not j.retained),
found as (
  insert into {schema}.delivery_findings as f (subscription, epoch, kind, page, from_position, to_position, types, missing, extra)
  select subscription, epoch, case when before < from_position then 'gap' else 'overlap' end, id,
         least(before, from_position), greatest(before, from_position), types, '{}', '{}'
    from judged where before <> from_position
   union all
  select subscription, epoch, 'difference', id, from_position, to_position, types, missing, extra from differing
  returning f.*),
dropped as (
  delete from {schema}.delivered_pages p using judged j
   where p.subscription = j.subscription and p.epoch = j.epoch and p.id = j.id and (j.agrees or j.retained)),
merged as (
  update {schema}.delivery_audits a
     set to_position = last.to_position, page = last.id, audited_at = clock_timestamp(),
         pages = a.pages + total.pages, events = a.events + total.events, unaudited_pages = a.unaudited_pages + total.unaudited
    from (select count(*) filter (where agrees and not retained) as pages,
                 coalesce(sum(events) filter (where agrees and not retained), 0) as events,
                 count(*) filter (where retained) as unaudited from judged) total,
         (select * from judged order by id desc limit 1) last
   where a.subscription = last.subscription and a.epoch = last.epoch)
select counted.looked_at, counted.unaudited, f.id, f.subscription, f.epoch, f.kind, f.from_position, f.to_position, f.types,
       f.missing, f.extra, f.found_at, f.settled_at, f.note
  from (select count(*) as looked_at, count(*) filter (where retained) as unaudited from judged) counted
  left join found f on true
 order by f.id

-- name: audit_statuses — how far each subscription is proven, and which pages wait for their turn
with snapshot as materialized (
  select pg_snapshot_xmin(pg_current_snapshot()) as oldest, pg_snapshot_xmax(pg_current_snapshot()) as next),
known as (
  select subscription, epoch from {schema}.delivery_audits
   union
  select subscription, epoch from {schema}.checkpoints)
select k.subscription, k.epoch, k.epoch = l.epoch, coalesce(a.from_position, s.position), coalesce(a.to_position, s.position),
       coalesce(a.pages, 0), coalesce(a.events, 0), coalesce(a.unaudited_pages, 0), a.audited_at,
       w.pages, w.events, w.ripe, w.since, w.ends, s.position
  from known k
 cross join {schema}.log l
 cross join snapshot n
  left join {schema}.delivery_audits a on a.subscription = k.subscription and a.epoch = k.epoch
  left join {schema}.checkpoints s on s.subscription = k.subscription and s.epoch = k.epoch and s.part = 0
 cross join lateral (
    select count(*) as pages, coalesce(sum(p.events), 0) as events, min(p.handled_at) as since,
           count(*) filter (where p.xact < n.oldest or p.xact >= n.next) as ripe,
           (array_agg(p.to_position order by p.id desc))[1] as ends
      from {schema}.delivered_pages p
     where p.subscription = k.subscription and p.epoch = k.epoch and p.id > a.page) w
 order by k.subscription, a.page, k.epoch

-- name: open_findings — differences that no person has settled
select id, subscription, epoch, kind, from_position, to_position, types, missing, extra, found_at, settled_at, note
  from {schema}.delivery_findings
 where settled_at is null
 order by id

-- name: settle_finding — record that a person dealt with it; no row if there is no open finding of that number
update {schema}.delivery_findings set settled_at = clock_timestamp(), note = cast(:note as text)
 where id = cast(:id as bigint) and settled_at is null
returning id

-- name: audit_holder — the oldest transaction of the server that has written something and not ended
select o.pid, o.gid, coalesce(a.datname, o.database)::text, coalesce(a.usename, o.owner)::text, coalesce(a.application_name, ''),
       extract(epoch from clock_timestamp() - coalesce(a.xact_start, o.prepared))::float8, coalesce(a.state, 'prepared')
  from (select pid, null::text as gid, backend_xid as xid, null::name as database, null::name as owner, null::timestamptz as prepared
          from pg_stat_activity where backend_xid is not null and pid <> pg_backend_pid()
         union all
        select null, gid, transaction, database, owner, prepared from pg_prepared_xacts) o
  left join pg_stat_activity a using (pid)
 order by age(o.xid) desc limit 1
