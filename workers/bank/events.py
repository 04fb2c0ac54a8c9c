"""Everything that happens at the bank, as events. Amounts are whole cents.

Streams: `account-7` has what moved its money, `transfer-a-1-17` what became of a transfer.
"""

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


class MoneyDebited(Event):
    """The amount left the source, and is on its way."""

    account_id: str
    transfer_id: str
    amount: int


class MoneyCredited(Event):
    """The amount reached the target."""

    account_id: str
    transfer_id: str
    amount: int


class MoneyTakenBack(Event):
    """A credit was undone: the amount left the target, and is on its way back."""

    account_id: str
    transfer_id: str
    amount: int


class MoneyReturned(Event):
    """A debit was undone: the source has the amount again."""

    account_id: str
    transfer_id: str
    amount: int


class TransferCompleted(Event):
    """Final: the money arrived, and the fee was paid."""

    transfer_id: str
    amount: int
    fee: int


class TransferReversed(Event):
    """Final: it did not come about. `amount` is what the source got back, 0 if it had not left yet."""

    transfer_id: str
    amount: int
