"""What is done about a transfer. Those that take `tx` are exactly once: their postings and events commit together.

None of them looks whether it was done before: that is the product's business, and a guard here would hide its faults.
"""

from typing import Final

from uno_workflows import Refused, Retry, Transaction, step
from workers.bank import book, clearing
from workers.bank.events import TransferRequested, TransferReversed
from workers.bank.fates import Fate, fate_of

SOON: Final = Retry(initial="200ms", maximum="3s")


class AccountRefuses(Refused):
    """The other account takes no money."""


@step(retry=SOON)
async def debit(transfer: TransferRequested, tx: Transaction) -> None:
    """Take the amount from the source; from now on it is on its way."""
    await book.enter(transfer.transfer_id, tx)
    await book.take(transfer.source, transfer.transfer_id, transfer.amount, "debit", tx)


@step(retry=SOON)
async def return_money(transfer: TransferRequested, tx: Transaction) -> None:
    """Undo `debit`, whether it happened or not, and reverse the transfer."""
    await book.close(transfer.transfer_id, tx)
    amount = await book.posted(transfer.transfer_id, "debit", tx)
    if amount:
        await book.bring(transfer.source, transfer.transfer_id, amount, "return", tx)
    await tx.append(f"transfer-{transfer.transfer_id}", TransferReversed(transfer_id=transfer.transfer_id, amount=amount))


@step(retry=SOON)
async def charge_fee(transfer: TransferRequested) -> None:
    """Have the clearing house collect the fee."""
    await clearing.collect(transfer)


@step(retry=SOON)
async def refund_fee(transfer: TransferRequested) -> None:
    """Undo `charge_fee`, whether it happened or not: the clearing house knows."""
    await clearing.refund(transfer)


@step(retry=SOON)
async def screen(transfer: TransferRequested) -> None:
    """Have the names looked at; there is nothing to undo."""
    await clearing.screen(transfer)


@step(retry=SOON)
async def credit(transfer: TransferRequested, tx: Transaction) -> None:
    """Bring the amount to the target.

    Raises:
        AccountRefuses: it takes no money.
    """
    if fate_of(transfer.transfer_id) is Fate.CREDIT_REFUSED:
        raise AccountRefuses(f"account {transfer.target} takes no money")
    await book.enter(transfer.transfer_id, tx)
    await book.bring(transfer.target, transfer.transfer_id, transfer.amount, "credit", tx)


@step(retry=SOON)
async def take_back(transfer: TransferRequested, tx: Transaction) -> None:
    """Undo `credit`, whether it happened or not."""
    await book.close(transfer.transfer_id, tx)
    amount = await book.posted(transfer.transfer_id, "credit", tx)
    if amount:
        await book.take(transfer.target, transfer.transfer_id, amount, "take back", tx)
