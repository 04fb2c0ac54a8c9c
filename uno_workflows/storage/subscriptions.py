"""Checkpoints, and who may move them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from uno_workflows.events.errors import LostLease, SubscriptionHalted, UnknownSubscription
from uno_workflows.events.names import GlobalPosition
from uno_workflows.events.protocols import Transaction
from uno_workflows.events.recorded import StoredEvent
from uno_workflows.events.subscriptions import Delivered, Halt, Lease, Page, Standing, SubscriptionStatus, Unfit, Wanted
from uno_workflows.events.text import storable
from uno_workflows.storage.handles import SqlalchemyHandle
from uno_workflows.storage.own_statements import hold
from uno_workflows.storage.pool import Database
from uno_workflows.storage.reading import end_of_hole
from uno_workflows.storage.transactions import Limits, Transactions

WINDOW: Final = 5_000
"""Positions that one page looks at: a type that never comes costs a few milliseconds a page, and the checkpoint moves."""
BACKUPS: Final = "; see Backups in docs/operations.md"


class PostgresSubscriptions:
    """See the port `Subscriptions`."""

    def __init__(self, database: Database, transactions: Transactions) -> None:
        self._database = database
        self._transactions = transactions

    async def standing(self, name: str) -> Standing:
        """Its state, without taking it over. Raises UnknownSubscription."""
        row = await self._database.fetch_row("subscription_standing", name=name)
        if row is None:
            raise UnknownSubscription(name)
        position, generation, paused, halt_position, halt_reason, halted_at = row
        halt = None if halted_at is None else Halt(halt_position, halt_reason, halted_at)
        return Standing(position, generation, paused, halt)

    async def take_over(self, name: str, *, owner: str, after: Lease | None = None) -> Lease:
        """Become the owner: the term grows by one, so the previous owner can move nothing any more.

        Args:
            after: The lease that this process had before. If another pump took over since, nothing is taken from it.

        Raises:
            UnknownSubscription: it was never defined.
            LostLease: another term followed the one of `after`, or the definition changed this very moment.
            SubscriptionHalted: the checkpoint does not fit the log: it has another epoch, or is ahead of the head or below the
                first position that retention left. The row records the halt, and nothing is skipped. The error carries the lease,
                which is ours all the same.
        """
        row = await self._database.fetch_row("take_over", name=name, owner=owner, after=after and after.term)
        if row is None and after is not None:
            raise LostLease(f"subscription {name} has another term since {after.term}: taken over, or ours was not answered")
        if row is None:
            raise UnknownSubscription(name)
        position, term, epoch, log_epoch, first_position, head = row
        lease = Lease(name, position, term, epoch)
        reason = None
        if epoch != log_epoch:
            where = f"its checkpoint {position} is of epoch {epoch}, the log is in {log_epoch}"
            reason = f"{where}: it was restored or failed over{BACKUPS}"
        elif position > head:
            reason = f"its checkpoint {position} is ahead of the log, which ends at {head}: the log lost its end{BACKUPS}"
        elif position + 1 < first_position:
            reason = _retained(position, first_position)
        if reason is not None:
            try:
                await self.halt(lease, position=None, reason=reason)
            except LostLease:  # taken over, or told meanwhile that it is of this log: judge anew
                return await self.take_over(name, owner=owner, after=lease)
            raise SubscriptionHalted(name, None, reason, lease=lease)
        return await self._with_definition(lease)

    async def _with_definition(self, lease: Lease) -> Lease:
        """Read the definition after raising the term: a later change raises it again, and the first page finds that."""
        generation, wants = await self._definition(lease.subscription)
        if any(wanted.after is None for wanted in wants.values()):  # its definer died between its transactions
            await self._database.fetch("settle_starts", name=lease.subscription)
            generation, wants = await self._definition(lease.subscription)
        if any(wanted.after is None for wanted in wants.values()):
            raise LostLease(f"subscription {lease.subscription} was defined anew since term {lease.term}")
        return replace(lease, generation=generation, wants=wants)

    async def _definition(self, name: str) -> tuple[int, dict[str, Wanted]]:
        rows = await self._database.fetch("definition", name=name)
        if not rows:
            raise UnknownSubscription(name)
        wants = {type_: Wanted(rule, after) for _, type_, rule, after in rows if type_ is not None}
        return rows[0][0], wants

    async def wants(self, name: str) -> Mapping[str, Wanted]:
        """The currently wanted types, by event type. Raises UnknownSubscription."""
        return (await self._definition(name))[1]

    async def release(self, lease: Lease) -> None:
        """Record that the owner has stopped and has nothing in flight; harmless if it is not the owner any more."""
        await self._database.fetch("release", name=lease.subscription, term=lease.term)

    async def hand_over(self, lease: Lease, unfit: Unfit) -> None:
        """Record the event at which the owner stopped, for operators; harmless if it is not the owner any more."""
        await self._database.fetch(
            "hand_over", name=lease.subscription, term=lease.term, position=unfit.position, reason=storable(unfit.reason)
        )

    async def check(self, lease: Lease) -> bool:
        """Whether the lease may go on now: False while paused or halted.

        Raises:
            LostLease: another term, a reset, or another epoch of the log.
        """
        row = await self._database.fetch_row("check", name=lease.subscription)
        if row is None or row[0] != lease.term or not row[1]:
            raise LostLease(f"subscription {lease.subscription} was taken over, defined anew or reset since term {lease.term}")
        return bool(row[2])

    async def page(self, lease: Lease, *, bound: int, handles: Mapping[str, str], limit: int) -> Page:
        """The next window of at most 5,000 positions after the lease's, and at most `limit` wanted events of it.

        A hole that begins at its end belongs to it, whatever its length. The page has the events that the definition wants, and
        ends before the first one that the code does not handle by its rule. It leaves out events that an operator skipped.

        Args:
            handles: The types that the code handles, with their rules.

        Raises:
            LostLease: the term is not ours any more, or the log is in another epoch.
            SubscriptionHalted: retention deleted the next events.
        """
        upto, types = _segment(lease, min(bound, lease.position + WINDOW))
        if upto <= lease.position:
            return Page((), lease.position)
        values = {"name": lease.subscription, "term": lease.term, "after": lease.position, "upto": upto}
        rows = await self._database.fetch("page", **values, types=types, limit=limit)
        if not rows:
            raise LostLease(f"subscription {lease.subscription} was taken over or defined anew since term {lease.term}")
        epoch, first_position = rows[0][0], rows[0][1]
        if epoch != lease.epoch:
            raise LostLease(f"subscription {lease.subscription}: the log is in another epoch, {epoch}")
        if lease.position + 1 < first_position:
            raise SubscriptionHalted(lease.subscription, None, _retained(lease.position, first_position))
        events = [StoredEvent._make(row[2:]) for row in rows if row[2] is not None]
        for n, event in enumerate(events):
            if handles.get(event.type) != lease.wants[event.type].rule:
                return _page_before(lease, events[:n], event, handles)
        if len(events) == limit:
            return Page(events, events[-1].position)
        return Page(events, await end_of_hole(self._database, after=upto, upto=_segment(lease, bound)[0]))

    async def advance(self, lease: Lease, to: int, *, delivered: Delivered, tx: Transaction | None = None) -> Lease:
        """Move the checkpoint by compare-and-set on position, term and epoch, and write down what was delivered on the way.

        Both are one statement, so that no checkpoint moves without its page (ADR 0013). A call that moves nothing leaves none.

        Args:
            to: The last position that is finished; not below the lease's.
            delivered: The events behind the lease's position and not behind `to` that were handled.
            tx: The transaction of the batch, of which this is the first statement: then two pumps queue here, before they
                have locked anything else, and cannot deadlock.

        Raises:
            LostLease: somebody else owns it now; the transaction must not commit.
        """
        if to < lease.position:
            raise ValueError(f"subscription {lease.subscription}: a checkpoint never goes back ({lease.position} to {to})")
        values: dict[str, Any] = {
            "name": lease.subscription,
            "position": lease.position,
            "term": lease.term,
            "epoch": lease.epoch,
            "to": to,
            "offsets": [position - lease.position for position, _ in delivered.events],
            "digest": hashlib.sha256(b"".join(event_id.bytes for _, event_id in delivered.events)).digest(),
        }
        if tx is None:
            moved: Any = await self._database.fetch("advance", **values)
        else:
            with self._database.errors():
                moved = await SqlalchemyHandle(tx.connection).fetch(self._database.statements["advance"], **values)
                hold(tx.connection)
        if not moved:
            raise LostLease(
                f"subscription {lease.subscription}: its checkpoint is no longer {lease.position} under term {lease.term}"
            )
        return replace(lease, position=GlobalPosition(to))

    async def halt(self, lease: Lease, *, position: int | None, reason: str) -> None:
        """Stand still, with a name, until `resume`.

        Raises:
            LostLease: somebody else owns it now, or it was reset to another epoch of the log.
        """
        row = await self._database.fetch_row(
            "halt",
            name=lease.subscription,
            term=lease.term,
            epoch=lease.epoch,
            position=position,
            reason=storable(reason),
        )
        if row is None:
            raise LostLease(f"subscription {lease.subscription} was taken over, defined anew or reset since term {lease.term}")

    async def pause(self, name: str) -> None:
        """Stand still from the next page on. Raises UnknownSubscription."""
        if await self._database.fetch_row("pause", name=name) is None:
            raise UnknownSubscription(name)

    async def resume(self, name: str, *, skip: bool = False) -> None:
        """Go on after a pause or halt.

        Args:
            skip: Skip the event that halted it: it is recorded in `skipped_events`, and pages leave it out. The checkpoint stays,
                because earlier events may be unfinished.

        Raises:
            UnknownSubscription: it was never defined.
            SubscriptionHalted: `skip` was asked for, but no single event is to blame.
        """
        if await self._database.fetch_row("resume_skipping" if skip else "resume", name=name) is None:
            await self.position(name)
            raise SubscriptionHalted(name, None, "no single event halted it, so there is none to skip")

    async def statuses(self) -> list[SubscriptionStatus]:
        """All of them, by name."""
        return [_status(row) for row in await self._database.fetch("statuses")]

    async def position(self, name: str) -> GlobalPosition:
        """The last position that is finished. Raises UnknownSubscription."""
        row = await self._database.fetch_row("position", name=name)
        if row is None:
            raise UnknownSubscription(name)
        return GlobalPosition(row[0])

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction whose time-outs are shorter than a pump's heartbeat, so that a frozen one cannot block its heir."""
        limit = timedelta(seconds=self._database.settings.pump_timeout)
        return self._transactions.open(Limits(lock=limit, idle=limit), pump=True)


