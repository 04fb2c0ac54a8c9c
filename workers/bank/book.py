"""The bank's book: how the steps post money, and what they find posted. Each posting has its event beside it."""

from typing import Literal

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from uno_workflows import Refused, Transaction, current_step
from workers.bank.events import MoneyArrived, MoneyLeft
from workers.bank.tables import postings, transfers


class TransferClosed(Refused):
    """An undo was here first: nothing more is debited or credited for this transfer."""


async def enter(transfer_id: str, tx: Transaction) -> None:
    """Queue at the transfer's row, to post for it.

    Raises:
        TransferClosed: it is being undone; whoever comes now was frozen or cut off meanwhile.
    """
    await tx.execute(insert(transfers).values(transfer_id=transfer_id).on_conflict_do_nothing())
    row = select(transfers.c.closed).where(transfers.c.transfer_id == transfer_id).with_for_update()
    if (await tx.execute(row)).scalar_one():
        raise TransferClosed(f"transfer {transfer_id} is being undone")


async def close(transfer_id: str, tx: Transaction) -> None:
    """Queue at the transfer's row, to undo; whatever has not been posted by now never will be."""
    row = insert(transfers).values(transfer_id=transfer_id, closed=True)
    await tx.execute(row.on_conflict_do_update(index_elements=[transfers.c.transfer_id], set_={"closed": True}))


async def take(account_id: str, transfer_id: str, amount: int, why: Literal["debit", "take back"], tx: Transaction) -> None:
    """Post that an amount leaves an account."""
    await _post(account_id, transfer_id, -amount, why, tx)
    event = MoneyLeft(account_id=account_id, transfer_id=transfer_id, amount=amount, why=why)
    await tx.append(f"account-{account_id}", event)


async def bring(account_id: str, transfer_id: str, amount: int, why: Literal["credit", "return"], tx: Transaction) -> None:
    """Post that an amount arrives at an account."""
    await _post(account_id, transfer_id, amount, why, tx)
    event = MoneyArrived(account_id=account_id, transfer_id=transfer_id, amount=amount, why=why)
    await tx.append(f"account-{account_id}", event)


async def posted(transfer_id: str, kind: str, tx: Transaction) -> int:
    """How much was posted of a kind, without its sign; 0 if it was not."""
    total = select(func.abs(func.coalesce(func.sum(postings.c.amount), 0)))
    return int((await tx.execute(total.where(postings.c.transfer_id == transfer_id, postings.c.kind == kind))).scalar_one())


async def _post(account_id: str, transfer_id: str, amount: int, kind: str, tx: Transaction) -> None:
    row = {"transfer_id": transfer_id, "account_id": account_id, "kind": kind, "amount": amount}
    await tx.execute(insert(postings).values(key=current_step().idempotency_key, **row))
