"""I6 and I8, at the end: every transfer ended as its id foretells, and came about wholly or not at all."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from workers.bank.checker.findings import Finding
from workers.bank.checker.rows import Attempt, Logged, SagaRun
from workers.bank.checker.snapshot import Snapshot
from workers.bank.fates import COMPLETED, REVERSED, Fate, fate_of

WHY: Final = {
    Fate.UNAPPROVED: "TransferApproved did not come within",
    Fate.FEE_REFUSED: "step charge_fee failed: FeeDeclined",
    Fate.CREDIT_REFUSED: "step credit failed: AccountRefuses",
    Fate.CANCELLED: "aborted: ",
    Fate.RACED: "aborted: ",
}
"""How the reason begins with which a transfer of this fate is reversed."""
WHOLE: Final = {"MoneyLeft debit": 1, "MoneyArrived credit": 1, "TransferCompleted": 1}
"""What a completed transfer has in the log."""


@dataclass(slots=True)
class Ended:
    """What is known of one transfer at its end.

    Attributes:
        events: What the bank itself appended for it, by type (and why money moved), in log order.
        fee: What the clearing house has of it in the end.
    """

    request: dict[str, Any]
    run: SagaRun | None = None
    events: dict[str, list[Logged]] = field(default_factory=lambda: defaultdict(list))
    attempts: dict[str, list[Attempt]] = field(default_factory=lambda: defaultdict(list))
    fee: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """How many events of each kind."""
        return {kind: len(events) for kind, events in self.events.items()}


def transfers_ended_as_foretold(seen: Snapshot) -> Iterator[Finding]:
    """I6, I8: done or compensated as the fate says, and for its reason; what the server closed has a name here."""
    for transfer, ended in endings(seen).items():
        fate, run = fate_of(transfer), ended.run
        if run is None or run.state in ("open", "compensation_failed"):
            continue  # I3 and I19 say so
        where, is_cancelled = f"transfer {transfer} ({fate})", run.state == "cancelled"
        if run.state == "terminated":
            yield Finding("I6", where, "an end of its own", f"terminated by the server: {run.reason}")
        elif fate in COMPLETED and run.state != "done" and not is_cancelled:
            yield Finding("I6", where, "completed", f"{run.state}: {run.reason}")
        elif fate in REVERSED and run.state == "done":
            yield Finding("I8" if fate is Fate.CANCELLED else "I6", where, "reversed", "completed")
        elif run.state == "compensated" and not run.reason.startswith(WHY.get(fate, "")):
            yield Finding("I6", where, f"reversed because {WHY[fate]!r}", run.reason)


def transfers_are_whole_or_nothing(seen: Snapshot) -> Iterator[Finding]:
    """I6: all of a completed transfer is done and nothing undone; of any other, everything that was done is undone."""
    for transfer, ended in endings(seen).items():
        if ended.run is not None and ended.run.state == "done":
            yield from _whole(transfer, ended)
        elif ended.run is not None and ended.run.state in ("compensated", "cancelled"):
            yield from _nothing(transfer, ended)


def ends_come_once(seen: Snapshot) -> Iterator[Finding]:
    """I6: a transfer is completed once or reversed once, and never both: the saga emits it once, even if a process dies."""
    ends: defaultdict[str, list[str]] = defaultdict(list)
    for event in seen.log:
        if event.type in ("TransferCompleted", "TransferReversed"):
            ends[event.facts["transfer_id"]].append(f"{event.type} at {event.position}")
    cancelled = {run.key for run in seen.runs if run.state == "cancelled"}  # by an operator, at any moment
    for transfer, found in ends.items():
        if len(found) > 1 and transfer not in cancelled:
            yield Finding("I6", f"transfer {transfer}", "one end", ", ".join(found))


def undos_run_in_reverse(seen: Snapshot) -> Iterator[Finding]:
    """I6: the credit is taken back before the fee is refunded, and the fee before the money is returned."""
    for transfer, ended in endings(seen).items():
        refunds = [each.ended_at for each in ended.attempts["refund"] if each.ended_at and each.outcome == "done"]
        for returned in ended.events["TransferReversed"][:1]:
            if ended.attempts["collect"] and not (refunds and min(refunds) <= returned.recorded_at):
                yield Finding("I6", f"transfer {transfer}", "its fee refunded before it was reversed", f"{refunds}")
            for taken in ended.events["MoneyLeft take back"]:
                if taken.position > returned.position:
                    yield Finding("I6", f"transfer {transfer}", "its credit taken back first", f"at {taken.position}")


def endings(seen: Snapshot) -> dict[str, Ended]:
    """All transfers that were requested, with what became of them."""
    requests = {event.facts["transfer_id"]: event.facts for event in seen.log if event.type == "TransferRequested"}
    found = {transfer: Ended(request) for transfer, request in requests.items()}
    for run in seen.runs:
        if run.key in found:
            found[run.key].run = run
    for event in seen.log:
        if event.type in ("MoneyLeft", "MoneyArrived", "TransferCompleted", "TransferReversed"):
            kind = f"{event.type} {event.facts.get('why', '')}".strip()
            found[event.facts["transfer_id"]].events[kind].append(event)
    for attempt in seen.attempts:
        found[attempt.transfer_id].attempts[attempt.request].append(attempt)
    for booking in seen.bookings:
        found[booking.transfer_id].fee += booking.amount if booking.kind == "fee" else -booking.amount
    return found


def _whole(transfer: str, ended: Ended) -> Iterator[Finding]:
    where = f"transfer {transfer} (completed)"
    if ended.counts != WHOLE:
        yield Finding("I6", where, f"{WHOLE}", f"{ended.counts}")
    if ended.fee != ended.request["fee"] or ended.attempts["refund"]:
        expected = f"a fee of {ended.request['fee']}, never refunded"
        yield Finding("I6", where, expected, f"{ended.fee}, {len(ended.attempts['refund'])} attempts to refund")
    if not any(each.outcome == "done" for each in ended.attempts["screen"]):
        yield Finding("I6", where, "screened", f"{ended.attempts['screen']}")
    for event in (each for events in ended.events.values() for each in events):
        if event.facts["amount"] != ended.request["amount"]:
            yield Finding("I6", where, f"amounts of {ended.request['amount']}", f"{event.type} of {event.facts['amount']}")


def _nothing(transfer: str, ended: Ended) -> Iterator[Finding]:
    where, counts = f"transfer {transfer} (undone)", Counter(ended.counts)
    debits, credits = counts["MoneyLeft debit"], counts["MoneyArrived credit"]
    undone = {"MoneyArrived return": debits, "MoneyLeft take back": credits, "TransferCompleted": 0}
    for kind, expected in undone.items():
        if counts[kind] != expected and not (kind == "TransferCompleted" and ended.run and ended.run.state == "cancelled"):
            yield Finding("I6", where, f"{expected} times {kind}, for {debits} debits and {credits} credits", f"{counts[kind]}")
    if counts["TransferReversed"] > 1 or (debits and not counts["TransferReversed"]):
        yield Finding("I6", where, "TransferReversed once", f"{counts['TransferReversed']} times")
    for event in ended.events["TransferReversed"]:
        if event.facts["amount"] != (ended.request["amount"] if debits else 0):
            yield Finding("I6", where, "the whole amount returned", f"{event.facts['amount']}")
    if ended.fee:
        yield Finding("I6", where, "no fee", f"{ended.fee}")
    if ended.attempts["collect"] and not ended.attempts["refund"]:
        yield Finding("I6", where, "its fee refunded, as one was asked for", "nobody asked for a refund")
