"""What spoils a sound bank, for each check of the checker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

from integration.bank.banks import of

from workers.bank.fates import Fate

Line = dict[str, Any]
Plant = tuple[str, str, str | Callable[[list[Line]], object]]
"""Which check, which invariant it must name, and what spoils it: SQL, or a change of the ledger's lines."""

SETTLED, FLAKY, CANCELLED = of(Fate.SETTLED), of(Fate.FLAKY), of(Fate.CANCELLED)
FEE_REFUSED, CREDIT_REFUSED, APPROVED = of(Fate.FEE_REFUSED), of(Fate.CREDIT_REFUSED), of(Fate.APPROVED)
EVENT = f"""
select uno.append('', 'account-0', -2, 0::smallint, 'c', array['{uuid4()}'::uuid], array['%s'], array[1]::smallint[],
                  array[convert_to('%s', 'UTF8')], array[convert_to('{{"correlation_id":"c"}}', 'UTF8')])"""
DEPOSIT = '{"account_id":"0","amount":7,"receipt":"r"}'
APPROVAL = '{"transfer_id":"nobody","by":"me"}'
PASS_ALL = "update uno.checkpoints set position = (select last_value from uno.position_seq)"
DEBIT_AGAIN = f"""
insert into bank.postings (transfer_id, account_id, kind, amount, key)
select transfer_id, account_id, kind, amount, key from bank.postings where kind = 'debit' and transfer_id = '{SETTLED}'"""
PAGES = """
create table if not exists uno.delivered_pages (subscription text, epoch uuid, term bigint, from_position bigint,
  to_position bigint, events int, digest bytea, offsets int[], types_before text[]);
create table if not exists uno.delivery_findings (subscription text, epoch uuid, kind text, page bigint, from_position bigint,
  to_position bigint, types text[], missing bigint[], extra bigint[], settled_at timestamptz);"""
PAGE = (
    PAGES
    + """
insert into uno.delivered_pages (subscription, epoch, term, from_position, to_position, events, digest, offsets, types_before)
select 'projection:Balances', epoch, 1, 0, 5, 1, '\\x00', array[1], array['AccountOpened'] from uno.log"""
)
ALARM = (
    PAGES
    + """
insert into uno.delivery_findings (subscription, epoch, kind, page, from_position, to_position, types, missing, extra)
select 'projection:Balances', epoch, 'difference', 1, 0, 5, array['AccountOpened'], array[3], array[]::bigint[] from uno.log"""
)


TWICE = """
alter table uno.events drop constraint events_event_id_key;
insert into uno.events (version, event_id, schema_version, bucket, tenant, stream_id, type, correlation_id, payload, metadata)
select version + 100, event_id, schema_version, bucket, tenant, stream_id, type, correlation_id, payload, metadata
  from uno.events where type = 'CashPaidIn' limit 1"""


def transfer(column: str, of: str) -> str:
    """SQL: this column, or this column of a payload, names this transfer."""
    return f"{column} = '{of}'" if column != "payload" else f"convert_from(payload, 'UTF8')::json->>'transfer_id' = '{of}'"


def line(lines: list[Line], did: str, **facts: Any) -> Line:
    """The first line of the ledger like this."""
    return next(each for each in lines if each["did"] == did and facts.items() <= each.items())


def refusal(lines: list[Line]) -> Line:
    """A refusal of something that is stored."""
    ok = line(lines, "ok", intent=f"TransferRequested {SETTLED}")
    return {"did": "refused", "intent": ok["intent"], "ids": ok["ids"], "error": "WrongExpectedVersion", "actual": 0}


