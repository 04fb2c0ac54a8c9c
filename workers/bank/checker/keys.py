"""I7 and I9, from what the clearing house and the book wrote down: which step asked, under which key, and when."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Final

from uno_workflows import derived_event_id
from uno_workflows.app.profiles import PROFILES
from workers.bank.checker.findings import Finding
from workers.bank.checker.rows import Attempt, Logged
from workers.bank.checker.snapshot import Snapshot
from workers.bank.steps import charge_fee, credit, debit, refund_fee, return_money, screen, take_back

STEPS: Final = {
    "collect": charge_fee.name,
    "refund": refund_fee.name,
    "screen": screen.name,
    "debit": debit.name,
    "credit": credit.name,
    "return": return_money.name,
    "take back": take_back.name,
}
"""Which step makes which request or posting."""
FROM_THE_BANK: Final = frozenset({"MoneyLeft", "MoneyArrived", "TransferCompleted", "TransferReversed"})
LOST_AFTER: Final = min(profile.step_heartbeat for profile in PROFILES.values())
"""The silence after which Temporal gives an attempt up, and has another worker make the next one; of the quickest profile."""


def keys_are_those_of_their_step(seen: Snapshot) -> Iterator[Finding]:
    """I9: all attempts of a step have one key, which says whose it is; so no two steps share one."""
    for each in seen.attempts:
        yield from _key_is_right(each.transfer_id, each.request, each.key)
    for row in seen.postings:
        yield from _key_is_right(row.transfer_id, row.kind, row.key)


def keys_have_one_effect(seen: Snapshot) -> Iterator[Finding]:
    """I9: a transfer has one fee and one refund at most, each asked for, and a refund of what was collected."""
    asked = {(each.key, {"collect": "fee"}.get(each.request, each.request)) for each in seen.attempts}
    fees: defaultdict[str, int] = defaultdict(int)
    for (transfer, kind), count in Counter((row.transfer_id, row.kind) for row in seen.bookings).items():
        if count > 1:
            yield Finding("I9", f"transfer {transfer}", f"one {kind}", f"{count}")
    for row in seen.bookings:
        fees[row.transfer_id] += row.amount if row.kind == "fee" else -row.amount
        if (row.key, row.kind) not in asked:
            yield Finding("I9", f"key {row.key}", f"an attempt, as there is a {row.kind}", "none")
    for transfer, fee in fees.items():
        if fee < 0:
            yield Finding("I9", f"transfer {transfer}", "no more refunded than was collected", f"{fee}")


def events_have_the_ids_of_their_step(seen: Snapshot) -> Iterator[Finding]:
    """I9: the id of an event that the bank appends follows from its cause, so that it cannot be appended twice."""
    starts = {e.facts["transfer_id"]: e.event_id for e in seen.log if e.type == "TransferRequested"}
    for event in seen.log:
        if event.type in FROM_THE_BANK:
            transfer = event.facts["transfer_id"]
            start, parts = starts.get(transfer), _parts(event)
            expected = start and derived_event_id(start, f"Transfer/{transfer}/{parts[0]}", *parts[1:])
            if event.event_id != expected:
                yield Finding("I9", f"position {event.position}", f"{event.type} under the id {expected}", f"{event.event_id}")


def _parts(event: Logged) -> tuple[str, ...]:
    """The call that appends an event, and which of its events it is, if it appends in a transaction."""
    facts = event.facts
    if event.type == "TransferCompleted":
        return ("emit:TransferCompleted#1",)
    if event.type == "TransferReversed":
        return (f"{return_money.name}#1", "2" if facts["amount"] else "1")  # the returned money comes first, if there is any
    return (f"{STEPS[facts['why']]}#1", "1")


def undos_wait_for_siblings(seen: Snapshot) -> Iterator[Finding]:
    """I7: nothing is refunded while the screening or the collecting of the same transfer is under way.

    Judged by the database's clock, and only by attempts that ended sooner after the debit than Temporal can have given any of
    them up: one whose worker was killed or frozen may end whenever it likes.
    """
    debited = {f["transfer_id"]: e.recorded_at for e in seen.log for f in [e.facts] if f.get("why") == "debit"}
    siblings: defaultdict[str, list[Attempt]] = defaultdict(list)
    for each in seen.attempts:
        known = each.ended_at and each.transfer_id in debited and each.ended_at - debited[each.transfer_id] < LOST_AFTER
        if known and each.request != "refund":
            siblings[each.transfer_id].append(each)
    for refund in (each for each in seen.attempts if each.request == "refund"):
        for each in siblings[refund.transfer_id]:
            if each.ended_at and each.began_at < refund.began_at < each.ended_at:
                expected = f"its refund after {each.request} had ended at {each.ended_at}"
                yield Finding("I7", f"transfer {refund.transfer_id}", expected, f"at {refund.began_at}")


def _key_is_right(transfer_id: str, what: str, key: str) -> Iterator[Finding]:
    expected = f"Transfer/{transfer_id}/{STEPS.get(what, what)}#1"
    if key != expected:
        yield Finding("I9", f"transfer {transfer_id}", f"key {expected} for every {what}", key)
