"""The read models. Each handler folds a batch into a few rows, in the order of their keys, so that no two batches deadlock."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from sqlalchemy import Table
from sqlalchemy.dialects.postgresql import Insert, insert

from uno_workflows import Projection, Recorded, Transaction, on
from workers.bank.events import (
    AccountOpened,
    CashPaidIn,
    MoneyArrived,
    MoneyLeft,
    TransferCompleted,
    TransferRequested,
    TransferReversed,
)
from workers.bank.tables import balances, transfers_by_state

Movement = AccountOpened | CashPaidIn | MoneyArrived | MoneyLeft
Stage = TransferRequested | TransferCompleted | TransferReversed
STATES: Final = {TransferRequested: "requested", TransferCompleted: "completed", TransferReversed: "reversed"}


class Balances(Projection):
    """What each account has; below 0 is allowed, for whom is another department's business."""

    @on(AccountOpened, CashPaidIn, MoneyArrived, MoneyLeft)
    async def move(self, events: Sequence[Recorded[Movement]], tx: Transaction) -> None:
        """Fold a batch of movements."""
        change, movements = Counter[str](), Counter[str]()
        for recorded in events:
            account, amount = change_of(recorded.event)
            change[account] += amount
            movements[account] += 1
        rows = [{"account_id": each, "balance": change[each], "movements": movements[each]} for each in sorted(movements)]
        await tx.execute(add_to(balances), rows)


class TransfersByState(Projection):
    """How many transfers came to each state, and how much money they are about."""

    @on(TransferRequested, TransferCompleted, TransferReversed)
    async def count(self, events: Sequence[Recorded[Stage]], tx: Transaction) -> None:
        """Count a batch."""
        transfers, amount = Counter[str](), Counter[str]()
        for recorded in events:
            state = STATES[type(recorded.event)]
            transfers[state] += 1
            amount[state] += recorded.event.amount
        rows = [{"state": each, "transfers": transfers[each], "amount": amount[each]} for each in sorted(transfers)]
        await tx.execute(add_to(transfers_by_state), rows)


def change_of(event: Movement) -> tuple[str, int]:
    """Whose money it moves, and by how much."""
    if isinstance(event, AccountOpened):
        return event.account_id, event.opening
    sign = -1 if isinstance(event, MoneyLeft) else 1
    return event.account_id, sign * event.amount


def add_to(table: Table) -> Insert:
    """Add numbers to the rows of a read model, and make those that are missing."""
    new = insert(table)
    sums = {column.name: column + new.excluded[column.name] for column in table.columns if not column.primary_key}
    return new.on_conflict_do_update(index_elements=list(table.primary_key), set_=sums)
