"""Signs of life: a worker records that its pumps are alive, so that lists distinguish dead pumps from running ones.

The row of a subscription names its last owner, dead or alive, and Temporal does not report which pump has died. The signs come
from the event loop in which the pumps run: a blocked loop gives none.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from datetime import timedelta
from typing import Final

from uno_workflows.dispatch.hosting import PumpHost
from uno_workflows.events.errors import UnoError
from uno_workflows.events.protocols import Signs
from uno_workflows.observability.outages import Outages

SIGNS_A_HEARTBEAT: Final = 4
LOOK_SECONDS: Final = 0.25
"""How soon after its start a pump gets its first sign."""
LEAVE_SECONDS: Final = 1.0
"""How long a worker that stops may take to record it; if it cannot, its last sign counts for one more heartbeat."""


class Signing:
    """Gives the signs of one host's pumps, all in one statement.

    Args:
        heartbeat: For how long a sign counts: as long as Temporal waits before another worker takes over.
    """

    def __init__(self, host: PumpHost, signs: Signs, *, owner: str, heartbeat: timedelta, outages: Outages) -> None:
        self._host, self._signs, self._owner, self._heartbeat = host, signs, owner, heartbeat
        self._outage = outages.part(f"signs of life of {owner}")
        self._given: set[str] = set()

    async def run(self) -> None:
        """Give signs until cancelled; wait through outages."""
        every, due = self._heartbeat.total_seconds() / SIGNS_A_HEARTBEAT, 0.0
        while True:
            if time.monotonic() >= due or self._given != self._host.at_work:
                due = time.monotonic() + every
                try:
                    await self.give()
                    self._outage.over("postgres")
                except UnoError as err:
                    self._outage.met(err)
            await asyncio.sleep(min(every, LOOK_SECONDS))

    async def give(self) -> None:
        """One sign of each pump that is at work."""
        at_work = set(self._host.at_work)
        if at_work:
            await self._signs.give(at_work, owner=self._owner, heartbeat=self._heartbeat)
        self._given = at_work

    async def leave(self, names: Collection[str]) -> None:
        """Record that the worker stops and its pumps are gone. This waits only briefly, also if Postgres does not answer."""
        leaving = asyncio.ensure_future(self._signs.leave(names, owner=self._owner))
        await asyncio.wait({leaving}, timeout=LEAVE_SECONDS)
        if not leaving.done():
            leaving.cancel()
        elif not leaving.cancelled():
            leaving.exception()  # an outage: the sign expires by itself
