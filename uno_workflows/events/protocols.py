"""Every port: what a room asks of another without knowing it.

Only `app`, `devstack`, `testing`, `tooling` and `workers` may name what implements them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable
from uuid import UUID

from uno_workflows.events.audits import AuditTurn, DeliveryFinding
from uno_workflows.events.calls import StepCall
from uno_workflows.events.cursors import LogEnd
from uno_workflows.events.names import ANY, GlobalPosition
from uno_workflows.events.recorded import Appended, StoredEvent, StreamAppend
from uno_workflows.events.runs import Mark, Run, RunKey, RunState, Started, Undelivered, UndoneRun
from uno_workflows.events.subscriptions import Delivered, Lease, Page, Standing, SubscriptionStatus, Unfit, Wanted

if TYPE_CHECKING:
    from sqlalchemy import CursorResult, Executable
    from sqlalchemy.ext.asyncio import AsyncConnection

    from uno_workflows.events.base import Event


@runtime_checkable
class Transaction(Protocol):
    """An open transaction of the store's database: what a transactional step or a projection works with.

    Everything done through it commits together with the framework's own record that it was done.
    """

    @property
    def connection(self) -> AsyncConnection:
        """The SQLAlchemy connection, for an ORM session (`AsyncSession(bind=tx.connection)`) or anything else it can do."""
        ...

    async def execute(
        self, statement: Executable | str, parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> CursorResult[Any]:
        """Run one SQL statement: a SQLAlchemy construct, or text with `:named` parameters; many rows with a sequence."""
        ...

    async def append(self, stream_id: str, events: Event | Sequence[Event], *, expected_version: int = ANY) -> Appended:
        """Append events in this transaction. Ids are derived from the step's key, so that a repeat appends nothing."""
        ...


class EventStore(Protocol):
    """The log: appended to by anybody, changed by nobody."""

    async def append(self, writes: Sequence[StreamAppend], *, tx: object | None = None) -> list[Appended]:
        """Store all or none. `tx` is the caller's transaction: asyncpg, SQLAlchemy AsyncSession or AsyncConnection, or ours."""
        ...

    def read_stream(
        self,
        tenant: str,
        stream_id: str,
        *,
        from_version: int | None = None,
        backwards: bool = False,
        limit: int | None = None,
    ) -> AsyncIterator[StoredEvent]:
        """Events of one stream, in version order or its reverse, beginning with `from_version` (default: the first or last)."""
        ...

    def read_all(
        self,
        *,
        after: int = 0,
        upto: int | None = None,
        types: Collection[str] | None = None,
        limit: int | None = None,
        epoch: UUID | None = None,
    ) -> AsyncIterator[StoredEvent]:
        """Events of all streams after a position, in position order.

        `upto` must be a bound that the caller got earlier. It may be ahead of the current bound, and is not checked again; by
        default it is the current bound. With `epoch`, nothing is yielded once the log has another epoch.
        """
        ...

    async def load(self, positions: Sequence[int]) -> list[StoredEvent]:
        """Single events by their positions, in position order; those that are not there are left out."""
        ...

    async def bound(self) -> GlobalPosition:
        """How far readers may read now: every committed event up to it is visible to any later statement."""
        ...

    async def end(self) -> LogEnd:
        """The bound, with the head, the epoch and the first position that retention left."""
        ...

    async def epoch(self) -> UUID:
        """The life of the log between restores."""
        ...


class Tail(Protocol):
    """The end of the log, watched once per process for all its subscriptions."""

    async def wait_beyond(self, position: int, *, seconds: float) -> GlobalPosition:
        """Return the bound as soon as it is greater than `position`, or whatever it is after `seconds`."""
        ...

    def wake(self) -> None:
        """Say that something was appended in this process."""
        ...


