"""Waking the readers of other processes after a commit, never inside an append."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, Self

from uno_workflows.events.retry import jittered
from uno_workflows.observability.logs import get_logger
from uno_workflows.storage.background import running
from uno_workflows.storage.errors import outage
from uno_workflows.storage.pool import Database, connect

_log = get_logger(__name__)

_GAP: Final = 0.003  # seconds between two NOTIFYs: what commits meanwhile shares the next one
_AWAY: Final = 1.0  # seconds after one failed; readers poll
_LAST: Final = 0.5  # seconds for the last one when the store is closed: not longer than readers would wait without it


class Notifier:
    """One NOTIFY at a time, on a connection of its own, for any number of commits.

    NOTIFY takes a lock that all commits with a NOTIFY queue for, an xid and a flush: inside an append it would halve the
    throughput. Losing one is harmless, for readers also poll.
    """

    def __init__(self, database: Database, dsn: str) -> None:
        self._database = database
        self._dsn = dsn
        self._due = asyncio.Event()
        self._told = asyncio.Event()  # nothing is due, or on its way
        self._told.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """Send while the block runs, and what is still due at its end: else no program would wake anybody that ends right after
        its last append."""
        async with running(self._send(), name=f"uno notifier ({self._database.schema})"):
            try:
                yield self
            finally:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LAST):
                        await self._told.wait()

    def committed(self) -> None:
        """Say that events were committed."""
        self._due.set()
        self._told.clear()

    async def _send(self) -> None:
        connection: Any = None
        statement = self._database.statements["notify"]
        try:
            while True:
                await self._due.wait()
                self._due.clear()
                try:
                    if connection is None:
                        connection = await connect(self._dsn, self._database.settings)
                        # A wake-up need not survive a crash; under a pooler the session is not ours to set.
                        if not self._database.settings.pooled:
                            await connection.execute("set synchronous_commit = off")
                    await connection.execute(statement.numbered, self._database.channel, timeout=5)
                    self._has_told()
                    await asyncio.sleep(_GAP)
                except Exception as error:
                    self._has_told()
                    if (ours := outage(error, schema=self._database.schema)) is None:
                        raise
                    _log.debug("notification_lost", error=ours)
                    if connection is not None:
                        connection.terminate()
                        connection = None
                    await asyncio.sleep(jittered(_AWAY))
        finally:
            if connection is not None:
                connection.terminate()

    def _has_told(self) -> None:
        if not self._due.is_set():
            self._told.set()
