"""Everything that happens at the bank, as events. Amounts are whole cents.

Streams: `account-7` has what moved its money, `transfer-a-1-17` what became of a transfer.
"""

from typing import Literal

from uno_workflows import Event

# -- from customers and other parties


class AccountOpened(Event):
    """An account begins, with money that was brought to the counter."""

    account_id: str
    opening: int


class CashPaidIn(Event):
    """Somebody brought money to the counter; `receipt` numbers what one customer brought."""

    account_id: str
    amount: int
    receipt: str


class TransferRequested(Event):
    """A customer wants money moved. A large amount waits `approval_within` seconds for an approval; 0 needs none."""

    transfer_id: str
    source: str
    target: str
    amount: int
    fee: int
    approval_within: int


class TransferApproved(Event):
    """Whoever watches large amounts has nothing against this one."""

    transfer_id: str
    by: str


class TransferCancelled(Event):
    """The customer thought better of it."""

    transfer_id: str
    reason: str


# -- from the bank itself


class MoneyLeft(Event):
    """An amount left an account: it is on its way to the other one, or back from it."""

    account_id: str
    transfer_id: str
    amount: int
    why: Literal["debit", "take back"]


class MoneyArrived(Event):
    """An amount that was on its way reached the other account, or is back in the first."""

    account_id: str
    transfer_id: str
    amount: int
    why: Literal["credit", "return"]


class TransferCompleted(Event):
    """Final: the money arrived, and the fee was paid."""

    transfer_id: str
    amount: int
    fee: int


class TransferReversed(Event):
    """Final: it did not come about. `amount` is what the source got back, 0 if it had not left yet."""

    transfer_id: str
    amount: int
