-- A transaction has its number before it draws a position, by plain INSERT and COPY as well as by append(). So to an auditor, which
-- waits for every transaction with a lower number than its page, nobody who may still fill the page is invisible (ADR 0013).

-- As in 0001, but for the number. It is the transaction's, so it stays when a savepoint falls.
create or replace function {schema}.fence_enter() returns trigger language plpgsql as $$
declare
  setting constant text := 'uno_fence.' || tg_table_schema;
  held    constant text := current_setting(setting, true);
  number  constant xid8 := pg_current_xact_id();  -- append() has one by now, and gets the same
  ticket  bigint;
  done    text;  -- an assignment is evaluated in place, where PERFORM would start the executor
begin
  select last_value - (not is_called)::int into ticket from {schema}.position_seq;
  if held is null or held = '' then
    done := set_config(setting, ticket::text, true);
  else
    ticket := least(ticket, held::bigint);
  end if;
  done := pg_advisory_xact_lock_shared('{schema}.position_seq'::regclass::oid::int4, ticket::bit(32)::int4);
  return null;
end $$;
