"""Appending: one call of one SQL function, in the caller's transaction or in one of ours (ADR: append as one function)."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from uno_workflows.events.arguments import expected_version
from uno_workflows.events.errors import (
    DuplicateEventId,
    InvalidEvent,
    StoreClosed,
    StoreContended,
    StoreRefused,
    StoreUnavailable,
    StreamClosed,
    UnoError,
    WrongExpectedVersion,
)
from uno_workflows.events.limits import BATCH, BATCH_EVENTS
from uno_workflows.events.names import Version, bucket
from uno_workflows.events.protocols import Measures
from uno_workflows.events.recorded import Appended, StreamAppend
from uno_workflows.events.retry import jittered
from uno_workflows.observability.unmeasured import UNMEASURED
from uno_workflows.storage.commits import call_after_commit
from uno_workflows.storage.handles import AsyncpgHandle, Handle, KnowsItsCommit, lent, usable
from uno_workflows.storage.pool import Database
from uno_workflows.storage.statements import Statement

APPEND_EVENTS: Final = BATCH_EVENTS.most
"""Events in one append: a transaction with more would hold all readers back for too long."""

_PAUSES: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 1.6, 1.6)  # seconds between attempts: half of them outlast a restart of Postgres
_PATIENCE: Final = 15.0  # seconds after which no further attempt is begun


class Appending:
    """The writing half of the log.

    Args:
        committed: Called after each commit of events that we hear of.
    """

    def __init__(self, database: Database, *, committed: Callable[[], None], measures: Measures = UNMEASURED) -> None:
        self._database = database
        self._committed = committed
        self._measures = measures

    async def append(self, writes: Sequence[StreamAppend], *, tx: object | None = None) -> list[Appended]:
        """Store all or none.

        Without `tx` the events are durable on return; when the answer is lost, the append is sent again with the same ids
        until it is known. Whether a cancelled call stored them is not known. With `tx` they become durable by the caller's
        commit, and a conflict leaves that transaction usable.

        Args:
            writes: At most 10,000 events in all; their positions grow in this order. The streams' rows are taken in sorted order,
                so that appends cannot deadlock.
            tx: A transaction that the caller has open: asyncpg's connection, SQLAlchemy's AsyncSession or AsyncConnection,
                or a `Transaction`.

        Returns:
            What was done, in the order of `writes`.

        Raises:
            WrongExpectedVersion: the stream is at another version.
            DuplicateEventId: an id was used for something else. In a caller's transaction this one conflict aborts it in
                the rare case that both uses were written at the same moment to different streams.
            StreamClosed: the stream takes no more events.
            InvalidEvent: there are none, or too many, or too large ones.
            NotInTransaction: `tx` is not inside a transaction.
            TransactionFailed: a statement in `tx` failed before, and its error was swallowed.
            InvalidArgument: another task is using `tx`.
            StoreUnavailable: the same ids may be sent again; the message says whether the events may be stored.
            StoreRefused: the role may not append; nothing was stored.
            StoreContended: nothing was stored.
            StoreClosed: the store is closed; the message says if an append that was under way may be stored.
        """
        self._database.lifetime.check()
        if not writes:
            return []
        check_writes(writes)
        began, outcome = time.perf_counter(), "failed"
        try:
            made = await (self._append_until_known(writes) if tx is None else self._append_in(tx, writes))
            outcome = "ok"
        except UnoError as error:
            outcome = "failed" if isinstance(error, (StoreUnavailable, StoreContended)) else "refused"
            raise
        finally:
            self._measures.append_ended(outcome, time.perf_counter() - began)
        return made

    async def _append_in(self, tx: object, writes: Sequence[StreamAppend]) -> list[Appended]:
        try:
            with usable(), self._database.errors():
                made = await self.write(await lent(tx), writes)
        except StoreRefused as error:
            raise StoreRefused(
                f"{error}; is tx= a transaction of the store's own database, by a role that may append there?"
            ) from error
        if isinstance(tx, KnowsItsCommit):
            tx.note_appended(writes, made)
            return made
        await call_after_commit(tx, self._committed)
        self._measures.appended(writes, made)
        return made

    async def write(self, handle: Handle, writes: Sequence[StreamAppend]) -> list[Appended]:
        """Append through a handle, all or none: several streams under a savepoint, their events in the order of `writes`.

        The streams' rows are taken in sorted order first, so that two such appends cannot deadlock whatever their orders, and
        no ticket of the fence is held while they queue (ADR 0037).
        """
        if len(writes) == 1:
            return [await self._write_one(handle, writes[0])]
        streams = sorted({(write.tenant, write.stream_id) for write in writes})
        async with handle.savepoint():
            with self._database.errors(writing=writes[0]):
                await handle.fetch(
                    self._database.statements["claim"],
                    tenants=[tenant for tenant, _ in streams],
                    stream_ids=[stream for _, stream in streams],
                )
            return [await self._write_one(handle, write) for write in writes]

    async def _write_one(self, handle: Handle, write: StreamAppend) -> Appended:
        with self._database.errors(writing=write):
            rows = await handle.fetch(self._statement, **append_values(write))
        return self._read_outcome(write, rows[0])

    def _read_outcome(self, write: StreamAppend, row: Sequence[Any]) -> Appended:
        try:
            return read_outcome(write, row)
        except WrongExpectedVersion:
            self._measures.append_conflict(write.events[0].type)
            raise

    async def _append_until_known(self, writes: Sequence[StreamAppend]) -> list[Appended]:
        loop = asyncio.get_running_loop()
        latest, unknown = loop.time() + _PATIENCE, False
        for pause in (*_PAUSES, None):
            try:
                made = await self._append_once(writes)
            except (StoreUnavailable, StoreContended, StoreClosed) as error:
                unknown = unknown or (not isinstance(error, StoreContended) and error.may_be_stored)
                final = isinstance(error, (StoreClosed, StoreRefused))
                if final or pause is None or loop.time() + pause > latest:
                    raise _given_up(error, unknown=unknown) from error
            else:
                self._committed()
                # what is there already is our own attempt whose answer was lost, and was not counted
                self._measures.appended(writes, [replace(one, replayed=False) for one in made] if unknown else made)
                return made
            await asyncio.sleep(jittered(pause))
        raise AssertionError("the last attempt returns or raises")

    async def _append_once(self, writes: Sequence[StreamAppend]) -> list[Appended]:
        sent = False
        try:
            with self._database.errors(writing=writes[0]):
                async with self._database.connection() as connection:
                    sent = True
                    if len(writes) == 1:
                        statement = self._statement
                        row = await connection.fetchrow(statement.numbered, *statement.arguments(append_values(writes[0])))
                        return [self._read_outcome(writes[0], row)]
                    async with connection.transaction(isolation="read_committed"):
                        return await self.write(AsyncpgHandle(connection), writes)
        except (StoreUnavailable, StoreClosed) as error:
            refused = isinstance(error, StoreUnavailable) and not error.may_be_stored
            error.may_be_stored = sent and not refused
            raise

    @property
    def _statement(self) -> Statement:
        return self._database.statements["append"]


def check_writes(writes: Sequence[StreamAppend]) -> None:
    """Make sure that an append holds 1 to 10,000 events of at most 64 MiB together, each under an id of its own.

    Raises:
        InvalidEvent: it is empty or too large.
        InvalidArgument: an expected version is neither a version nor a constant.
        DuplicateEventId: an id comes twice.
    """
    if (size := sum(len(write.events) for write in writes)) > APPEND_EVENTS:
        raise InvalidEvent("append", "", f"holds {size:,} events; at most {APPEND_EVENTS:,} go into one: send several")
    if (size := sum(len(event.payload) + len(event.metadata) for write in writes for event in write.events)) > BATCH.most:
        streams = f"stream {writes[0].stream_id}" + (f" and {len(writes) - 1} more" if len(writes) > 1 else "")
        raise InvalidEvent("append", "", f"holds {size:,} bytes for {streams}; at most {BATCH.most:,} go into one: send several")
    for write in writes:
        if not write.events:
            raise InvalidEvent("append", "", f"holds no event for stream {write.stream_id}")
        expected_version(write.expected_version)
        times = Counter(event.id for event in write.events)
        if len(times) != len(write.events):
            raise DuplicateEventId(write.stream_id, [id_ for id_, count in times.items() if count > 1])


def append_values(write: StreamAppend) -> dict[str, Any]:
    """The parameters of the statement `append`."""
    events = write.events
    return {
        "tenant": write.tenant,
        "stream_id": write.stream_id,
        "expected": write.expected_version,
        "bucket": bucket(write.stream_id),
        "correlation_id": write.correlation_id,
        "event_ids": [event.id for event in events],
        "types": [event.type for event in events],
        "schema_versions": [event.schema_version for event in events],
        "payloads": [event.payload for event in events],
        "metadata": [event.metadata for event in events],
    }


def read_outcome(write: StreamAppend, row: Sequence[Any]) -> Appended:
    """What the row that the function returned means.

    Raises:
        WrongExpectedVersion, DuplicateEventId, StreamClosed: as it says.
    """
    outcome, first, positions, actual, known = row
    if outcome == "wrong_expected_version":
        raise WrongExpectedVersion(write.stream_id, write.expected_version, actual)
    if outcome == "duplicate_event_id":
        raise DuplicateEventId(write.stream_id, known)
    if outcome == "stream_closed":
        raise StreamClosed(write.stream_id)
    return Appended(
        stream_id=write.stream_id,
        first_version=Version(first),
        last_version=Version(first + len(positions) - 1),
        positions=tuple(positions),
        event_ids=tuple(event.id for event in write.events),
        replayed=outcome == "replayed",
    )


def _given_up(error: StoreUnavailable | StoreContended | StoreClosed, *, unknown: bool) -> UnoError:
    """The error for the caller, with the fate of the events."""
    if isinstance(error, StoreContended):
        return error
    fate = (
        "whether the events were stored is not known, and sending them again with the same ids is safe: they are stored once"
        if unknown
        else "nothing was stored"
    )
    made = type(error)(f"{error}; {fate}")
    made.may_be_stored = unknown
    return made
