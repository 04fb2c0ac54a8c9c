"""Finds where the table of runs and Temporal differ: runs that were closed, deleted, or opened again by a reset.

A run that was terminated, timed out or went over a limit could not write its closing mark. A run that was reset after its end is
open again, while its row is closed. A run counts as deleted only after Temporal has twice not known it in its own namespace.
The second time the reconciler also checks the namespace's id (ADR 0034). An outage is no answer.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final

from temporalio.service import RPCError

from uno_workflows.dispatch.closing import record_closed_run
from uno_workflows.dispatch.temporal import SagaClient
from uno_workflows.events.errors import UnoError
from uno_workflows.events.protocols import Runs
from uno_workflows.events.retry import jittered
from uno_workflows.events.runs import RunKey
from uno_workflows.observability.logs import get_logger
from uno_workflows.observability.outages import Outages

log = get_logger("uno_workflows.dispatch")

INTERVAL: Final = timedelta(minutes=1)
AGAIN: Final = timedelta(seconds=5)
"""After a look that failed."""
BATCH: Final = 500
OVERLAP: Final = timedelta(minutes=10)
"""How far each look reaches back: visibility lags behind, and clocks differ."""


class Reconciler:
    """Looks every minute for runs of one saga that ended without writing it down."""

    def __init__(self, temporal: SagaClient, runs: Runs, saga: str, *, outages: Outages | None = None) -> None:
        self._temporal, self._runs, self.saga = temporal, runs, saga
        self._outage = (outages or Outages()).part(f"reconciler of {saga}")
        self._since = self._reset_since = datetime.fromtimestamp(0, UTC)  # the first pass goes back as far as Temporal remembers
        self._verified = ""  # the workflow id up to which open rows were looked up
        self._placed = ""  # the same, for rows without a namespace
        self._suspects: dict[str, RunKey] = {}  # Temporal did not know them at the last pass

    async def run(self) -> None:
        """Look until cancelled; outages are waited out."""
        while True:
            try:
                await self.look()
                await self.look_for_resets()
                self._outage.over()
                pause = (AGAIN if self._suspects else INTERVAL).total_seconds()
            except (RPCError, UnoError) as err:
                self._outage.met(err, server="temporal" if isinstance(err, RPCError) else None)
                pause = jittered(AGAIN.total_seconds())
            await asyncio.sleep(pause)

    async def look(self) -> int:
        """One pass; returns how many rows it closed."""
        found = await self._closed() + await self._forgotten()
        await self._place()
        return found

    async def _place(self) -> None:
        """Record the namespace of the next runs that older code started, if Temporal knows them here.

        Until then a run that Temporal does not know may be one of another namespace.
        """
        if (namespace_id := self._temporal.namespace_id) is None:
            return
        unplaced = await self._runs.unplaced_since(self.saga, after=self._placed, limit=BATCH)
        known = [one for one in unplaced if await self._temporal.status(one) is not None]
        if known:
            await self._runs.place(known, namespace_id=namespace_id)
        self._placed = unplaced[-1] if len(unplaced) == BATCH else ""

    async def _forgotten(self) -> int:
        """Look up the next open rows in Temporal, and again those that it did not know."""
        namespace_id = self._temporal.namespace_id
        if namespace_id is None:
            return 0  # it could be any namespace
        suspects, self._suspects, found = self._suspects, {}, 0
        for workflow_id, key in suspects.items():
            if await self._temporal.status(workflow_id) is None and await self._temporal.confirm_namespace():
                found += await record_closed_run(self._runs, key, None, workflow_id=workflow_id)
        rows = await self._runs.open_since(self.saga, namespace_id=namespace_id, after=self._verified, limit=BATCH)
        for key, workflow_id in rows:
            if await self._temporal.status(workflow_id) is None:
                self._suspects[workflow_id] = key
        self._verified = rows[-1][1] if len(rows) == BATCH else ""
        return found

    async def _closed(self) -> int:
        began, found, batch = datetime.now(UTC), 0, list[str]()
        query = (
            f"WorkflowType = '{self.saga}' AND ExecutionStatus IN ('Terminated', 'TimedOut', 'Failed', 'Canceled')"
            f" AND CloseTime > '{self._since:%Y-%m-%dT%H:%M:%SZ}'"
        )
        async for closed in self._temporal.client.list_workflows(query):
            batch.append(closed.id)
            if len(batch) == BATCH:
                found += await self._judge(batch)
                batch.clear()
        found += await self._judge(batch)
        self._since = began - OVERLAP
        return found

    async def look_for_resets(self) -> None:
        """Open the rows of runs that were reset after their end. A reset gives a run a new start time, so each pass asks only for
        runs that began since the previous one."""
        since, began, going = self._reset_since, datetime.now(UTC), dict[str, str]()
        query = f"WorkflowType = '{self.saga}' AND ExecutionStatus = 'Running' AND StartTime > '{since:%Y-%m-%dT%H:%M:%SZ}'"
        async for run in self._temporal.client.list_workflows(query):
            going[run.id] = run.run_id
            if len(going) == BATCH:
                await self._reopen(going)
                going.clear()
        await self._reopen(going)
        self._reset_since = began - OVERLAP

    async def _reopen(self, going: dict[str, str]) -> None:
        """Open the rows of runs that Temporal has open. Visibility lags behind, so ask again about each run."""
        over = await self._runs.over_workflow_ids(going) if going else {}
        for workflow_id, ended_by in over.items():
            run_id = going[workflow_id]
            if ended_by == run_id or await self._temporal.open_run(workflow_id) != run_id:
                continue
            if await self._runs.reopen(workflow_id, run_id):
                log.warning("saga_reopened", saga=self.saga, workflow_id=workflow_id, run_id=run_id)

    async def _judge(self, closed: list[str]) -> int:
        found = 0
        for workflow_id, key in (await self._runs.open_among(self.saga, closed)).items():
            status = await self._temporal.status(workflow_id)
            found += await record_closed_run(self._runs, key, status, workflow_id=workflow_id)
        return found
