"""The pump: reads for one subscription under a lease, and hands each page to its consumer.

Plain code; an activity only hosts it (`dispatch/hosting.py`), and a test needs no Temporal. Postgres owns the truth: whether the
lease still holds, is paused or halted is asked with every page, so pause, reset and takeover work at once and while Temporal
is down. Outages of Postgres are waited out inside the lease (ADR 0004).

The pump reads the types that the subscription's stored definition wants. It stops before an event that its code does not handle,
and hands over, so that a worker of another version goes on there (ADR 0024).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, Protocol

from uno_workflows.events.errors import StoreContended, StoreUnavailable, SubscriptionHalted
from uno_workflows.events.names import GlobalPosition
from uno_workflows.events.protocols import Measures, Subscriptions, Tail
from uno_workflows.events.retry import jittered
from uno_workflows.events.subscriptions import Lease, Page, Unfit
from uno_workflows.observability.logs import get_logger
from uno_workflows.observability.outages import Outages
from uno_workflows.observability.traces import receiving
from uno_workflows.observability.unmeasured import UNMEASURED

log = get_logger("uno_workflows.pump")

FIRST_PAUSE: Final = 0.1


@dataclass(frozen=True, slots=True)
class PumpSettings:
    """How a pump reads.

    Attributes:
        lease: After how long the pump returns and is started anew, so that deployments and rebalancing can move it.
        poll: How long to wait for a wake-up before looking whether the lease still holds; the safety net for lost wake-ups.
        page: How many events a page may hold.
        longest_pause: The longest wait between attempts while Postgres is away.
    """

    lease: timedelta = timedelta(minutes=5)
    poll: timedelta = timedelta(seconds=0.5)
    page: int = 500
    longest_pause: timedelta = timedelta(seconds=5)


class Session(Protocol):
    """One consumer at work under one lease."""

    @property
    def lease(self) -> Lease:
        """What is finished: its position only moves in Postgres first."""
        ...

    @property
    def read(self) -> GlobalPosition:
        """Where to read on; ahead of the lease's position while events are in flight."""
        ...

    @property
    def at_rest(self) -> bool:
        """Whether none of its work may still take effect; the pump asks after it has left the block."""
        ...

    def verify(self) -> None:
        """Raise what went wrong since, as `take` would."""
        ...

    async def take(self, page: Page) -> None:
        """Handle a page, or begin to.

        Raises:
            SubscriptionHalted: an event can neither be handled nor skipped; the pump writes it down.
            LostLease: another pump took over.
        """
        ...


class Consumer(Protocol):
    """What a subscription is for."""

    @property
    def subscription(self) -> str: ...

    @property
    def handles(self) -> Mapping[str, str]:
        """The event types that this code handles, each with its rule; see `Definition`."""
        ...

    def open(self, lease: Lease, leaving: asyncio.Event) -> AbstractAsyncContextManager[Session]:
        """Begin to work; leaving the block waits for what is in flight, briefly once `leaving` is set.

        Raises:
            SubscriptionHalted, LostLease: as `take` does, for what was in flight.
        """
        ...


