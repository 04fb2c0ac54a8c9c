"""I12 and the money: the read models, the bank's book and the log say the same, and no cent comes or goes."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final

from workers.bank.checker.findings import Finding
from workers.bank.checker.rows import Logged
from workers.bank.checker.snapshot import Snapshot

MOVEMENTS: Final = frozenset({"AccountOpened", "CashPaidIn", "MoneyArrived", "MoneyLeft"})
STATES: Final = {"TransferRequested": "requested", "TransferCompleted": "completed", "TransferReversed": "reversed"}
UNDOES: Final = {"return": "debit", "take back": "credit"}


def balances_are_a_fold(seen: Snapshot) -> Iterator[Finding]:
    """I12, I4: the balances are a fold of the log up to their checkpoint, every event of it once."""
    balance, movements = Counter[str](), Counter[str]()
    for event in _folded(seen, "projection:Balances", MOVEMENTS):
        balance[event.facts["account_id"]] += _change(event)
        movements[event.facts["account_id"]] += 1
    expected = {each: (balance[each], movements[each]) for each in movements}
    found = {row.account_id: (row.balance, row.movements) for row in seen.balances}
    yield from _differences("bank.balances", expected, found)


def states_are_a_fold(seen: Snapshot) -> Iterator[Finding]:
    """I12, I4: likewise the numbers of transfers in each state."""
    transfers, amount = Counter[str](), Counter[str]()
    for event in _folded(seen, "projection:TransfersByState", frozenset(STATES)):
        transfers[STATES[event.type]] += 1
        amount[STATES[event.type]] += event.facts["amount"]
    expected = {each: (transfers[each], amount[each]) for each in transfers}
    yield from _differences("bank.transfers_by_state", expected, {row.state: (row.transfers, row.amount) for row in seen.states})


def postings_have_their_event(seen: Snapshot) -> Iterator[Finding]:
    """I9: what a step posts, the event that says so and its result were committed together, or not at all."""
    events = Counter(
        (f["transfer_id"], f["account_id"], f["why"], _change(event))
        for event in seen.log
        if event.type in ("MoneyLeft", "MoneyArrived")
        for f in [event.facts]
    )
    posted = Counter((row.transfer_id, row.account_id, row.kind, row.amount) for row in seen.postings)
    for what in events.keys() | posted.keys():
        if events[what] != posted[what]:
            transfer, account, kind, amount = what
            where = f"transfer {transfer}"
            expected = f"{events[what]} times {kind} of {amount} at account {account}, as in the log"
            yield Finding("I9", where, expected, f"{posted[what]} times in the book")
    for row in seen.postings:
        if row.key not in seen.step_keys:
            yield Finding("I9", f"key {row.key}", "a step with a result, as it posted", "no result")


def steps_post_once(seen: Snapshot) -> Iterator[Finding]:
    """I9: no step posts twice, and no transfer is debited, credited, returned or taken back twice."""
    for what, count in Counter((row.transfer_id, row.kind) for row in seen.postings).items():
        if count > 1:
            yield Finding("I9", f"transfer {what[0]}", f"one {what[1]}", f"{count}")
    for key, count in Counter(row.key for row in seen.postings).items():
        if count > 1:
            yield Finding("I9", f"key {key}", "one posting", f"{count}")


def money_is_conserved(seen: Snapshot) -> Iterator[Finding]:
    """I6: what customers brought is in the accounts or on its way; on its way is nothing, or a transfer's whole amount."""
    on_its_way: defaultdict[str, int] = defaultdict(int)
    for row in seen.postings:
        on_its_way[row.transfer_id] -= row.amount
    amounts = {f["transfer_id"]: f["amount"] for e in seen.log if e.type == "TransferRequested" for f in [e.facts]}
    for transfer, money in on_its_way.items():
        if money not in (0, amounts.get(transfer)):
            yield Finding("I6", f"transfer {transfer}", f"0 or {amounts.get(transfer)} on its way", f"{money}")
    brought = sum(_change(event) for event in seen.log if event.type in ("AccountOpened", "CashPaidIn"))
    in_accounts = sum(_change(event) for event in seen.log if event.type in MOVEMENTS)
    if in_accounts + sum(on_its_way.values()) != brought:
        seen_instead = f"{in_accounts} in the accounts and {sum(on_its_way.values())} on its way"
        yield Finding("I6", "all accounts", f"{brought}, as was brought", seen_instead)


def undos_follow_what_they_undo(seen: Snapshot) -> Iterator[Finding]:
    """I6: money is returned or taken back only after it was debited or credited, and as much."""
    posted: dict[tuple[str, str], int] = {}
    for row in seen.postings:  # in the order in which they were posted
        done = UNDOES.get(row.kind)
        if done is not None and posted.get((row.transfer_id, done)) != -row.amount:
            before = posted.get((row.transfer_id, done))
            yield Finding("I6", f"transfer {row.transfer_id}", f"a {done} of {-row.amount} before its {row.kind}", f"{before}")
        posted[row.transfer_id, row.kind] = row.amount


def _folded(seen: Snapshot, subscription: str, types: frozenset[str]) -> Iterator[Logged]:
    """What a projection has folded, if its checkpoint is right."""
    point = seen.checkpoints.get(subscription)
    upto = point.position if point is not None and point.same_epoch else 0
    for event in seen.log:
        if event.position <= upto and event.type in types and (subscription, event.position) not in seen.skipped:
            yield event


def _change(event: Logged) -> int:
    facts = event.facts
    if event.type == "AccountOpened":
        return int(facts["opening"])
    return int(facts["amount"]) * (-1 if event.type == "MoneyLeft" else 1)


def _differences(table: str, expected: dict[str, Any], found: dict[str, Any]) -> Iterable[Finding]:
    for each in sorted(expected.keys() | found.keys()):
        if expected.get(each) != found.get(each):
            yield Finding("I12", f"{table} {each}", f"{expected.get(each)}, as folded from the log", f"{found.get(each)}")
