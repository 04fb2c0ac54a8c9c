"""Starting and feeding runs: what happens to one event for one run.

Postgres keeps whether a run was ever started and how it ended, because Temporal forgets closed runs with its retention and
then accepts their ids again; REJECT_DUPLICATE covers the moments between a start and its row (ADR 0004).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final, Literal
from uuid import UUID

from uno_workflows.dispatch.closing import record_closed_run
from uno_workflows.dispatch.temporal import Envelope, SagaClient, make_envelope
from uno_workflows.events.errors import TemporalUnavailable, UnoError
from uno_workflows.events.limits import INLINE_RUN
from uno_workflows.events.names import former_workflow_id, workflow_id
from uno_workflows.events.protocols import EventStore, Runs
from uno_workflows.events.recorded import StoredEvent
from uno_workflows.events.runs import FINAL_STATES, Run, RunKey, Started, Undelivered
from uno_workflows.observability.logs import get_logger
from uno_workflows.observability.traces import processing
from uno_workflows.sagas.definition import SagaDefinition
from uno_workflows.sagas.envelope import Declared, subscription_name

log = get_logger("uno_workflows.dispatch")

REMEMBERED: Final = 20_000  # runs known without asking Postgres
OVER: Final = "the saga was over"
Outcome = Literal["started", "signalled", "pending", "late", "repeated"]
"""What became of an event for one run."""


class RunLost(UnoError):
    """Temporal does not know a run that the table of runs calls open."""

    def __init__(self, workflow_id: str, *, namespace: str) -> None:
        resume = f"`uno subscriptions resume {subscription_name(workflow_id.partition('/')[0])}`"
        super().__init__(
            f"Temporal does not know the open run {workflow_id} in namespace {namespace}. If it was deleted there: the worker "
            f"closes its row within minutes; once `uno sagas list` shows it as terminated, {resume}: the event is kept as late. "
            f"If the namespace is another one, was lost or restored: set TEMPORAL_NAMESPACE or restore it, then {resume}"
        )


@dataclass(frozen=True, slots=True)
class KnownRun:
    """What is known of a run without asking."""

    workflow_id: str
    start_event_id: UUID
    over: bool
    read: int = 0
    """How far it had read this epoch of the log when it ended."""


class Feeder:
    """Starts and feeds the runs of one saga, under one epoch of the log.

    Attributes:
        started: Runs that were started and are not yet in the table of runs.
    """

    def __init__(self, saga: SagaDefinition, temporal: SagaClient, events: EventStore, runs: Runs, epoch: UUID) -> None:
        self._saga, self._temporal, self._events, self._runs, self._epoch = saga, temporal, events, runs, epoch
        self._known: OrderedDict[RunKey, KnownRun | None] = OrderedDict()
        self._sent: OrderedDict[RunKey, int] = OrderedDict()
        self.started: list[Started] = []

    async def look_up(self, keys: Collection[RunKey]) -> None:
        """Learn of a page's runs in one query; those at work here are known better than Postgres knows them."""
        asked = {key for key in keys if key not in self._known}
        await self._ask(asked)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    async def _run_of(self, key: RunKey) -> KnownRun | None:
        """The run of a key; one that was forgotten here is asked for again, for a run that is missed is started twice."""
        if key not in self._known:
            await self._ask({key})
        return self._known[key]

    async def _ask(self, keys: Collection[RunKey]) -> None:
        """Look into the table of runs; what was started here, before or meanwhile, may not be in it yet."""
        before = self.started[:]  # the checkpoint may write them down while we ask
        found = await self._runs.latest(keys) if keys else {}
        started = {s.key: KnownRun(s.workflow_id, s.start_event_id, over=False) for s in (*before, *self.started)}
        for key in keys:
            if key not in self._known:
                self._remember(key, started.get(key) or self._known_run(found.get(key)))

    async def deliver(self, event: StoredEvent, key: RunKey) -> Outcome:
        """Start the run, feed it, or write down why not. Doing it again after a crash changes nothing.

        A run that is over by the table is signalled all the same: its last workflow task may have been lost after it wrote
        the end, and is done again with this event. Only Temporal knows.

        Raises:
            TemporalUnavailable, StoreUnavailable, StoreContended: it may work later.
            UnoError: it never will.
        """
        run = await self._run_of(key)
        if run is None and event.type in self._saga.starts_on:
            await self._start(event, key)
            return "started"
        if run is None:
            await self._runs.add_pending(_undelivered(event, key))  # its start may still come
            log.debug("event_early", **_fields(event, key))
            return "pending"
        if event.id == run.start_event_id:
            await self._deliver_pending(run, key)  # started before; whoever did it may have died here
            return "repeated"
        if run.over and event.position <= run.read:
            return "repeated"  # the run had it before it ended; it is only delivered again
        if await self._temporal.signal(run.workflow_id, self._envelope(event, key)):
            if run.over:
                await self._reopen(key, run)
            return "signalled"
        await self._not_found(event, key, run)
        return "late"

    async def _start(self, event: StoredEvent, key: RunKey) -> None:
        declared = Declared(deadline=self._saga.deadline, handles=frozenset(self._saga.handlers))
        envelope, begun = self._envelope(event, key, declared), None
        made = workflow_id(key.saga, key.key, tenant=key.tenant)
        if former := former_workflow_id(key.saga, key.key, tenant=key.tenant):
            # a dispatcher of an earlier version may have started it, and died before it wrote the row
            begun = await self._temporal.started_as(former, event)
        if former and begun is not None:
            made = former
        else:
            begun = await self._temporal.start(key.saga, made, envelope, event=event)
        run = KnownRun(made, event.id, over=False)
        self._remember(key, run)
        started = Started(key, made, event.id, event.position, begun.run_id, begun.at, self._temporal.namespace_id)
        self.started.append(started)
        log.debug("saga_started", **_fields(event, key), run_id=begun.run_id, correlation_id=envelope.correlation_id)
        await self._deliver_pending(run, key)

    async def _deliver_pending(self, run: KnownRun, key: RunKey) -> None:
        """Events that came before their start follow it, in log order, before any later one."""
        positions = await self._runs.pending(key)
        for event in await self._events.load(positions) if positions else ():
            with delivering(event, key):
                if not await self._temporal.signal(run.workflow_id, self._envelope(event, key)):
                    await self._not_found(event, key, run)  # it may have read the event: a dispatcher that died had sent it
        if positions:
            await self._runs.drop_pending(key, max(positions))

    async def _reopen(self, key: RunKey, run: KnownRun) -> None:
        """A run whose row is closed took an event: it was reset, or its last task runs again, which writes its end anew."""
        going = await self._temporal.open_run(run.workflow_id)
        if going is not None and await self._runs.reopen(run.workflow_id, going):
            log.warning("saga_reopened", **_run_fields(key), workflow_id=run.workflow_id, run_id=going)
            self._remember(key, KnownRun(run.workflow_id, run.start_event_id, over=False))

    async def _not_found(self, event: StoredEvent, key: RunKey, run: KnownRun) -> None:
        """Temporal has no open run of it: it ended just now, was closed by the server, or was lost."""
        row = (await self._runs.latest([key])).get(key)
        if row is not None and row.state not in FINAL_STATES:
            status = await self._temporal.status(run.workflow_id)
            if status is None:
                raise RunLost(run.workflow_id, namespace=self._temporal.namespace)
            fields = _fields(event, key)
            if not await record_closed_run(self._runs, row.key, status, workflow_id=run.workflow_id, **fields):
                raise TemporalUnavailable(f"{run.workflow_id} was closed and reset just now; the event is sent again")
        known = self._known_run(row)
        read = known.read if known else 0
        self._remember(key, KnownRun(run.workflow_id, run.start_event_id, over=True, read=read))
        if event.position > read:
            await self._late(event, key)

    async def _late(self, event: StoredEvent, key: RunKey) -> None:
        if await self._runs.add_late(_undelivered(event, key), reason=OVER):
            log.info("event_late", **_fields(event, key))  # at most once: it is delivered again after a crash

    def _envelope(self, event: StoredEvent, key: RunKey, declared: Declared | None = None) -> Envelope:
        searchable = self._temporal.searchable
        inline = self._may_send(event, key)
        return make_envelope(event, key=key.key, epoch=self._epoch, searchable=searchable, declared=declared, inline=inline)

    def _may_send(self, event: StoredEvent, key: RunKey) -> bool:
        """Whether the run gets the payload. Signals fill a history also while no worker runs, when the run cannot judge it: 400
        events of 128 KB had it terminated by Temporal, without undo."""
        sent = self._sent.pop(key, 0) + len(event.payload)
        self._sent[key] = sent
        if len(self._sent) > REMEMBERED:
            self._sent.popitem(last=False)
        return sent <= INLINE_RUN.most

    def _known_run(self, row: Run | None) -> KnownRun | None:
        if row is None:
            return None
        read = row.furthest or 0 if row.epoch == self._epoch else 0
        return KnownRun(row.workflow_id, row.start_event_id, row.state in FINAL_STATES, read)

    def _remember(self, key: RunKey, run: KnownRun | None) -> None:
        self._known[key] = run
        self._known.move_to_end(key)


def delivering(event: StoredEvent, key: RunKey) -> AbstractContextManager[None]:
    """The span around one delivery."""
    return processing(subscription_name(key.saga), [event], {"uno.saga": key.saga, "uno.saga_key": key.key})


def _undelivered(event: StoredEvent, key: RunKey) -> Undelivered:
    return Undelivered(key, event.position, event.id, event.type)


def _run_fields(key: RunKey) -> dict[str, Any]:
    return {"saga": key.saga, "saga_key": key.key, "tenant": key.tenant or None}


def _fields(event: StoredEvent, key: RunKey) -> dict[str, Any]:
    """What the log says of a delivery."""
    return {
        **_run_fields(key),
        "position": event.position,
        "stream_id": event.stream_id,
        "event_id": event.id,
        "event_type": event.type,
    }
