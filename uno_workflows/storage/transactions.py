"""Transactions of ours that run user code: of a transactional step, of a projection's batch."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from sqlalchemy import CursorResult, Executable, text
from sqlalchemy.ext.asyncio import AsyncConnection

from uno_workflows.events.batches import batch_of
from uno_workflows.events.calls import StepCall
from uno_workflows.events.context import EventContext, current_context
from uno_workflows.events.errors import StoreUnavailable
from uno_workflows.events.ids import derived_event_id, new_event_id
from uno_workflows.events.names import ANY, check_stream_id
from uno_workflows.events.protocols import Measures
from uno_workflows.events.recorded import Appended, NewEvent, StreamAppend
from uno_workflows.observability.traces import sending
from uno_workflows.observability.unmeasured import UNMEASURED
from uno_workflows.storage.appending import Appending, check_writes
from uno_workflows.storage.handles import SqlalchemyHandle, lent
from uno_workflows.storage.own_statements import Watch
from uno_workflows.storage.pool import Database

if TYPE_CHECKING:
    from uno_workflows.events.base import Event

Encode = Callable[[Sequence["Event"], Sequence[UUID], EventContext], list[NewEvent]]
"""Turns an event into bytes under an id and a context; handed in, for this room knows no event types."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Time-outs of a transaction: how long it may queue for a row, and how long its client may be silent."""

    lock: timedelta
    idle: timedelta


PROGRAM_LIMITS: Final = Limits(lock=timedelta(seconds=10), idle=timedelta(seconds=30))
"""A program may think between statements; but what it appended holds all readers back until it commits."""
_PROBE: Final = text("select 1")


class PostgresTransaction:
    """What user code works with. See the port `Transaction`."""

    def __init__(
        self, connection: AsyncConnection, *, appending: Appending, encode: Encode, call: StepCall | None = None
    ) -> None:
        self._connection = connection
        self._appending = appending
        self._encode = encode
        self._call = call
        self._made = 0
        self.appended: list[tuple[StreamAppend, Appended]] = []
        """What stands in it, to be counted at its commit."""

    @property
    def connection(self) -> AsyncConnection:
        """The SQLAlchemy connection, for an ORM session (`AsyncSession(bind=tx.connection)`) or anything else it can do."""
        return self._connection

    async def execute(
        self, statement: Executable | str, parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> CursorResult[Any]:
        """Run one SQL statement: a SQLAlchemy construct, or text with `:named` parameters; many rows with a sequence."""
        made = text(statement) if isinstance(statement, str) else statement
        return await self._connection.execute(made, parameters)

    async def append(self, stream_id: str, events: Event | Sequence[Event], *, expected_version: int = ANY) -> Appended:
        """Append events in this transaction.

        In a step their ids follow from its key and their order in it, so that a repeat appends nothing. Elsewhere they are new.

        Raises:
            WrongExpectedVersion, DuplicateEventId, StreamClosed: nothing was appended; the transaction stays usable.
            InvalidStreamId: the stream's name breaks a rule.
            TransactionFailed: an earlier statement failed, and its error was swallowed.
            NotInTransaction: the transaction has ended.
        """
        given, stream = batch_of(events), check_stream_id(stream_id)
        ids = [self._next_id() for _ in given]
        types = (event.event_type for event in given)
        with sending(self._context(ids), streams=[stream_id], types=types, ids=ids) as context:
            new = self._encode(given, ids, context)
            write = StreamAppend(context.tenant, stream, expected_version, new, context.correlation_id or "")
            check_writes([write])
            made = (await self._appending.write(await lent(self._connection), [write]))[0]
        self.note_appended([write], [made])
        return made

    def note_appended(self, writes: Sequence[StreamAppend], made: Sequence[Appended]) -> None:
        """See `KnowsItsCommit`."""
        self.appended += zip(writes, made, strict=True)

    def _next_id(self) -> UUID:
        self._made += 1
        if self._call is None:
            return new_event_id()
        return derived_event_id(self._call.start_event_id, self._call.key, str(self._made))

    def _context(self, ids: Sequence[UUID]) -> EventContext:
        if (call := self._call) is None:
            context = current_context()
            return context if context.correlation_id or not ids else replace(context, correlation_id=str(ids[0]))
        return EventContext(
            correlation_id=call.correlation_id,
            causation_id=call.causation_id,
            principal=call.principal,
            tenant=call.tenant,
            traceparent=call.traceparent,
        )


class Transactions:
    """Opens them."""

    def __init__(
        self,
        database: Database,
        *,
        appending: Appending,
        encode: Encode,
        committed: Callable[[], None],
        measures: Measures = UNMEASURED,
    ) -> None:
        self._database = database
        self._appending = appending
        self._encode = encode
        self._committed = committed
        self._measures = measures

    @asynccontextmanager
    async def open(
        self, limits: Limits, *, call: StepCall | None = None, pump: bool = False
    ) -> AsyncIterator[PostgresTransaction]:
        """A transaction that commits at the end of the block, or rolls back if the block raises.

        Args:
            call: The step that it is for: it waits for a connection as long as Temporal lets it, for that is no failure.
            pump: Whether it is a pump's: these have connections of their own, and wait for each other likewise.

        Raises:
            StoreUnavailable: the connection was lost; if at the commit, whether it happened is not known.
            StoreContended: a deadlock or a lock time-out; nothing was written.
            TransactionFailed: the block swallowed the error of a statement, and nothing was written; or it ended a
                transaction in which a record of ours stands.
        """
        lane = self._database.pumps if pump else self._database.steps
        # A program's may be nested, and would then wait for itself.
        seconds = None if pump or call is not None else self._database.settings.connect_timeout
        async with AsyncExitStack() as stack:
            with self._database.errors():
                connection = await stack.enter_async_context(lane.connection(seconds=seconds))
                await self._limit(connection, limits)
            watch = Watch(connection)
            made = PostgresTransaction(connection, appending=self._appending, encode=self._encode, call=call)
            with self._database.errors(foreign=True), watch.named():  # the user's own mistakes pass as they are
                yield made
            with self._database.errors():
                watch.check()
                await _commit(connection)
        if made.appended:
            self._committed()
            self._measures.appended([write for write, _ in made.appended], [result for _, result in made.appended])

    async def _limit(self, connection: AsyncConnection, limits: Limits) -> None:
        await SqlalchemyHandle(connection).fetch(
            self._database.statements["transaction_limits"],
            lock_timeout=_milliseconds(limits.lock),
            idle_timeout=_milliseconds(limits.idle),
        )


async def _commit(connection: AsyncConnection) -> None:
    """Commit, or say why not: Postgres answers the COMMIT of a failed transaction with a silent ROLLBACK."""
    if connection.invalidated:
        raise StoreUnavailable("the connection was lost in the middle of the transaction, and nothing was written")
    if connection.in_transaction():
        await connection.execute(_PROBE)  # the drivers keep the state of the transaction to themselves
    await connection.commit()


def _milliseconds(span: timedelta) -> str:
    return f"{round(span.total_seconds() * 1000)}ms"
