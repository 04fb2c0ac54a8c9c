"""When pumps were last alive."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from uno_workflows.storage.pool import Database


class PostgresSigns:
    """See the port `Signs`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def give(self, subscriptions: Collection[str], *, owner: str, heartbeat: timedelta) -> None:
        """These pumps are alive; the sign counts for the heartbeat. One statement for all pumps of a worker."""
        names = sorted(subscriptions)  # two workers lock the rows in the same order, so they cannot deadlock
        await self._database.fetch("give_sign", names=names, owner=owner, heartbeat=heartbeat.total_seconds())

    async def leave(self, subscriptions: Collection[str], *, owner: str) -> None:
        """These pumps have ended: their worker stops."""
        await self._database.fetch("leave_pumps", names=sorted(subscriptions), owner=owner)
