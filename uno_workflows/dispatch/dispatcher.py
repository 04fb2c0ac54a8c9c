"""The dispatcher: the consumer that starts one saga class's runs and feeds them.

Different keys go side by side in a bounded window; one key strictly in order, one call in flight, or Temporal may reorder
them (60 inversions of 300 were seen with 20 in flight). The checkpoint follows the lowest unfinished event.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from structlog.contextvars import bound_contextvars

from uno_workflows.dispatch.feeding import Feeder, delivering
from uno_workflows.dispatch.progress import Progress, Record
from uno_workflows.dispatch.routing import run_keys
from uno_workflows.dispatch.temporal import SagaClient
from uno_workflows.events.errors import StoreContended, StoreUnavailable, SubscriptionHalted, TemporalUnavailable, UnoError
from uno_workflows.events.names import GlobalPosition
from uno_workflows.events.protocols import EventStore, Measures, Runs, Subscriptions
from uno_workflows.events.recorded import StoredEvent
from uno_workflows.events.retry import jittered
from uno_workflows.events.runs import RunKey
from uno_workflows.events.subscriptions import Delivered, Lease, Page
from uno_workflows.observability.outages import Outages, Part
from uno_workflows.observability.unmeasured import UNMEASURED
from uno_workflows.sagas.definition import SagaDefinition
from uno_workflows.sagas.envelope import subscription_name

PASSING: Final = (TemporalUnavailable, StoreUnavailable, StoreContended)
FIRST_PAUSE: Final = 0.1
LOOK_AT_LEASE: Final = 1.0
COALESCE: Final = 0.02
"""Seconds between two checkpoints, so that many finished events share one."""
AHEAD: Final = 10_000
"""How many events may be delivered ahead of the checkpoint: one that cannot be finished must not have memory grow behind it."""


@dataclass(frozen=True, slots=True)
class DispatchSettings:
    """How a dispatcher delivers.

    Attributes:
        window: How many deliveries may be in flight.
        max_open: How many runs of one saga may be open before new starts are held back.
        patience: How long a page with starts is held back at most. Then it goes on, because the open runs may be waiting
            for events in it or behind it.
        longest_pause: The longest wait between attempts while Temporal or Postgres is away.
    """

    window: int = 20
    max_open: int = 2000
    patience: timedelta = timedelta(seconds=5)
    longest_pause: timedelta = timedelta(seconds=5)


class Dispatcher:
    """The consumer of the subscription `saga:<Name>`."""

    def __init__(
        self,
        saga: SagaDefinition,
        temporal: SagaClient,
        *,
        events: EventStore,
        runs: Runs,
        subscriptions: Subscriptions,
        settings: DispatchSettings,
        outages: Outages | None = None,
        measures: Measures = UNMEASURED,
    ) -> None:
        self.saga, self.temporal, self.events = saga, temporal, events
        self.outages = outages or Outages()
        self.runs, self.subscriptions, self.settings = runs, subscriptions, settings
        self.measures = measures
        self._rules = saga.rules

    @property
    def subscription(self) -> str:
        return subscription_name(self.saga.name)

    @property
    def handles(self) -> Mapping[str, str]:
        return self._rules

    @asynccontextmanager
    async def open(self, lease: Lease, leaving: asyncio.Event) -> AsyncIterator[DispatchSession]:
        """Begin to deliver; on leaving, what is in flight ends or is given up, and the checkpoint is written."""
        session = DispatchSession(self, lease, leaving)
        keeper = asyncio.create_task(session.keep_checkpoint(), name=f"checkpoint of {self.subscription}")
        try:
            yield session
            await session.drain()
        finally:
            await session.give_up()
            await session.stop(keeper)
        await session.write_checkpoint()


class DispatchSession:
    """A dispatcher at work under one lease."""

    def __init__(self, dispatcher: Dispatcher, lease: Lease, leaving: asyncio.Event) -> None:
        self._dispatcher, self.lease, self._leaving = dispatcher, lease, leaving
        self._feeder = Feeder(dispatcher.saga, dispatcher.temporal, dispatcher.events, dispatcher.runs, lease.epoch)
        self._progress = Progress(lease.position)
        self._record = Record()
        self._slots = asyncio.Semaphore(dispatcher.settings.window)
        self._tasks: set[asyncio.Task[str]] = set()
        self._last: dict[RunKey, asyncio.Task[str]] = {}
        self._delivered: list[tuple[GlobalPosition, str, datetime]] = []  # until a checkpoint covers them
        self._changed = asyncio.Event()
        self._writing = asyncio.Lock()
        self._failure: BaseException | None = None

    @property
    def read(self) -> GlobalPosition:
        return self._progress.read

    @property
    def at_rest(self) -> bool:
        return self._progress.idle and not self._feeder.started

    def verify(self) -> None:
        if self._failure is not None:
            raise self._failure

    async def take(self, page: Page) -> None:
        """Begin the delivery of a page's events; returns when the last one has found a place in the window."""
        routed, halt = self._route(page)
        await self._feeder.look_up([key for _, key in routed])
        await self._hold_back({event.type for event in page.events})
        await self._stay_near()
        self._record_strangers(page, routed, halt)
        for event, key in routed:
            await self._acquire_slot()
            if self._failure is not None or self._leaving.is_set():
                self._slots.release()
                return self.verify()
            self._begin(event, key)
        self._progress.read = page.upto if halt is None else GlobalPosition((halt.position or 1) - 1)
        self._changed.set()
        if halt is not None:  # what lies before it is delivered all the same
            await self.drain()
            await self.write_checkpoint()
            raise halt
        return None

    async def drain(self) -> None:
        """Wait for what is in flight."""
        if self._tasks:
            await asyncio.wait(self._tasks)
        self.verify()

    async def give_up(self) -> None:
        """Cancel what is still in flight: the next lease delivers it again, and the sagas know what they had."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _acquire_slot(self) -> None:
        """Wait for a place in the window. While Temporal is away all are taken: look meanwhile whether the lease still holds."""
        while True:
            try:
                async with asyncio.timeout(LOOK_AT_LEASE):
                    await self._slots.acquire()
            except TimeoutError:
                await self._dispatcher.subscriptions.check(self.lease)
            else:
                return

    # -- the checkpoint

    async def stop(self, keeper: asyncio.Task[None]) -> None:
        """Stop the keeper of the checkpoint, but not between its commit and our knowledge of it."""
        async with self._writing:
            keeper.cancel()
        await asyncio.wait([keeper])

    async def keep_checkpoint(self) -> None:
        """Write the checkpoint whenever something has finished."""
        outage = self._dispatcher.outages.part(f"checkpoint of {self._dispatcher.subscription}")
        try:
            await self._keep_checkpoint(outage)
        finally:
            outage.left()

    async def _keep_checkpoint(self, outage: Part) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self.write_checkpoint()
                outage.over("postgres")
            except (StoreUnavailable, StoreContended) as err:
                outage.met(err)
                self._changed.set()
                await asyncio.sleep(jittered(FIRST_PAUSE))
            except Exception as err:
                self._failure = self._failure or err
                return
            await asyncio.sleep(COALESCE)

    async def write_checkpoint(self) -> None:
        """Move the checkpoint, and write the runs that were started since, in one transaction."""
        async with self._writing:
            await self._write_checkpoint()

    async def _write_checkpoint(self) -> None:
        started, done = self._feeder.started[:], max(self._progress.done, self.lease.position)
        if not started and done == self.lease.position:
            return
        delivered = Delivered(self._record.upto(done))
        async with self._dispatcher.subscriptions.transaction() as tx:
            lease = await self._dispatcher.subscriptions.advance(self.lease, done, delivered=delivered, tx=tx)
            if started:
                await self._dispatcher.runs.record_started(started, epoch=lease.epoch, tx=tx)
        self.lease = lease
        self._record.forget(done)
        del self._feeder.started[: len(started)]
        self._measure(len(started), done)

    def _measure(self, started: int, done: GlobalPosition) -> None:
        """Count what the checkpoint just told: once for many events. What lies ahead of it may be delivered again."""
        measures, delivered = self._dispatcher.measures, self._delivered
        if started:
            measures.runs_started(self._dispatcher.saga.name, started)
        covered: dict[str, list[datetime]] = {}
        for position, outcome, recorded_at in delivered:
            if position <= done:
                covered.setdefault(outcome, []).append(recorded_at)
        self._delivered = [one for one in delivered if one[0] > done]
        for outcome, recorded in covered.items():
            measures.handled(self._dispatcher.subscription, outcome, recorded)

    # -- deliveries

    def _begin(self, event: StoredEvent, key: RunKey) -> None:
        self._progress.begin(event.position)
        turn = self._deliver_in_turn(event, key, self._last.get(key))
        task = asyncio.create_task(turn, name=f"{event.type} to {key.saga}/{key.key}")
        self._tasks.add(task)
        self._last[key] = task
        task.add_done_callback(lambda ended: self._ended(ended, event, key))

    def _ended(self, task: asyncio.Task[str], event: StoredEvent, key: RunKey) -> None:
        self._slots.release()
        self._tasks.discard(task)
        if self._last.get(key) is task:
            del self._last[key]
        if task.cancelled():
            return  # it stays unfinished, and the checkpoint before it
        if error := task.exception():
            self._failure = self._failure or error
            return
        if self._progress.finish(event.position):
            self._record.add(event.position, event.id)
        self._delivered.append((event.position, task.result(), event.recorded_at))
        self._changed.set()

    async def _deliver_in_turn(self, event: StoredEvent, key: RunKey, before: asyncio.Task[str] | None) -> str:
        if before is not None:
            await asyncio.wait([before])
            if before.cancelled() or before.exception() is not None:
                raise asyncio.CancelledError  # never overtake an event of the same key
        outage = self._dispatcher.outages.part(f"{event.type} at {event.position} to {key.saga}/{key.key}")
        try:
            with bound_contextvars(subscription=self._dispatcher.subscription, position=event.position):
                return await self._insist(event, key, outage)
        finally:
            outage.left()

    async def _insist(self, event: StoredEvent, key: RunKey, outage: Part) -> str:
        pause = FIRST_PAUSE
        while True:
            try:
                with delivering(event, key):
                    outcome = await self._feeder.deliver(event, key)
            except PASSING as err:
                if self._leaving.is_set():
                    raise asyncio.CancelledError from err
                outage.met(err)
                self._dispatcher.measures.retried(self._dispatcher.subscription, type(err).__name__)
                await self._rest(jittered(pause))
                pause = min(pause * 2, self._dispatcher.settings.longest_pause.total_seconds())
            except UnoError as err:
                raise self._halted(event, err) from err
            else:
                outage.over()
                return outcome

    def _route(self, page: Page) -> tuple[list[tuple[StoredEvent, RunKey]], SubscriptionHalted | None]:
        """Which runs a page's events go to, up to the first event that names none."""
        routed: list[tuple[StoredEvent, RunKey]] = []
        for event in page.events:
            try:
                routed += [(event, key) for key in run_keys(self._dispatcher.saga, event)]
            except UnoError as err:
                return routed, self._halted(event, err)
        return routed, None

    async def _hold_back(self, types: Collection[str]) -> None:
        """Hold a page with new starts back for a while, as long as too many runs are open."""
        saga, settings = self._dispatcher.saga, self._dispatcher.settings
        if not any(event_type in saga.starts_on for event_type in types):
            return
        end = time.monotonic() + settings.patience.total_seconds()
        while await self._dispatcher.runs.count_open(saga.name) >= settings.max_open:
            if self._leaving.is_set() or time.monotonic() >= end:
                return
            await self._rest(FIRST_PAUSE)

    async def _stay_near(self) -> None:
        """Wait while too much is delivered ahead of the checkpoint, because an event before it cannot be finished."""
        while len(self._record) >= AHEAD and self._failure is None and not self._leaving.is_set():
            await self._dispatcher.subscriptions.check(self.lease)
            await self._rest(FIRST_PAUSE)

    def _record_strangers(
        self, page: Page, routed: Collection[tuple[StoredEvent, RunKey]], halt: SubscriptionHalted | None
    ) -> None:
        """An event that is for no run has been delivered as soon as it was looked at."""
        known = {event.position for event, _ in routed}
        for event in page.events:
            if halt is not None and event.position == halt.position:
                return
            if event.position not in known:
                self._record.add(event.position, event.id)

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._leaving.wait()
        except TimeoutError:
            pass

    def _halted(self, event: StoredEvent, reason: UnoError) -> SubscriptionHalted:
        return SubscriptionHalted(self._dispatcher.subscription, event.position, f"{event.type} in {event.stream_id}: {reason}")