class Subscriptions(Protocol):
    """Checkpoints and the right to move them: the truth about position, pause, term and definition."""

    async def standing(self, name: str) -> Standing:
        """Its state, without taking it over, so that a halt or a pause does not raise the term. Raises UnknownSubscription."""
        ...

    async def take_over(self, name: str, *, owner: str, after: Lease | None = None) -> Lease:
        """Become the owner: the term grows by one, so the previous owner can move nothing any more.

        Args:
            after: The lease that this process had before. If another pump took over since, nothing is taken from it.

        Raises:
            UnknownSubscription: it was never defined.
            LostLease: another term followed the one of `after`.
            SubscriptionHalted: the checkpoint does not fit the log. The halt is recorded, under the lease that the error carries.
        """
        ...

    async def check(self, lease: Lease) -> bool:
        """Whether the lease may go on now: False while paused or halted.

        Raises:
            LostLease: another term, a reset, or another epoch of the log.
        """
        ...

    async def page(self, lease: Lease, *, bound: int, handles: Mapping[str, str], limit: int) -> Page:
        """The next window of positions after the lease's, at most `limit` events of those that the lease wants.

        Args:
            handles: The types that the code handles, with their rules: the page ends before any other event, and names it.

        Raises:
            LostLease: the term is another one in the snapshot that reads the events.
        """
        ...

    async def release(self, lease: Lease) -> None:
        """Record that the owner has stopped and has nothing in flight."""
        ...

    async def hand_over(self, lease: Lease, unfit: Unfit) -> None:
        """Record the event at which the owner stopped because its code does not handle it."""
        ...

    async def advance(self, lease: Lease, to: int, *, delivered: Delivered, tx: Transaction | None = None) -> Lease:
        """Move the checkpoint by compare-and-set on position, term and epoch: the first statement of a batch's transaction.

        The same statement writes down what was delivered on the way, for `DeliveryAudits`.

        Raises:
            LostLease: somebody else owns it now; the transaction must not commit.
        """
        ...

    async def halt(self, lease: Lease, *, position: int | None, reason: str) -> None:
        """Stand still, with a name, until `resume`.

        Raises:
            LostLease: another term, or a reset to another epoch of the log.
        """
        ...

    async def pause(self, name: str) -> None: ...

    async def resume(self, name: str, *, skip: bool = False) -> None:
        """Go on after a pause or halt; with `skip`, pass the event that halted it, which is written down as skipped."""
        ...

    async def statuses(self) -> list[SubscriptionStatus]: ...

    async def position(self, name: str) -> GlobalPosition: ...

    async def wants(self, name: str) -> Mapping[str, Wanted]:
        """The currently wanted types, by event type."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction whose time-outs are shorter than a pump's heartbeat, so that a frozen one cannot block its heir."""
        ...


class Signs(Protocol):
    """When pumps were last alive."""

    async def give(self, subscriptions: Collection[str], *, owner: str, heartbeat: timedelta) -> None:
        """These pumps are alive; the sign counts for the heartbeat."""
        ...

    async def leave(self, subscriptions: Collection[str], *, owner: str) -> None:
        """These pumps have ended: their worker stops."""
        ...


class DeliveryAudits(Protocol):
    """What subscriptions handled, held against the log."""

    async def audit(self, *, limit: int) -> AuditTurn:
        """Look at the next pages, at most `limit`, of one subscription that no other auditor is at."""
        ...


