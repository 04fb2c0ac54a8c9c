"""An app at work inside a test: its worker, its store, its Temporal client, and the ledger that its steps write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from patience import LIMIT
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from uno_workflows import Event, Recorded, Settings, Uno
from uno_workflows.app.catalogue import Catalogue, discover
from uno_workflows.app.connecting import connect_temporal
from uno_workflows.app.worker import Role, run_worker
from uno_workflows.events.runs import FINAL_STATES, Run
from uno_workflows.sagas.envelope import STATE_QUERY

T = TypeVar("T")


async def until(condition: Callable[[], Awaitable[T] | T], *, seconds: float = LIMIT) -> T:
    """Wait until a condition holds, and return what it said; it may be a coroutine function."""
    async with asyncio.timeout(seconds):
        while True:
            answer = condition()
            said: Any = await answer if isinstance(answer, Awaitable) else answer
            if said:
                return said
            await asyncio.sleep(0.02)


@dataclass
class App:
    """What a test needs of a running app."""

    settings: Settings
    catalogue: Catalogue
    uno: Uno
    client: Client
    ledger: Path

    def lines(self, workflow_id: str = "") -> list[tuple[str, str, int]]:
        """What the steps of a run (or of all) did: word, idempotency key, attempt."""
        if not self.ledger.exists():
            return []
        found = [line.rsplit(" ", 2) for line in self.ledger.read_text().splitlines()]
        wanted = f"{workflow_id}/" if workflow_id else ""
        return [(word, key, int(attempt)) for word, key, attempt in found if key.startswith(wanted)]

    def did(self, workflow_id: str) -> list[str]:
        """The words alone."""
        return [word for word, _, _ in self.lines(workflow_id)]

    def handle(self, workflow_id: str) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(workflow_id)

    async def run(self, workflow_id: str) -> Run | None:
        """A run's row."""
        runs = await self.uno.store.runs.find(saga=workflow_id.partition("/")[0], limit=10_000)
        return next((run for run in runs if run.workflow_id == workflow_id), None)

    async def ended(self, workflow_id: str, *, seconds: float = LIMIT) -> tuple[str, str]:
        """Wait for a run's end; its state and the reason, as the table of runs has them."""

        async def final() -> Run | None:
            run = await self.run(workflow_id)
            return run if run is not None and run.state in FINAL_STATES else None

        run = await until(final, seconds=seconds)
        assert run is not None
        return run.state, run.reason

    async def state(self, workflow_id: str) -> dict[str, Any]:
        """What the run's state query answers."""
        answer: dict[str, Any] = await self.handle(workflow_id).query(STATE_QUERY)
        return answer

    async def details(self, workflow_id: str) -> list[str]:
        """The lines of a run's current details, as Temporal's UI shows them."""
        answer = await self.handle(workflow_id).query("__temporal_workflow_metadata")
        return str(answer.current_details).splitlines()

    async def waits_for(self, workflow_id: str, label: str) -> None:
        """Wait until a run is at this step or wait."""

        async def there() -> bool:
            return await self.run(workflow_id) is not None and label in (await self.state(workflow_id))["waiting_for"]

        await until(there)

    async def stored(self, stream: str) -> list[Recorded[Event]]:
        """All events of a stream."""
        return [recorded async for recorded in self.uno.read(stream)]

    async def late(self, key: str) -> list[str]:
        """Types of the events that came too late for a key, in log order."""
        return [t for (t,) in await self.sql("select event_type from uno.saga_late where key = :key order by position", key=key)]

    async def pending(self, saga: str, key: str) -> int:
        """How many events wait for a start."""
        found = await self.sql("select count(*) from uno.saga_pending where saga = :saga and key = :key", saga=saga, key=key)
        return int(found[0][0])

    async def caught_up(self, subscription: str) -> None:
        """Wait until a subscription has passed all that is in the log now."""
        bound = await self.uno.store.events.bound()

        async def passed() -> bool:
            return await self.uno.store.subscriptions.position(subscription) >= bound

        await until(passed)

    async def sql(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        """Run one statement in the app's database; its rows, if it has any."""
        async with self.uno.transaction() as tx:
            result = await tx.execute(statement, values)
            return [tuple(row) for row in result.all()] if result.returns_rows else []

    async def history(self, workflow_id: str) -> list[Any]:
        """The events of a run's history; none before it was started."""
        try:
            return list((await self.handle(workflow_id).fetch_history()).events)
        except RPCError as err:
            if err.status is not RPCStatusCode.NOT_FOUND:
                raise
            return []

    async def failures(self, workflow_id: str) -> list[str]:
        """The messages of a run's failed workflow tasks: bugs, and what does not replay."""
        events = await self.history(workflow_id)
        return [
            event.workflow_task_failed_event_attributes.failure.message
            for event in events
            if event.HasField("workflow_task_failed_event_attributes")
        ]


async def forget(address: str, queues: str) -> None:
    """Terminate what still runs on the task queues of an app that is gone: its subscriptions would be offered for ever.

    Args:
        queues: How Temporal's list of workflows finds them, such as `TaskQueue = 'app1'`.
    """
    client = await Client.connect(address)
    async for run in client.list_workflows(f"ExecutionStatus = 'Running' and {queues}"):
        with suppress(RPCError):  # it has just ended
            await client.get_workflow_handle(run.id, run_id=run.run_id).terminate()


@asynccontextmanager
async def running(
    settings: Settings, modules: Sequence[str], ledger: Path, *, role: Role = Role.ALL, limit: float = LIMIT
) -> AsyncIterator[App]:
    """Run a worker in this event loop; entering returns when it is ready, leaving when it has stopped.

    Where Temporal is, `TEMPORAL_ADDRESS` says.
    """
    catalogue, stop, ready = discover(modules), asyncio.Event(), asyncio.Event()
    worker = asyncio.create_task(run_worker(settings, catalogue, role=role, stop=stop, ready=ready.set))
    waiting = asyncio.create_task(ready.wait())
    try:
        await asyncio.wait([worker, waiting], return_when=asyncio.FIRST_COMPLETED, timeout=limit)
        if worker.done():
            worker.result()
        assert ready.is_set(), f"the worker was not ready within {limit} s"
        async with Uno.connect(settings, modules=modules) as uno:
            yield App(settings, catalogue, uno, await connect_temporal(), ledger)
    finally:
        waiting.cancel()
        stop.set()
        await asyncio.wait([worker])
        worker.result()