class Pump:
    """One subscription's reader.

    Args:
        owner: Who holds the lease, for operators: host, process and a random part.
        outages: Where it says that Postgres does not answer.
    """

    def __init__(
        self,
        subscriptions: Subscriptions,
        tail: Tail,
        consumer: Consumer,
        *,
        owner: str,
        settings: PumpSettings,
        outages: Outages | None = None,
        measures: Measures = UNMEASURED,
    ) -> None:
        self._subscriptions, self._tail, self._consumer = subscriptions, tail, consumer
        self._owner, self._settings, self._measures = owner, settings, measures
        self._outage = (outages or Outages()).part(consumer.subscription)
        self._still = False  # told that it is paused or halted
        self.unfit: Unfit | None = None
        """Where it stopped because its code does not handle the event. Give it to the next pump of this process."""
        self.leaving = asyncio.Event()
        """Set it to hand over: the page at hand is finished, then `run` returns."""
        self.position = GlobalPosition(0)
        """How far it got; for display only."""
        self.term: int | None = None
        """Of the last lease that it had."""
        self._held: Lease | None = None

    async def run(self, *, last_term: int | None = None, unfit: Unfit | None = None) -> None:
        """Pump until the lease is over or `leaving` is set.

        Args:
            last_term: Of the last lease that this process had. If ours follows it directly, the log says `lease_renewed`.
            unfit: Where a pump of this process stopped. If the subscription is still there, this pump leaves it to others at
                once, because a takeover would only raise the term.

        Raises:
            LostLease: another pump took over.
        """
        self.term, self.unfit = last_term, unfit
        try:
            await self._run(time.monotonic() + self._settings.lease.total_seconds())
        finally:
            self._outage.left()  # cancelled or not: an outage that counts a departed pump would never end

    async def halt(self, reason: str) -> None:
        """Halt its subscription for a fault that its host saw, with no event to blame.

        Raises:
            LostLease: another pump took over.
        """
        if self._held is not None:
            await self._subscriptions.halt(self._held, position=None, reason=reason)
            self._measures.halted(self._consumer.subscription)
            self._tell_halted(None, reason)

    async def _run(self, end: float) -> None:
        pause = FIRST_PAUSE
        lease: Lease | None = None
        while not self.leaving.is_set() and time.monotonic() < end:
            try:
                if not await self._may_begin():
                    continue
                # Pass our last lease: after a freeze the connections are broken and another pump may own the
                # lease, which is no outage.
                lease = await self._subscriptions.take_over(self._consumer.subscription, owner=self._owner, after=lease)
                self._held, pause = lease, FIRST_PAUSE
                self._tell_taken(lease)
                await self._hold(lease, end)
            except SubscriptionHalted as halt:
                lease = halt.lease or lease  # a takeover whose checkpoint does not fit the log halts under its own, newer term
                self._outage.over("postgres")  # it stored the halt
                self._tell_halted(halt.position, halt.reason)
                await self._rest(self._settings.poll.total_seconds())
            except (StoreUnavailable, StoreContended) as err:
                self._outage.met(err)
                await self._rest(jittered(pause))
                pause = min(pause * 2, self._settings.longest_pause.total_seconds())

    async def _may_begin(self) -> bool:
        """Check before taking the lease: a paused or halted subscription stays unchanged, its term included."""
        standing = await self._subscriptions.standing(self._consumer.subscription)
        self._outage.over("postgres")
        if self.unfit is not None:
            if (standing.position, standing.generation) == (self.unfit.position - 1, self.unfit.generation):
                self.leaving.set()
                return False
            self.unfit = None
        if standing.halt is not None:
            self._tell_halted(standing.halt.position, standing.halt.reason)
        else:
            self._tell_standing(standing=standing.paused)
        if standing.paused or standing.halt is not None:
            await self._rest(self._settings.poll.total_seconds())
            return False
        return True

    async def _hold(self, lease: Lease, end: float) -> None:
        self._measures.took_over(lease.subscription)
        session: Session | None = None
        try:
            async with self._consumer.open(lease, self.leaving) as session:
                await self._pump(session, end)
        except SubscriptionHalted as halt:  # out here, since what is in flight may also halt while the block is left
            await self._subscriptions.halt(lease, position=halt.position, reason=halt.reason)
            self._measures.halted(lease.subscription)
            await self._release(lease, session)
            raise
        else:
            await self._release(lease, session)
        finally:
            self._measures.let_go(lease.subscription)
        if (unfit := self.unfit) is not None:
            log.warning("event_not_handled", subscription=lease.subscription, position=unfit.position, reason=unfit.reason)
            await self._subscriptions.hand_over(lease, unfit)

    async def _release(self, lease: Lease, session: Session | None) -> None:
        if session is not None and session.at_rest:
            await self._subscriptions.release(lease)

    async def _pump(self, session: Session, end: float) -> None:
        while not self.leaving.is_set() and time.monotonic() < end:
            self.position = session.lease.position
            session.verify()
            await self._turn(session, await self._wait(session.read))

    async def _turn(self, session: Session, bound: int) -> None:
        may_go_on = await self._subscriptions.check(session.lease)
        self._tell_standing(standing=not may_go_on)
        if not may_go_on:
            await self._rest(self._settings.poll.total_seconds())  # paused or halted
        elif bound > session.read and not self.leaving.is_set():
            at, began = replace(session.lease, position=session.read), time.perf_counter()
            page = await self._subscriptions.page(at, bound=bound, handles=self._consumer.handles, limit=self._settings.page)
            if page.unfit is not None:
                self.unfit = page.unfit
                self.leaving.set()  # as when the worker stops: work in flight ends, and another worker goes on
                return
            with receiving(self._consumer.subscription, page.events):
                await session.take(page)
            self._measures.page_ended(self._consumer.subscription, time.perf_counter() - began)

    async def _wait(self, position: int) -> GlobalPosition:
        """Wait for the log to grow, or for the next look at the lease; returns at once when leaving."""
        growth = asyncio.ensure_future(self._tail.wait_beyond(position, seconds=self._settings.poll.total_seconds()))
        leaving = asyncio.ensure_future(self.leaving.wait())
        try:
            await asyncio.wait({growth, leaving}, return_when=asyncio.FIRST_COMPLETED)
            return growth.result() if growth.done() else GlobalPosition(position)
        finally:
            growth.cancel()
            leaving.cancel()

    def _tell_taken(self, lease: Lease) -> None:
        followed, self.term = self.term, lease.term
        if followed is not None and lease.term == followed + 1:  # no other pump had it in between
            log.debug("lease_renewed", subscription=lease.subscription, term=lease.term, position=lease.position)
        else:
            log.info("lease_taken", subscription=lease.subscription, term=lease.term, position=lease.position)

    def _tell_halted(self, position: int | None, reason: str) -> None:
        """Report it once, although each check finds it again."""
        if not self._still:
            log.error("subscription_halted", subscription=self._consumer.subscription, position=position, reason=reason)
        self._still = True

    def _tell_standing(self, *, standing: bool) -> None:
        if standing and not self._still:
            log.info("subscription_paused", subscription=self._consumer.subscription)
        elif self._still and not standing:
            log.info("subscription_resumed", subscription=self._consumer.subscription)
        self._still = standing

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self.leaving.wait()
        except TimeoutError:
            pass