class Runs(Protocol):
    """The table of runs, with the events that found none."""

    async def latest(self, keys: Collection[RunKey]) -> dict[RunKey, Run]:
        """The newest generation of each given (saga, tenant, key) that was ever started, under the key asked for."""
        ...

    async def record_started(self, started: Sequence[Started], *, epoch: UUID, tx: Transaction) -> None: ...

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
        """Write how a run ended, or that its compensation failed. Repeats change nothing.

        The row of its start may be missing: a quick saga ends before the checkpoint that records its start.

        Args:
            mark: From the run itself: it overrides the row, unless the row has a later mark of the same run. Without a mark, a
                final state stays.
            workflow_id: Of the run, for a row that is not there yet; by default the id that is made from the key.
            undone: Whether effects were undone, and all of them: then nothing goes forward under the run's keys any more.
        """
        ...

    async def reopen(self, workflow_id: str, run_id: str) -> bool:
        """Open the row of a run that was reset. False if `run_id` has it open already, or wrote its present state itself."""
        ...

    async def over_workflow_ids(self, among: Collection[str]) -> dict[str, str | None]:
        """The given workflow ids whose row is final, each with the Temporal run that wrote it, if a run did."""
        ...

    async def begin_undo(self, workflow_id: str, run_id: str, plan: Sequence[str]) -> UndoneRun:
        """Record that a run is being undone, unless a record exists; return the record.

        It waits for transactional steps of the run that are at work. Steps that begin later are refused.
        """
        ...

    async def undone(self, workflow_id: str) -> UndoneRun | None:
        """Whether a run is being undone, or was."""
        ...

    async def count_open(self, saga: str) -> int: ...

    async def open_among(self, saga: str, workflow_ids: Collection[str]) -> dict[str, RunKey]:
        """Those of the given workflow ids whose row still says open."""
        ...

    async def open_since(self, saga: str, *, namespace_id: str, after: str, limit: int) -> list[tuple[RunKey, str]]:
        """Key and workflow id of open runs behind the id `after` that were started in this namespace over a minute ago."""
        ...

    async def unplaced_since(self, saga: str, *, after: str, limit: int) -> list[str]:
        """Workflow ids of open runs behind the id `after` whose namespace is not known, because older code started them."""
        ...

    async def place(self, workflow_ids: Sequence[str], *, namespace_id: str) -> None:
        """Record the namespace of runs that Temporal knows there."""
        ...

    async def find(self, *, saga: str | None = None, state: RunState | None = None, limit: int = 100) -> list[Run]:
        """Newest first, for `uno sagas list`."""
        ...

    async def add_pending(self, event: Undelivered) -> None: ...

    async def pending(self, key: RunKey) -> list[GlobalPosition]: ...

    async def drop_pending(self, key: RunKey, upto: int) -> None: ...

    async def add_late(self, event: Undelivered, *, reason: str) -> bool: ...

    async def count_late(self, saga: str | None = None) -> int: ...

    async def count_pending(self, saga: str | None = None) -> int: ...


class StepStore(Protocol):
    """Transactional steps: effect, result and appended events commit together, exactly once."""

    async def run_once(self, call: StepCall, work: Callable[[Transaction], Awaitable[bytes]]) -> bytes:
        """Run `work` in a transaction and store its result under the call's key; a repeat returns the stored result.

        Events that `work` appends carry the call's context, and ids that follow from its key.

        Raises:
            RunUndone: the call goes forward, and its run is being undone or was.
        """
        ...


class Measures(Protocol):
    """What happened, told to whoever counts it: batches where there are batches, and never a stream, key, id or tenant.

    No method waits, and none raises. They are called from several threads.
    """

    def appended(self, writes: Sequence[StreamAppend], made: Sequence[Appended]) -> None:
        """These appends were committed; in a transaction that the caller lent, written."""
        ...

    def append_ended(self, outcome: str, seconds: float) -> None:
        """One append was answered: `ok`, `refused` or `failed`."""
        ...

    def append_conflict(self, event_type: str) -> None:
        """A stream was at another version than the writer of this event expected."""
        ...

    def took_over(self, subscription: str) -> None:
        """A pump of this process has the lease."""
        ...

    def let_go(self, subscription: str) -> None:
        """It has it no more."""
        ...

    def halted(self, subscription: str) -> None:
        """A pump wrote down that an event can neither be handled nor skipped."""
        ...

    def page_ended(self, subscription: str, seconds: float) -> None:
        """A page was read and taken."""
        ...

    def handled(self, subscription: str, outcome: str, recorded: Sequence[datetime]) -> None:
        """Events that were recorded at these times are finished, and a checkpoint that covers them was written."""
        ...

    def retried(self, subscription: str, error_type: str) -> None:
        """An attempt failed, and another follows."""
        ...

    def runs_started(self, saga: str, number: int) -> None:
        """So many runs were written down as open."""
        ...

    def run_ended(self, saga: str, outcome: str, seconds: float | None) -> None:
        """A run ended so long after its start event was recorded; `None` if that is not known."""
        ...

    def step_ended(self, saga: str, step: str, outcome: str, seconds: float, *, attempt: int) -> None:
        """An attempt of a step ended: `ok`, `refused`, `not_yet`, `failed` or `cancelled`."""
        ...

    def differed(self, finding: DeliveryFinding) -> None:
        """The auditor found that what a subscription handled is not what the log holds."""
        ...
