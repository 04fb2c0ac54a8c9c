"""The folder: the consumer that has one projection fold the log, its read model and checkpoint in one transaction."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import groupby
from typing import Any, Final

from structlog.contextvars import bound_contextvars

from uno_workflows.events.border import unwrapped, user_code
from uno_workflows.events.errors import LostLease, StoreContended, StoreUnavailable, SubscriptionHalted, UnoError
from uno_workflows.events.names import GlobalPosition
from uno_workflows.events.protocols import Measures, Subscriptions
from uno_workflows.events.raised import cause_of, is_a
from uno_workflows.events.recorded import Recorded, StoredEvent
from uno_workflows.events.registry import EventRegistry
from uno_workflows.events.retry import jittered, waits
from uno_workflows.events.subscriptions import Delivered, Lease, Page
from uno_workflows.events.telling import error_type, spelt
from uno_workflows.observability.logs import get_logger
from uno_workflows.observability.traces import processing
from uno_workflows.observability.unmeasured import UNMEASURED
from uno_workflows.projections.projection import Projection, subscription_name

log = get_logger("uno_workflows.projections")

LOOK_AT_LEASE: Final = 1.0
"""Seconds between two looks at the lease while it waits for the next attempt: a pause or another pump must not wait for that."""
TURN_SECONDS: Final = 0.5
"""After how long `take` goes back to the pump between two batches, which looks whether the lease is paused, halted or over.
Reading the rest of a page again costs a few milliseconds, so small batches that are fast should not return after each."""
SLOW_SECONDS: Final = 5.0
"""A handler that was at work for longer has lost its connection by itself: the server ends transactions that stay idle."""


class ProjectionFolder:
    """The consumer of the subscription `projection:<Name>`."""

    def __init__(
        self,
        projection: type[Projection],
        registry: EventRegistry,
        subscriptions: Subscriptions,
        *,
        measures: Measures = UNMEASURED,
    ) -> None:
        definition = projection.__uno_projection__
        assert definition is not None
        self.projection, self.definition = projection, definition
        self.registry, self.subscriptions, self.measures = registry, subscriptions, measures

    @property
    def subscription(self) -> str:
        return subscription_name(self.definition.name)

    @property
    def handles(self) -> Mapping[str, str]:
        return self.definition.rules

    @asynccontextmanager
    async def open(self, lease: Lease, leaving: asyncio.Event) -> AsyncIterator[FolderSession]:
        """Begin to fold; nothing stays in flight between two pages."""
        yield FolderSession(self, lease, leaving)


class FolderSession:
    """A projection at work under one lease."""

    def __init__(self, folder: ProjectionFolder, lease: Lease, leaving: asyncio.Event) -> None:
        self._folder, self.lease, self._leaving = folder, lease, leaving
        self._instance = _made(folder)

    @property
    def read(self) -> GlobalPosition:
        return self.lease.position

    @property
    def at_rest(self) -> bool:
        return True  # a batch is its transaction

    def verify(self) -> None:
        """Nothing goes wrong between two pages."""

    async def take(self, page: Page) -> None:
        """Fold a page, a batch a transaction; a batch that keeps failing is folded one by one, to name the event.

        Every batch has its own checkpoint, so a part of a page may be left to the next call, or to the next lease.
        """
        size, since = self._folder.definition.batch, time.monotonic()
        for first in range(0, max(len(page.events), 1), size):
            if self._leaving.is_set() or (first and time.monotonic() - since >= TURN_SECONDS):
                return
            batch = page.events[first : first + size]
            upto = page.upto if first + size >= len(page.events) else batch[-1].position
            if not await self._settle(batch, upto):
                return

    async def _settle(self, batch: Sequence[StoredEvent], upto: GlobalPosition) -> bool:
        """Fold a batch, at last one by one; False if the pump has to look first, or leaves."""
        try:
            return await self._insist(batch, upto)
        except _HandlerFailed as err:
            log.warning("projection_batch_split", subscription=self._folder.subscription, events=len(batch), reason=str(err))
        return await self._one_by_one(batch, upto)

    async def _one_by_one(self, batch: Sequence[StoredEvent], upto: GlobalPosition) -> bool:
        for event in batch:
            try:
                if self._leaving.is_set() or not await self._insist([event], event.position):
                    return False
            except _HandlerFailed as err:
                raise SubscriptionHalted(self._folder.subscription, event.position, f"{event.type}: {err}") from err
        return await self._insist([], upto)

    async def _insist(self, batch: Sequence[StoredEvent], upto: GlobalPosition) -> bool:
        """Fold, with the attempts of the projection's `Retry`; outages of Postgres are the pump's to wait out, and do not count.

        False if the wait for another attempt was cut short: it is not folded, and nothing behind it may be.
        """
        for attempt, wait in enumerate((*waits(self._folder.definition.retry), None), start=1):
            try:
                await self._fold(batch, upto)
            except _HandlerFailed as err:
                if wait is None:
                    raise
                log.warning(
                    "projection_failed", subscription=self._folder.subscription, position=upto, attempt=attempt, reason=str(err)
                )
                self._folder.measures.retried(self._folder.subscription, error_type(unwrapped(cause_of(err) or err)))
            else:
                return True
            if not await self._rest(jittered(wait)):
                return False
        raise AssertionError("the last attempt returns or raises")

    async def _rest(self, seconds: float) -> bool:
        """Wait for the next attempt, outside of any transaction; False once the pump leaves, or the lease is paused or halted."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                async with asyncio.timeout(min(left, LOOK_AT_LEASE)):
                    await self._leaving.wait()
            except TimeoutError:
                if not await self._folder.subscriptions.check(self.lease):
                    return False
            else:
                return False
        return True

    async def _fold(self, batch: Sequence[StoredEvent], upto: GlobalPosition) -> None:
        if upto == self.lease.position:
            return
        handler = _Handler()
        try:
            with processing(self._folder.subscription, batch):
                lease = await self._fold_in_transaction(batch, upto, handler)
        except Exception as err:  # judged out here, where an outage that a handler met has its own name
            if handler.is_to_blame(err):
                raise _HandlerFailed(f"{handler.method}: {spelt(unwrapped(err))}") from err
            raise
        self.lease = lease
        if batch:
            self._folder.measures.handled(self._folder.subscription, "handled", [event.recorded_at for event in batch])

    async def _fold_in_transaction(self, batch: Sequence[StoredEvent], upto: GlobalPosition, handler: _Handler) -> Lease:
        async with self._folder.subscriptions.transaction() as tx:
            # first in its transaction: two pumps would otherwise deadlock over the read model (20 of 45 did)
            delivered = Delivered([(event.position, event.id) for event in batch])
            lease = await self._folder.subscriptions.advance(self.lease, upto, delivered=delivered, tx=tx)
            for method, events in self._runs(batch):
                handler.begin(method)
                bound = bound_contextvars(subscription=self.lease.subscription, handler=method, position=events[0].position)
                with bound, user_code(f"{self._folder.definition.name}.{method}"):
                    await getattr(self._instance, method)(events, tx)
        return lease

    def _runs(self, batch: Sequence[StoredEvent]) -> Iterator[tuple[str, Sequence[Recorded[Any]]]]:
        handlers = self._folder.definition.handlers
        for method, events in groupby(batch, key=lambda event: handlers[event.type][1]):
            yield method, [self._decode(event) for event in events]

    def _decode(self, event: StoredEvent) -> Recorded[Any]:
        try:
            return self._folder.registry.decode(event)
        except UnoError as err:
            raise SubscriptionHalted(self._folder.subscription, event.position, str(err)) from err


def _made(folder: ProjectionFolder) -> Projection:
    """One instance for each lease. An error in its `__init__` halts the subscription: another attempt would raise it again."""
    try:
        with user_code(f"{folder.definition.name}.__init__"):
            return folder.projection()
    except Exception as err:
        raise SubscriptionHalted(folder.subscription, None, f"the projection cannot be made: {spelt(unwrapped(err))}") from err


class _Handler:
    """Which handler of a batch is at work, and since when."""

    def __init__(self) -> None:
        self.method = ""
        self._since = 0.0

    def begin(self, method: str) -> None:
        self.method, self._since = method, time.monotonic()

    def is_to_blame(self, error: Exception) -> bool:
        """Whether the handler failed, and not Postgres, the lease or an event that cannot be decoded."""
        if not self.method or is_a(error, StoreContended, LostLease, SubscriptionHalted):
            return False
        return not is_a(error, StoreUnavailable) or time.monotonic() - self._since > SLOW_SECONDS


class _HandlerFailed(UnoError):
    """A handler of a projection raised."""
