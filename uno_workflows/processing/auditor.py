"""The auditor: proves later, without the fence, that subscriptions handled what the log holds (ADR 0013).

Plain code on a port. Every worker runs one; those of several workers share the subscriptions out by locks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from uno_workflows.events.audits import DeliveryFinding
from uno_workflows.events.errors import UnoError
from uno_workflows.events.protocols import DeliveryAudits
from uno_workflows.observability.logs import get_logger
from uno_workflows.observability.outages import Outages

log = get_logger("uno_workflows.auditor")

INTERVAL: Final = timedelta(seconds=10)
BATCH: Final = 100
"""Pages a statement: some hundred thousand positions at most, read by their index."""
BATCHES: Final = 50
"""Statements a turn: a worker that comes to a long backlog has other things to do as well."""
BEHIND: Final = timedelta(seconds=1)
"""The rest after a turn that left pages that are due: up to 5,000 pages a second, where twenty busy sagas leave a thousand."""


class Auditor:
    """Looks every few seconds at the pages whose time has come.

    Args:
        found: Told of each finding once, by the auditor that made it; counts it for the metrics.
        outages: Where it says that Postgres does not answer.
    """

    def __init__(
        self,
        audits: DeliveryAudits,
        *,
        found: Callable[[DeliveryFinding], None] = lambda _: None,
        outages: Outages | None = None,
    ) -> None:
        self._audits, self._found = audits, found
        self._outage = (outages or Outages()).part("auditor of deliveries")
        self._behind = False  # the last turn ended before the pages did

    async def run(self) -> None:
        """Look until cancelled; outages are waited out."""
        while True:
            try:
                await self.look()
                self._outage.over("postgres")
            except UnoError as err:
                self._outage.met(err)
            await asyncio.sleep((BEHIND if self._behind else INTERVAL).total_seconds())

    async def look(self, *, batches: int | None = BATCHES) -> int:
        """One turn; returns how many pages were looked at.

        Args:
            batches: At most so many statements; `None` goes on until no page is left whose time has come.
        """
        looked_at = done = 0
        self._behind = False
        while batches is None or done < batches:
            turn = await self._audits.audit(limit=BATCH)
            for finding in turn.findings:
                log.error("delivery_differs", subscription=finding.subscription, finding=finding.id, reason=str(finding))
                self._found(finding)
            if turn.unaudited:
                log.warning("pages_not_audited", pages=turn.unaudited)
            if not turn.pages:
                break
            looked_at, done = looked_at + turn.pages, done + 1
        else:
            self._behind = True
        return looked_at
