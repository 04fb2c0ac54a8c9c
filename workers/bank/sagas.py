"""What follows from a request. Deterministic: the world is touched by steps alone."""

from datetime import UTC, datetime, timedelta

from uno_workflows import Saga, on
from workers.bank.events import TransferApproved, TransferCancelled, TransferCompleted, TransferRequested
from workers.bank.steps import charge_fee, credit, debit, refund_fee, return_money, screen, take_back

BANK_OPENED = datetime(2020, 1, 1, tzinfo=UTC)


class Transfer(Saga, starts_on=TransferRequested, expects=TransferApproved, key="transfer_id", since=BANK_OPENED):
    """Move money and take a fee for it: all of it, or nothing of it."""

    undo_within = "1 hour"
    """Servers that stay away while hundreds of transfers queue make an undo late, not impossible."""

    approved_by: str = ""
    leaving: bool = False

    async def run(self, transfer: TransferRequested) -> None:
        """One transfer, from its request to its end."""
        await self.step(debit, transfer, undo=return_money)
        await self.parallel(self.step(charge_fee, transfer, undo=refund_fee), self.step(screen, transfer))
        if transfer.approval_within:
            approval = await self.expect(TransferApproved, within=timedelta(seconds=transfer.approval_within))
            self.approved_by = approval.by
        self.leaving = True  # from here on it is too late to cancel
        await self.step(credit, transfer, undo=take_back)
        await self.emit(TransferCompleted(transfer_id=transfer.transfer_id, amount=transfer.amount, fee=transfer.fee))

    @on(TransferCancelled)
    async def cancelled(self, event: TransferCancelled) -> None:
        """Undo it, unless it is too late."""
        if not self.leaving:
            self.abort(event.reason)