def _retained(position: int, first_position: int) -> str:
    return f"its checkpoint is {position}, but retention left the log only from {first_position} on"


def _segment(lease: Lease, upto: int) -> tuple[int, list[str]]:
    """The end of a page and the types that it reads: it ends where another type begins to count."""
    position, starts = lease.position, [wanted.after for wanted in lease.wants.values() if wanted.after is not None]
    types = [name for name, wanted in lease.wants.items() if wanted.after is not None and wanted.after <= position]
    return min([upto, *(start for start in starts if start > position)]), types


def _page_before(lease: Lease, events: list[StoredEvent], unfit: StoredEvent, handles: Mapping[str, str]) -> Page:
    """The page that ends before an event; if no event lies before it, the page names it."""
    end = GlobalPosition(unfit.position - 1)
    if end > lease.position:
        return Page(events, end)
    does = "does not handle it"
    if unfit.type in handles:
        does = f"handles it as `{handles[unfit.type]}` instead of `{lease.wants[unfit.type].rule}`"
    reason = f"{unfit.type} in {unfit.stream_id} is wanted, and this worker's code {does}"
    return Page((), lease.position, Unfit(unfit.position, lease.generation, reason))


def _status(row: Any) -> SubscriptionStatus:
    (
        name,
        app,
        generation,
        position,
        head,
        lag,
        term,
        owner,
        paused,
        *halt,
        updated_at,
        unfit_position,
        unfit_reason,
        alive_at,
        alive,
    ) = row
    halt_position, halt_reason, halted_at = halt
    return SubscriptionStatus(
        name=name,
        app=app,
        position=position,
        head=head,
        lag=lag,
        term=term,
        owner=owner,
        paused=paused,
        halt=None if halted_at is None else Halt(halt_position, halt_reason, halted_at),
        updated_at=updated_at,
        unfit=None if unfit_position is None else Unfit(unfit_position, generation, unfit_reason),
        alive_at=alive_at,
        alive=alive,
    )
