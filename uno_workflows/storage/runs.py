"""The table of runs, and the events that found no open one. See DESIGN D5."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final
from uuid import UUID

from uno_workflows.events import names
from uno_workflows.events.names import GlobalPosition
from uno_workflows.events.protocols import Measures, Transaction
from uno_workflows.events.runs import FINAL_STATES, Mark, Run, RunKey, RunState, Started, Undelivered, UndoneRun
from uno_workflows.events.text import storable
from uno_workflows.observability.unmeasured import UNMEASURED
from uno_workflows.storage.handles import SqlalchemyHandle
from uno_workflows.storage.pool import Database

UNKNOWN_EVENT: Final = UUID(int=0)
"""Start event of a run whose end came before the dispatcher wrote its start down, when the end did not name it."""


class PostgresRuns:
    """See the port `Runs`."""

    def __init__(self, database: Database, *, measures: Measures = UNMEASURED) -> None:
        self._database = database
        self._measures = measures

    async def latest(self, keys: Collection[RunKey]) -> dict[RunKey, Run]:
        """The newest generation of each given (saga, tenant, key) that was ever started, under the key asked for."""
        asked = list(keys)
        rows = await self._database.fetch(
            "latest_runs",
            sagas=[key.saga for key in asked],
            tenants=[key.tenant for key in asked],
            keys=[key.key for key in asked],
        )
        return {asked[row[0] - 1]: _run(row[1:]) for row in rows}

    async def record_started(self, started: Sequence[Started], *, epoch: UUID, tx: Transaction) -> None:
        """Write runs down as open. One that has ended already is not opened again; what is not known of it is filled in."""
        if not started:
            return
        with self._database.errors():
            await SqlalchemyHandle(tx.connection).fetch(
                self._database.statements["record_started"],
                epoch=epoch,
                sagas=[run.key.saga for run in started],
                tenants=[run.key.tenant for run in started],
                keys=[run.key.key for run in started],
                generations=[run.key.generation for run in started],
                workflow_ids=[run.workflow_id for run in started],
                event_ids=[run.start_event_id for run in started],
                positions=[run.start_position for run in started],
                run_ids=[run.temporal_run_id for run in started],
                times=[run.at for run in started],
                namespace_ids=[run.namespace_id for run in started],
            )

    async def record_end(
        self,
        key: RunKey,
        state: RunState,
        *,
        reason: str = "",
        start_event_id: UUID | None = None,
        mark: Mark | None = None,
        workflow_id: str | None = None,
        undone: bool = False,
    ) -> None:
        """Write how a run ended, or that its compensation failed. Repeats change nothing; a final state stays.

        The dispatcher's row need not be there yet: a quick saga ends before the checkpoint that reports its start.
        """
        if state == "open":
            raise ValueError("a run cannot end as open")
        written = await self._database.fetch_row(
            "record_end",
            saga=key.saga,
            tenant=key.tenant,
            key=key.key,
            generation=key.generation,
            workflow_id=workflow_id or names.workflow_id(key.saga, key.key, tenant=key.tenant, generation=key.generation),
            start_event_id=start_event_id,
            state=state,
            reason=storable(reason),
            final=state in FINAL_STATES,
            furthest=mark and mark.furthest,
            mark_run=mark and mark.run_id,
            mark=mark and mark.length,
            undone=undone,
            began=mark and mark.began,
        )
        if written is not None and state in FINAL_STATES and written["before"] != state:
            self._measures.run_ended(key.saga, state, written["seconds"])

    async def reopen(self, workflow_id: str, run_id: str) -> bool:
        """Open the row of a run that was reset. False if `run_id` has it open already, or wrote its present state itself."""
        return bool(await self._database.fetch("reopen_run", workflow_id=workflow_id, run_id=run_id))

    async def over_workflow_ids(self, among: Collection[str]) -> dict[str, str | None]:
        """The given workflow ids whose row is final, each with the Temporal run that wrote it, if a run did."""
        return {row[0]: row[1] for row in await self._database.fetch("over_workflow_ids", among=list(among))}

    async def begin_undo(self, workflow_id: str, run_id: str, plan: Sequence[str]) -> UndoneRun:
        """Record that a run is being undone, unless a record exists; return the record."""
        row = await self._database.fetch_row("begin_undo", workflow_id=workflow_id, run_id=run_id, plan=list(plan))
        return UndoneRun(row[0], tuple(row[1]), row[2])

    async def undone(self, workflow_id: str) -> UndoneRun | None:
        """Whether a run is being undone, or was."""
        rows = await self._database.fetch("undone_run", workflow_id=workflow_id)
        return UndoneRun(rows[0][0], tuple(rows[0][1]), rows[0][2]) if rows else None

    async def count_open(self, saga: str) -> int:
        """How many runs are not over, those with a failed compensation included."""
        return int((await self._database.fetch_row("count_open", saga=saga))[0])

    async def open_among(self, saga: str, workflow_ids: Collection[str]) -> dict[str, RunKey]:
        """The given workflow ids whose row is not final, each with its key, which a cut id does not contain."""
        rows = await self._database.fetch("open_among", saga=saga, among=list(workflow_ids))
        return {row[0]: RunKey(*tuple(row)[1:]) for row in rows}

    async def open_since(self, saga: str, *, namespace_id: str, after: str, limit: int) -> list[tuple[RunKey, str]]:
        """Key and workflow id of open runs behind the id `after` that were started in this namespace over a minute ago."""
        rows = await self._database.fetch("open_since", saga=saga, namespace_id=namespace_id, after=after, limit=limit)
        return [(RunKey(saga, row[0], row[1], row[2]), row[3]) for row in rows]

    async def unplaced_since(self, saga: str, *, after: str, limit: int) -> list[str]:
        """Workflow ids of open runs behind the id `after` whose namespace is not known, because older code started them."""
        return [row[0] for row in await self._database.fetch("unplaced_since", saga=saga, after=after, limit=limit)]

    async def place(self, workflow_ids: Sequence[str], *, namespace_id: str) -> None:
        """Record the namespace of runs that Temporal knows there."""
        await self._database.fetch("place_runs", workflow_ids=list(workflow_ids), namespace_id=namespace_id)

    async def find(self, *, saga: str | None = None, state: RunState | None = None, limit: int = 100) -> list[Run]:
        """Runs of a saga (or of all) in a state (or in any), newest first."""
        return [_run(row) for row in await self._database.fetch("find_runs", saga=saga, state=state, limit=limit)]

    async def add_pending(self, event: Undelivered) -> None:
        """Keep an event that came before its start; a repeat changes nothing."""
        await self._database.fetch("add_pending", **_event(event))

    async def pending(self, key: RunKey) -> list[GlobalPosition]:
        """Positions of what waits for the start of (saga, tenant, key), of whatever generation."""
        rows = await self._database.fetch("pending", saga=key.saga, tenant=key.tenant, key=key.key)
        return [row[0] for row in rows]

    async def drop_pending(self, key: RunKey, upto: int) -> None:
        """Forget what waited up to a position: it was delivered."""
        await self._database.fetch("drop_pending", saga=key.saga, tenant=key.tenant, key=key.key, upto=upto)

    async def add_late(self, event: Undelivered, *, reason: str) -> bool:
        """Write down an event that came after the end; False for a repeat, which changes nothing."""
        return bool(
            await self._database.fetch("add_late", **_event(event), generation=event.key.generation, reason=storable(reason))
        )

    async def count_pending(self, saga: str | None = None) -> int:
        """How many wait for the start of a saga, or of all."""
        return int((await self._database.fetch_row("count_pending", saga=saga))[0])

    async def count_late(self, saga: str | None = None) -> int:
        """How many came late for a saga, or for all."""
        return int((await self._database.fetch_row("count_late", saga=saga))[0])


def _event(event: Undelivered) -> dict[str, Any]:
    return {
        "saga": event.key.saga,
        "tenant": event.key.tenant,
        "key": event.key.key,
        "position": event.position,
        "event_id": event.event_id,
        "event_type": event.event_type,
    }


def _run(row: Sequence[Any]) -> Run:
    saga, tenant, key, generation, workflow, event_id, position, epoch, run_id, state, reason, began, closed, furthest, *more = (
        row
    )
    return Run(
        key=RunKey(saga, tenant, key, generation),
        workflow_id=workflow,
        start_event_id=event_id or UNKNOWN_EVENT,
        start_position=GlobalPosition(position or 0),
        epoch=epoch,
        temporal_run_id=run_id,
        state=state,
        reason=reason,
        started_at=began,
        closed_at=closed,
        furthest=furthest,
        problem=more[0] if more else "",
    )
