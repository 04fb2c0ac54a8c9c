"""Finds runs that the server closed: terminated, timed out or over a limit, so that no closing mark could be written."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Final

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError

from uno_workflows.events.errors import UnoError
from uno_workflows.events.names import parse_workflow_id
from uno_workflows.events.protocols import Runs
from uno_workflows.events.runs import RunKey

logger = logging.getLogger("uno_workflows.dispatch")

INTERVAL: Final = timedelta(minutes=1)
OVERLAP: Final = timedelta(minutes=10)
"""How far each look reaches back: visibility lags behind, and clocks differ."""


class Reconciler:
    """Looks every minute for runs of one saga that ended without writing it down."""

    def __init__(self, client: Client, runs: Runs, saga: str) -> None:
        self._client, self._runs, self._saga = client, runs, saga
        self._since = datetime.now(UTC) - timedelta(days=1)

    async def run(self) -> None:
        """Look until cancelled; outages are waited out."""
        while True:
            try:
                await self.look()
            except (RPCError, UnoError) as err:
                logger.warning("reconciler of %s waits: %s", self._saga, err)
            await asyncio.sleep(INTERVAL.total_seconds())

    async def look(self) -> int:
        """One look; returns how many runs were found closed by the server."""
        began, found = datetime.now(UTC), 0
        query = (
            f"WorkflowType = '{self._saga}' AND ExecutionStatus IN ('Terminated', 'TimedOut', 'Failed', 'Canceled')"
            f" AND CloseTime > '{self._since:%Y-%m-%dT%H:%M:%SZ}'"
        )
        closed = {w.id async for w in self._client.list_workflows(query)}
        for workflow_id in await self._runs.open_workflow_ids(self._saga, list(closed)):
            saga, tenant, key, generation = parse_workflow_id(workflow_id)
            status = (await self._client.get_workflow_handle(workflow_id).describe()).status
            if status is WorkflowExecutionStatus.RUNNING:
                continue  # it was reset: what is closed is the run that this one replaced
            reason = f"closed by the server: {status.name.lower() if status else 'unknown'}"
            await self._runs.record_end(RunKey(saga, tenant, key, generation), "terminated", reason=reason)
            logger.warning("run %s was %s", workflow_id, reason)
            found += 1
        self._since = began - OVERLAP
        return found
