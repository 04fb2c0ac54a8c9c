"""What subscriptions handled, held against the log without asking the fence (ADR 0013)."""

from __future__ import annotations

from typing import Any

from uno_workflows.events.audits import AuditStatus, AuditTurn, DeliveryFinding, OldestWriter, Waiting
from uno_workflows.events.text import storable
from uno_workflows.storage.pool import Database


class PostgresAudits:
    """See the port `DeliveryAudits`; its other methods are for operators."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def audit(self, *, limit: int) -> AuditTurn:
        """Look at the next pages of one subscription, in one statement and its transaction.

        A page's turn comes when every transaction that was open when it was written is over. Pages that agree with the log
        are merged into one row, others stay and are written down; two auditors at once take different subscriptions.

        Args:
            limit: At most so many pages; each is a scan of the positions that it covers.
        """
        rows = await self._database.fetch("audit_pages", limit=limit)
        return AuditTurn(rows[0][0], rows[0][1], [_finding(tuple(row)[2:]) for row in rows if row[2] is not None])

    async def statuses(self) -> list[AuditStatus]:
        """How far each subscription is proven, by name and then in the order of its epochs."""
        return [_status(row) for row in await self._database.fetch("audit_statuses")]

    async def findings(self) -> list[DeliveryFinding]:
        """What did not agree and was not settled, oldest first."""
        return [_finding(row) for row in await self._database.fetch("open_findings")]

    async def settle(self, number: int, *, note: str) -> bool:
        """Write down how a finding was dealt with; False if there is no open one of that number."""
        return await self._database.fetch_row("settle_finding", id=number, note=storable(note)) is not None

    async def oldest_writer(self) -> OldestWriter | None:
        """Which transaction holds back the pages that are younger than it."""
        row = await self._database.fetch_row("audit_holder")
        return None if row is None else OldestWriter(*row)


def _finding(row: Any) -> DeliveryFinding:
    return DeliveryFinding(*row)


def _status(row: Any) -> AuditStatus:
    name, epoch, current, after, upto, pages, events, unaudited, audited_at, *waiting, ends, checkpoint = row
    recorded = upto if ends is None else ends
    return AuditStatus(
        subscription=name,
        epoch=epoch,
        current=current,
        after=after,
        upto=upto,
        pages=pages,
        events=events,
        unaudited=unaudited,
        audited_at=audited_at,
        waiting=Waiting(*waiting),
        unrecorded=None if checkpoint in (None, recorded) else checkpoint,
    )