PLANTS: list[Plant] = [
    # appends
    ("acknowledged_events_are_there", "I1", "delete from uno.events where type = 'CashPaidIn'"),
    ("acknowledged_events_are_there", "I1", "update uno.events set stream_id = 'x-' || position where type = 'CashPaidIn'"),
    (
        "acknowledged_events_are_there",
        "I1",
        "update uno.events set payload = convert_to(replace(convert_from(payload, 'UTF8'), 'nt\":', 'nt\":1'), 'UTF8')"
        " where type = 'CashPaidIn'",
    ),
    ("refused_events_are_not_there", "I1", lambda lines: lines.append(refusal(lines))),
    (
        "refused_events_are_not_there",
        "I1",
        lambda lines: lines.append({**refusal(lines), "ids": [], "error": "DuplicateEventId"}),
    ),
    (
        "refused_events_are_not_there",
        "I1",
        lambda lines: lines.append({**refusal(lines), "did": "surprise", "error": "KeyError: 3"}),
    ),
    ("events_were_tried", "I1", EVENT % ("CashPaidIn", DEPOSIT)),
    (
        "events_were_tried",
        "I1",
        lambda lines: lines.append(
            {
                **(tried := line(lines, "try", intent=f"TransferRequested {SETTLED}")),
                "writes": [{**tried["writes"][0], "ids": [str(uuid4())]}],
            }
        ),
    ),
    ("ids_are_unique", "I1", TWICE),
    ("tries_are_settled", "I1", lambda lines: lines.remove(line(lines, "ok", intent=f"TransferRequested {SETTLED}"))),
    (
        "versions_have_no_holes",
        "I2",
        f"delete from uno.events where type = 'TransferRequested' and {transfer('payload', SETTLED)}",
    ),
    ("versions_have_no_holes", "I2", f"update uno.streams set version = version + 1 where stream_id = 'transfer-{SETTLED}'"),
    (
        "expected_versions_were_honoured",
        "I2",
        lambda lines: line(lines, "ok", intent=f"TransferRequested {SETTLED}").update(first_versions=[2]),
    ),
    ("expected_versions_were_honoured", "I2", lambda lines: lines.append(refusal(lines))),
    # delivery
    ("starts_have_their_run", "I3", f"delete from uno.saga_runs where key = '{SETTLED}'"),
    ("starts_have_their_run", "I3", f"update uno.saga_runs set start_event_id = '{uuid4()}' where key = '{SETTLED}'"),
    (
        "runs_have_their_start",
        "I5",
        "insert into uno.saga_runs (saga, tenant, key, generation, workflow_id, start_event_id, state, closed_at)"
        f" select saga, tenant, key, 1, workflow_id, start_event_id, state, closed_at from uno.saga_runs where key = '{SETTLED}'",
    ),
    ("runs_have_their_start", "I5", f"update uno.saga_runs set key = 'nobody' where key = '{SETTLED}'"),
    ("early_events_wait", "I11", f"{EVENT % ('TransferApproved', APPROVAL)};{PASS_ALL}"),
    ("events_came_to_an_end", "I11", f"update uno.saga_runs set furthest = 0 where key = '{APPROVED}'"),
    (
        "events_came_to_an_end",
        "I11",
        "insert into uno.saga_pending select 'Transfer', '', convert_from(payload, 'UTF8')::json->>'transfer_id', position,"
        f" event_id, type from uno.events where type = 'TransferApproved' and {transfer('payload', APPROVED)}",
    ),
    (
        "late_events_are_of_the_log",
        "I11",
        f"insert into uno.saga_late values ('Transfer', '', '{SETTLED}', 0, 3, '{uuid4()}', 'TransferApproved', 'late')",
    ),
    (
        "late_events_were_not_read",
        "I11",
        "insert into uno.saga_late"
        f" values ('Transfer', '', '{SETTLED}', 0, 1, '{uuid4()}', 'TransferCancelled', 'the saga was over')",
    ),
    (
        "late_events_were_not_read",
        "I5",
        "insert into uno.saga_late select 'Transfer', '', convert_from(payload, 'UTF8')::json->>'transfer_id', 0, position,"
        " event_id, type, 'arrived, and was not taken before the end' from uno.events"
        f" where type = 'TransferApproved' and {transfer('payload', APPROVED)}",
    ),
    ("halts_have_a_name", "I11", "update uno.checkpoints set halted_at = now(), halt_reason = ' '"),
    ("checkpoints_are_of_this_log", "I4", "update uno.log set epoch = gen_random_uuid()"),
    ("checkpoints_are_of_this_log", "I4", "delete from uno.checkpoints where subscription = 'projection:Balances'"),
    ("checkpoints_are_of_this_log", "I20", "update uno.checkpoints set position = position + 1000"),
    ("pages_claim_what_is_there", "I20", PAGE),
    ("pages_claim_what_is_there", "I20", ALARM),
    ("nothing_is_left", "I19", f"update uno.saga_runs set state = 'open', closed_at = null where key = '{SETTLED}'"),
    ("nothing_is_left", "I19", "update uno.checkpoints set position = position - 1 where subscription = 'saga:Transfer'"),
    ("nothing_is_left", "I19", "update uno.subscriptions set paused_at = now() where name = 'saga:Transfer'"),
    (
        "nothing_is_left",
        "I19",
        f"insert into uno.saga_pending values ('Transfer', '', 'x', 1, '{uuid4()}', 'TransferApproved')",
    ),
    # money
    ("balances_are_a_fold", "I12", "update bank.balances set balance = balance + 1 where account_id = '3'"),
    ("balances_are_a_fold", "I12", "update bank.balances set movements = movements + 1 where account_id = '3'"),
    ("balances_are_a_fold", "I12", "delete from bank.balances where account_id = '3'"),
    ("balances_are_a_fold", "I12", f"{EVENT % ('CashPaidIn', DEPOSIT)};{PASS_ALL}"),
    ("states_are_a_fold", "I12", "update bank.transfers_by_state set transfers = transfers + 1 where state = 'completed'"),
    ("states_are_a_fold", "I12", "update bank.transfers_by_state set amount = amount - 1 where state = 'reversed'"),
    (
        "postings_have_their_event",
        "I9",
        f"delete from bank.postings where kind = 'credit' and {transfer('transfer_id', SETTLED)}",
    ),
    ("postings_have_their_event", "I9", f"delete from uno.events where type = 'MoneyLeft' and {transfer('payload', SETTLED)}"),
    ("postings_have_their_event", "I9", f"delete from uno.step_results where key like '%/{SETTLED}/debit#1'"),
    (
        "steps_post_once",
        "I9",
        DEBIT_AGAIN,
    ),
    (
        "steps_post_once",
        "I9",
        f"update bank.postings set key = 'Transfer/{SETTLED}/debit#1' where {transfer('transfer_id', SETTLED)}",
    ),
    (
        "money_is_conserved",
        "I6",
        f"update bank.postings set amount = amount - 1 where kind = 'debit' and transfer_id = '{SETTLED}'",
    ),
    ("money_is_conserved", "I6", f"delete from uno.events where type = 'MoneyArrived' and {transfer('payload', SETTLED)}"),
    (
        "undos_follow_what_they_undo",
        "I6",
        "insert into bank.postings (transfer_id, account_id, kind, amount, key)"
        f" values ('{FEE_REFUSED}', '1', 'take back', -5, 'k')",
    ),
    # keys
    (
        "keys_are_those_of_their_step",
        "I9",
        f"update clearing.attempts set key = key || '2' where request = 'collect' and attempt = 2 and transfer_id = '{FLAKY}'",
    ),
    ("keys_are_those_of_their_step", "I9", "update bank.postings set key = replace(key, '#1', '#2') where kind = 'return'"),
    (
        "keys_have_one_effect",
        "I9",
        "insert into clearing.bookings select key || '2', transfer_id, kind, amount from clearing.bookings where kind = 'fee'",
    ),
    ("keys_have_one_effect", "I9", f"delete from clearing.attempts where {transfer('transfer_id', FLAKY)}"),
    ("keys_have_one_effect", "I9", "update clearing.bookings set amount = amount + 1 where kind = 'refund'"),
    (
        "events_have_the_ids_of_their_step",
        "I9",
        f"update uno.events set event_id = '{uuid4()}' where type = 'TransferCompleted' and {transfer('payload', SETTLED)}",
    ),
    (
        "events_have_the_ids_of_their_step",
        "I9",
        f"update uno.events set event_id = '{uuid4()}' where type = 'MoneyLeft' and {transfer('payload', SETTLED)}",
    ),
    ("ends_come_once", "I6", EVENT % ("TransferReversed", f'{{"transfer_id":"{SETTLED}","amount":0}}')),
    (
        "undos_wait_for_siblings",
        "I7",
        # soon after the debit, whatever time the machine took
        "update clearing.attempts a set"
        " began_at = e.recorded_at + case a.request when 'refund' then interval '2 ms' else interval '1 ms' end,"
        " ended_at = e.recorded_at + interval '3 ms' from uno.events e"
        f" where a.transfer_id = '{FEE_REFUSED}' and e.type = 'MoneyLeft' and {transfer('payload', FEE_REFUSED)}",
    ),
    # transfers
    ("transfers_ended_as_foretold", "I6", f"update uno.saga_runs set state = 'compensated' where key = '{SETTLED}'"),
    ("transfers_ended_as_foretold", "I6", f"update uno.saga_runs set state = 'terminated' where key = '{SETTLED}'"),
    ("transfers_ended_as_foretold", "I6", f"update uno.saga_runs set state = 'done' where key = '{FEE_REFUSED}'"),
    ("transfers_ended_as_foretold", "I6", f"update uno.saga_runs set reason = 'a whim' where key = '{FEE_REFUSED}'"),
    ("transfers_ended_as_foretold", "I8", f"update uno.saga_runs set state = 'done' where key = '{CANCELLED}'"),
    (
        "transfers_are_whole_or_nothing",
        "I6",
        f"delete from uno.events where type = 'TransferCompleted' and {transfer('payload', SETTLED)}",
    ),
    (
        "transfers_are_whole_or_nothing",
        "I6",
        f"delete from uno.events where type = 'MoneyArrived' and {transfer('payload', CREDIT_REFUSED)}",
    ),
    (
        "transfers_are_whole_or_nothing",
        "I6",
        f"delete from uno.events where type = 'TransferReversed' and {transfer('payload', CREDIT_REFUSED)}",
    ),
    (
        "transfers_are_whole_or_nothing",
        "I6",
        f"delete from clearing.bookings where kind = 'refund' and transfer_id = '{CREDIT_REFUSED}'",
    ),
    (
        "transfers_are_whole_or_nothing",
        "I6",
        f"delete from clearing.attempts where request = 'refund' and transfer_id = '{FEE_REFUSED}'",
    ),
    ("transfers_are_whole_or_nothing", "I6", f"delete from clearing.bookings where {transfer('transfer_id', SETTLED)}"),
    ("transfers_are_whole_or_nothing", "I6", f"delete from clearing.attempts where {transfer('transfer_id', SETTLED)}"),
    (
        "undos_run_in_reverse",
        "I6",
        "update clearing.attempts set ended_at = now() + interval '1 hour' where request = 'refund'",
    ),
    # encoding
    ("events_can_be_read", "I18", "update uno.events set payload = payload || '\\x20' where type = 'MoneyLeft'"),
    ("events_can_be_read", "I18", "update uno.events set type = 'Forgotten' where type = 'TransferReversed'"),
    ("events_can_be_read", "I18", "update uno.events set schema_version = 2 where type = 'MoneyLeft'"),
    ("events_can_be_read", "I18", "update uno.events set metadata = '{}' where type = 'MoneyLeft'"),
]
