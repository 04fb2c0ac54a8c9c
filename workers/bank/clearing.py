"""The clearing house: collects the fee of a transfer, gives it back, and screens who pays whom. It is not us.

Its tables belong to another role and are reached on a connection of their own, as an outside system is: nothing here commits
with the bank's changes. It writes down every attempt before it does anything. Asked again under a key, it gives the same
answer and does nothing; a refund also voids what may still come for its transfer from somebody who was slow.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from uno_workflows import NotYet, Refused, Settings, current_step
from uno_workflows.storage.dsn import plain_dsn
from workers.bank.events import TransferRequested
from workers.bank.fates import Fate, draw, fate_of
from workers.bank.tables import CLEARING_ROLE

ADDRESS: Final = "BANK_CLEARING_URL"
"""The variable that says where it is; by default in the database of the event store."""
PATIENCE: Final = 10
"""Seconds for an answer; below the 30 that an attempt of a step may take."""
LOST: Final = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

_ASKED = """insert into clearing.attempts (request, transfer_id, key, attempt) values ($1, $2, $3, $4) returning asked"""
_ENDED = """update clearing.attempts set ended_at = clock_timestamp(), outcome = $2 where asked = $1"""
_OPEN = """insert into clearing.cases (transfer_id) values ($1) on conflict do nothing"""
_IS_VOID = """select void from clearing.cases where transfer_id = $1 for update"""
_VOID = """insert into clearing.cases (transfer_id, void) values ($1, true) on conflict (transfer_id) do update set void = true"""
_COLLECT = """insert into clearing.bookings (key, transfer_id, kind, amount) values ($1, $2, 'fee', $3) on conflict do nothing"""
_COLLECTED = """select exists (select from clearing.bookings where key = $1)"""
_REFUND = """
insert into clearing.bookings (key, transfer_id, kind, amount)
select $1, transfer_id, 'refund', sum(amount) from clearing.bookings where transfer_id = $2 and kind = 'fee' group by transfer_id
on conflict do nothing"""


class ClearingUnavailable(NotYet):
    """The clearing house does not answer, or is busy; whether it did what was asked is not known, so ask again."""


class FeeDeclined(Refused):
    """The clearing house takes no fee for this transfer, so it must not happen."""


@dataclass(slots=True)
class Request:
    """One attempt, written down. `outcome` is what is written at its end."""

    line: Any
    number: int
    attempt: int
    outcome: str = "done"

    async def end(self) -> None:
        """Write down how it ended."""
        await self.line.execute(_ENDED, self.number, self.outcome)


async def collect(transfer: TransferRequested) -> None:
    """Collect the fee of a transfer.

    Raises:
        FeeDeclined: it is declined, or was voided by a refund.
        ClearingUnavailable: ask again.
    """
    key = current_step().idempotency_key
    async with _asking("collect", transfer) as request:
        if fate_of(transfer.transfer_id) is Fate.FEE_REFUSED:
            request.outcome = "declined"
            raise FeeDeclined("the clearing house declines")
        _be_busy(request, transfer, "before")
        async with request.line.transaction():
            await request.line.execute(_OPEN, transfer.transfer_id)
            void = await request.line.fetchval(_IS_VOID, transfer.transfer_id)
            if not void:
                await request.line.execute(_COLLECT, key, transfer.transfer_id, transfer.fee)
        if void and not await request.line.fetchval(_COLLECTED, key):
            request.outcome = "void"
            raise FeeDeclined("it was refunded before it was collected")
        _be_busy(request, transfer, "after")


async def refund(transfer: TransferRequested) -> None:
    """Give the fee of a transfer back, if it was collected, and see to it that it never will be.

    Raises:
        ClearingUnavailable: ask again.
    """
    async with _asking("refund", transfer) as request, request.line.transaction():
        await request.line.execute(_VOID, transfer.transfer_id)
        await request.line.execute(_REFUND, current_step().idempotency_key, transfer.transfer_id)


async def screen(transfer: TransferRequested) -> None:
    """Have the names looked at; takes longest where the fee is declined, which then must wait for it.

    Raises:
        ClearingUnavailable: ask again.
    """
    async with _asking("screen", transfer) as request:
        _be_busy(request, transfer, "screening")
        await request.line.execute("select pg_sleep($1)", 0.5 if fate_of(transfer.transfer_id) is Fate.FEE_REFUSED else 0.01)


def _be_busy(request: Request, transfer: TransferRequested, when: str) -> None:
    """Fail the first attempts of flaky transfers: once or twice, before the deed or after it."""
    if fate_of(transfer.transfer_id) is not Fate.FLAKY:
        return
    if request.attempt <= {"before": 0, "after": 1, "screening": 0}[when] + draw(transfer.transfer_id, when, 2):
        request.outcome = f"busy {when}"
        raise ClearingUnavailable("the clearing house is busy")


@asynccontextmanager
async def _asking(what: str, transfer: TransferRequested) -> AsyncIterator[Request]:
    """Connect, write the attempt down, and how it ended; also that it was interrupted, for as long as we live to do so."""
    step = current_step()
    try:
        async with _line() as line:
            number = await line.fetchval(_ASKED, what, transfer.transfer_id, step.idempotency_key, step.attempt)
            request = Request(line, number, step.attempt)
            try:
                yield request
            except BaseException:
                request.outcome = "interrupted" if request.outcome == "done" else request.outcome
                with suppress(*LOST):  # what happened is more than that it could not be written down
                    await request.end()
                raise
            await request.end()
    except LOST as error:
        raise ClearingUnavailable(f"no answer from the clearing house: {type(error).__name__}: {error}") from error


@asynccontextmanager
async def _line() -> AsyncIterator[Any]:
    line = await asyncpg.connect(
        plain_dsn(os.environ.get(ADDRESS) or Settings.from_env().database_url),
        timeout=PATIENCE,
        command_timeout=PATIENCE,
        server_settings={"role": CLEARING_ROLE, "application_name": "clearing house"},
    )
    try:
        yield line
        await line.close(timeout=PATIENCE)
    finally:
        line.terminate()  # does nothing to one that was closed
