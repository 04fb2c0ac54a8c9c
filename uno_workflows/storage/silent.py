"""Sessions whose client stopped in the middle of a statement: nobody else ends them, and others wait for what they hold."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Final

from uno_workflows.observability.logs import get_logger
from uno_workflows.observability.outages import Outages
from uno_workflows.storage.errors import outage
from uno_workflows.storage.pool import Database

log = get_logger("uno_workflows.store")

LOOK_SECONDS: Final = 5.0


class SilentSessions:
    """Ends those of its store's role, database and application name. One live worker is enough; more do no harm.

    asyncpg prepares a statement with a Flush, and sends the Sync when it executes it. A process that is frozen between the two
    leaves a session that counts as active: no limit on idle transactions or on statements ends it, and what it holds, a stream's
    row or its ticket at the fence, it holds for as long as the process is frozen (ADR 0021).

    Args:
        outages: Where it says that Postgres does not answer.
    """

    def __init__(self, database: Database, *, outages: Outages | None = None) -> None:
        self._database = database
        self._outage = (outages or Outages()).part("silent sessions")
        self._found: list[tuple[int, datetime]] = []  # by the last look: server process, and when its state changed

    async def run(self) -> None:
        """Look every few seconds until cancelled; outages are waited out."""
        while True:
            try:
                await self.end()
                self._outage.over("postgres")
            except Exception as error:
                if (ours := outage(error, schema=self._database.schema)) is None:
                    raise
                self._outage.met(ours)
            await asyncio.sleep(LOOK_SECONDS)

    async def end(self) -> int:
        """End those that are silent for too long, and were found so the last time; returns how many it ended.

        Two looks, since the first may meet the moment between the parts of something that is long and well.
        """
        settings = self._database.settings
        rows = await self._database.fetch(
            "end_silent",
            application=settings.application_name,
            seconds=settings.silent_timeout,
            pids=[pid for pid, _ in self._found],
            changes=[changed for _, changed in self._found],
        )
        self._found = [(pid, changed) for pid, changed, _, _, _ in rows]
        ended = [(client, seconds) for _, _, client, seconds, is_ended in rows if is_ended]
        for client, seconds in ended:
            log.warning("silent_session_ended", client=client, seconds=round(seconds, 1))
        return len(ended)
