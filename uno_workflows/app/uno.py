"""`Uno`: the event store as a program sees it. It needs only Postgres; Temporal is the workers' business."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, ExitStack, asynccontextmanager
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload
from uuid import UUID

from uno_workflows.app.catalogue import Catalogue, discover
from uno_workflows.app.opening import Opening
from uno_workflows.app.profiles import PROFILES
from uno_workflows.config import Settings, check_database_url
from uno_workflows.events import arguments
from uno_workflows.events.base import Event
from uno_workflows.events.batches import batch_of
from uno_workflows.events.context import EventContext, current_context
from uno_workflows.events.cursors import Cursor
from uno_workflows.events.encoding import to_new_events
from uno_workflows.events.errors import InvalidArgument, StoreContended, StoreRefused, StoreUnavailable
from uno_workflows.events.ids import new_event_id
from uno_workflows.events.names import ANY, StreamId, check_stream_id
from uno_workflows.events.protocols import Measures, Transaction
from uno_workflows.events.recorded import Appended, Recorded, StoredEvent, StreamAppend
from uno_workflows.events.retry import jittered
from uno_workflows.observability.outages import Outages
from uno_workflows.observability.traces import sending
from uno_workflows.observability.unmeasured import UNMEASURED
from uno_workflows.storage.settings import StoreSettings
from uno_workflows.storage.store import PostgresStore

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from uno_workflows.events.base import _EventClass

E = TypeVar("E", bound=Event)
F = TypeVar("F", bound=Event)
G = TypeVar("G", bound=Event)

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
"""Seconds between the attempts of a follower while Postgres is away."""


class Uno:
    """An open event store, for the event loop that opened it. When its block ends, every call raises `StoreClosed`.

    ```python
    async with Uno.connect() as uno:
        await uno.append("order-42", OrderPlaced(...), expected_version=NO_STREAM)
    ```
    """

    def __init__(self, settings: Settings, catalogue: Catalogue, store: PostgresStore) -> None:
        """Use `Uno.connect`."""
        self.settings, self.catalogue, self.store = settings, catalogue, store

    @classmethod
    def connect(
        cls,
        settings: Settings | None = None,
        *,
        database_url: str | None = None,
        modules: Iterable[str | ModuleType] = (),
        metrics: CollectorRegistry | None = None,
    ) -> AbstractAsyncContextManager[Uno]:
        """Open the store: `async with Uno.connect() as uno:`. At the end of the block calls under way are given two seconds.

        Args:
            settings: All settings; by default those of the environment.
            database_url: Where Postgres is, if the environment does not say.
            modules: Modules that declare the events to be read; appending needs none.
            metrics: A Prometheus registry of the program's own, which shows what is appended while the store is open.

        Raises:
            ConfigurationError: settings are missing or wrong, a module does not import, or another store uses the registry.
            StoreUnavailable: Postgres cannot be reached.
            SchemaMismatch: `uno migrate` was not run.
            StoreClosed: the same `connect()` is entered twice, or used without `async with`.
        """
        _check_connect(settings, database_url, modules)

        @asynccontextmanager
        async def opened() -> AsyncIterator[Uno]:
            given: dict[str, Any] = {} if database_url is None else {"database_url": check_database_url(database_url)}
            chosen = settings or Settings.from_env(**given)
            catalogue = discover(modules)
            with ExitStack() as stack:
                measures = UNMEASURED if metrics is None else stack.enter_context(_measures(metrics))
                async with open_store(chosen, measures=measures) as store:
                    yield cls(chosen, catalogue, store)

        return Opening(opened, of=cls)

    async def append(
        self,
        stream_id: str,
        events: Event | Sequence[Event],
        *,
        expected_version: int = ANY,
        event_ids: UUID | Sequence[UUID] | None = None,
        tx: object | None = None,
    ) -> Appended:
        """Append events to one stream, all or none. What follows from them happens by itself.

        Args:
            stream_id: Such as `order-42`: a category, `-`, and what it is.
            events: One event or several, in order; at most 10,000.
            expected_version: The version that the stream must be at, or `ANY`, `NO_STREAM`, `STREAM_EXISTS`.
            event_ids: Their ids, one each, if a repeat of this call must append nothing; fresh ones by default.
            tx: The caller's own transaction (asyncpg connection, SQLAlchemy AsyncSession or AsyncConnection, or ours), to
                commit with its other changes. It must have begun: `async with session.begin():`. Append last, for readers wait
                until a transaction that has appended ends.

        Raises:
            WrongExpectedVersion, DuplicateEventId, StreamClosed: nothing was written; a `tx` stays usable.
            InvalidEvent, InvalidStreamId, InvalidTenant, InvalidArgument: something cannot be stored, and what.
            NotInTransaction: `tx` is not inside a transaction.
            StoreUnavailable, StoreContended: without `tx` it was tried several times; the same ids may be sent again.
            StoreRefused: the role may not append; nothing was written.
            StoreClosed: the store is closed; the message says if an append that was under way may have been stored.
        """
        checked, expected = check_stream_id(stream_id), arguments.expected_version(expected_version)
        batch, ids = _batch(events, event_ids)
        with sending(current_context(), streams=[stream_id], types=(e.event_type for e in batch), ids=ids) as context:
            write = _write(checked, batch, ids, expected, context)
            return (await self.store.events.append([write], tx=tx))[0]

    async def append_streams(
        self,
        events: Mapping[str, Event | Sequence[Event]],
        *,
        expected_versions: Mapping[str, int] | None = None,
        event_ids: Mapping[str, UUID | Sequence[UUID]] | None = None,
        tx: object | None = None,
    ) -> dict[str, Appended]:
        """Append to several streams, all or none. In the log the events stand in the order given.

        Two such calls never deadlock: they take their streams in sorted order, whatever the order given.

        Args:
            events: One event or several for each stream.
            expected_versions: Versions that streams must be at; `ANY` for those left out.
            event_ids: Ids of a stream's events, one each, if a repeat must append nothing; fresh ones for those left out.
            tx: As for `append`.

        Raises:
            InvalidArgument: `expected_versions` or `event_ids` name a stream that is not in `events`; else as `append`.
        """
        if not isinstance(events, Mapping):
            raise TypeError(f"events: must be a mapping of streams to their events, not {type(events).__name__}")
        names = {stream: check_stream_id(stream) for stream in events}
        wanted = arguments.mapping("expected_versions", expected_versions, streams=events)
        given = arguments.mapping("event_ids", event_ids, streams=events)
        versions = {stream: arguments.expected_version(wanted.get(stream, ANY)) for stream in names}
        batches = {stream: _batch(some, given.get(stream)) for stream, some in events.items()}
        types = (event.event_type for batch, _ in batches.values() for event in batch)
        all_ids = [event_id for _, ids in batches.values() for event_id in ids]
        with sending(current_context(), streams=batches, types=types, ids=all_ids) as context:
            writes = [_write(names[stream], *batch, versions[stream], context) for stream, batch in batches.items()]
            appended = await self.store.events.append(writes, tx=tx)
        return {result.stream_id: result for result in appended}

    def read(
        self, stream_id: str, *, from_version: int | None = None, backwards: bool = False, limit: int | None = None
    ) -> AsyncIterator[Recorded[Event]]:
        """Events of one stream.

        Args:
            from_version: Begin with this version, 1 or later; by default the first, or backwards the last.
            backwards: Newest first.
            limit: At most so many; 0 is none.

        Raises:
            InvalidStreamId, InvalidArgument: an argument cannot be, and which.
            UnknownEventType: no loaded module declares it; see `modules` of `connect`.
        """
        found = self.store.events.read_stream(
            current_context().tenant,
            check_stream_id(stream_id),
            from_version=arguments.optional_whole("from_version", from_version, least=1),
            backwards=arguments.truth("backwards", backwards),
            limit=arguments.optional_whole("limit", limit, least=0),
        )
        return self._decoded(found)

    async def _decoded(self, found: AsyncIterator[StoredEvent]) -> AsyncIterator[Recorded[Event]]:
        async for event in found:
            yield self.catalogue.events.decode(event)

    # mypy joins a list of several classes to their metaclass; a tuple of them gives the union to every type checker.
    @overload
    def read_all(
        self, *, after: Cursor | int = 0, types: tuple[type[E], type[F]], limit: int | None = None
    ) -> AsyncIterator[Recorded[E | F]]: ...

    @overload
    def read_all(
        self, *, after: Cursor | int = 0, types: tuple[type[E], type[F], type[G]], limit: int | None = None
    ) -> AsyncIterator[Recorded[E | F | G]]: ...

    @overload
    def read_all(
        self, *, after: Cursor | int = 0, types: Collection[type[E]], limit: int | None = None
    ) -> AsyncIterator[Recorded[E]]: ...

    @overload
    def read_all(
        self, *, after: Cursor | int = 0, types: Collection[_EventClass], limit: int | None = None
    ) -> AsyncIterator[Recorded[Event]]: ...

    @overload
    def read_all(
        self, *, after: Cursor | int = 0, types: None = None, limit: int | None = None
    ) -> AsyncIterator[Recorded[Event]]: ...

    def read_all(
        self,
        *,
        after: Cursor | int = 0,
        types: Collection[type[Event]] | Collection[_EventClass] | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[Recorded[Any]]:
        """Events of all streams and tenants, in log order, up to what is safely committed now.

        Args:
            after: Begin behind this cursor (`recorded.cursor`) or position; 0 is the beginning.
            types: Only these; by default all, and each must be declared by a loaded module.
            limit: At most so many; 0 is none.

        Raises:
            CursorOutOfLog: `after` does not fit the log: it was restored, or lost its end.
            InvalidArgument: an argument cannot be, and which.
            UnknownEventType: no loaded module declares it; see `modules` of `connect`.
        """
        begin, names = arguments.after(after), arguments.event_types(types)
        return self._read_all(begin, names, arguments.optional_whole("limit", limit, least=0))

    async def _read_all(self, after: Cursor | int, types: list[str] | None, limit: int | None) -> AsyncIterator[Recorded[Event]]:
        events = self.store.events
        end = await events.end()
        at = end.admit(after)
        found = events.read_all(after=at.position, upto=end.bound, types=types, limit=limit, epoch=at.epoch)
        async for event in found:
            yield self.catalogue.events.decode(event, epoch=at.epoch)
        if await events.epoch() != at.epoch:  # the log was restored meanwhile: the remaining events are gone
            (await events.end()).admit(at)

    @overload
    def follow(self, *, after: Cursor | int = 0, types: tuple[type[E], type[F]]) -> AsyncIterator[Recorded[E | F]]: ...

    @overload
    def follow(
        self, *, after: Cursor | int = 0, types: tuple[type[E], type[F], type[G]]
    ) -> AsyncIterator[Recorded[E | F | G]]: ...

    @overload
    def follow(self, *, after: Cursor | int = 0, types: Collection[type[E]]) -> AsyncIterator[Recorded[E]]: ...

    @overload
    def follow(self, *, after: Cursor | int = 0, types: Collection[_EventClass]) -> AsyncIterator[Recorded[Event]]: ...

    @overload
    def follow(self, *, after: Cursor | int = 0, types: None = None) -> AsyncIterator[Recorded[Event]]: ...

    def follow(
        self, *, after: Cursor | int = 0, types: Collection[type[Event]] | Collection[_EventClass] | None = None
    ) -> AsyncIterator[Recorded[Any]]:
        """As `read_all`, and then every later event as it comes, for ever.

        The caller keeps the cursor of the last event it finished (`str(recorded.cursor)`), and gives it as `after` next time. All
        followers of a store share one connection for wake-ups. Once it has begun, a follower waits through outages of Postgres.

        Raises:
            CursorOutOfLog: `after` does not fit the log, or the log was restored meanwhile.
            InvalidArgument: an argument cannot be, and which.
            UnknownEventType: no loaded module declares it; see `modules` of `connect`.
            StoreClosed: the store was closed while the follower waited.
        """
        return self._follow(arguments.after(after), arguments.event_types(types))

    async def _follow(self, after: Cursor | int, types: list[str] | None) -> AsyncIterator[Recorded[Event]]:
        events = self.store.events
        async with self.store.tail() as tail:
            at, pause = (await events.end()).admit(after), FIRST_PAUSE
            while True:
                try:
                    bound = await tail.wait_beyond(at.position, seconds=60)
                    if bound <= at.position or tail.epoch != at.epoch:  # no new event, or another log: check again
                        tail.wake()
                        (await events.end()).admit(at)
                        continue
                    async for event in events.read_all(after=at.position, upto=bound, types=types, epoch=at.epoch):
                        at = Cursor(at.epoch, event.position)
                        yield self.catalogue.events.decode(event, epoch=at.epoch)
                    at, pause = Cursor(at.epoch, bound), FIRST_PAUSE
                except StoreRefused:
                    raise
                except (StoreUnavailable, StoreContended):  # waited through, as while it waits; the tail logs outages
                    await asyncio.sleep(jittered(pause))
                    pause = min(2 * pause, LONGEST_PAUSE)

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction of the store's database: `tx.execute(…)` and `tx.append(…)` commit together."""
        return self.store.transaction()


def open_store(
    settings: Settings, *, outages: Outages | None = None, measures: Measures = UNMEASURED
) -> AbstractAsyncContextManager[PostgresStore]:
    """The store that the settings name, its schema checked."""
    profile = PROFILES[settings.profile]
    options = StoreSettings(
        pool_size=settings.pool_size,
        transactions=settings.pool_size,
        statement_cache_size=settings.statement_cache,
        listen_dsn=settings.listen_url,
        poll=settings.poll.total_seconds(),
        application_name=f"uno {settings.app}",
        pump_timeout=profile.pump_transaction.total_seconds(),
        step_idle=profile.step_idle.total_seconds(),
    )
    return PostgresStore.open(
        settings.database_url,
        schema=settings.schema,
        settings=options,
        encode=to_new_events,
        outages=outages,
        measures=measures,
    )


def _measures(registry: CollectorRegistry) -> AbstractContextManager[Measures]:
    from prometheus_client import CollectorRegistry  # only for those who want them

    from uno_workflows.observability.metrics import program_metrics

    if not isinstance(registry, CollectorRegistry):
        raise TypeError(f"metrics= takes a prometheus_client.CollectorRegistry, not a {type(registry).__name__}")
    return program_metrics(registry)


def _check_connect(settings: object, database_url: object, modules: object) -> None:
    if settings is not None and not isinstance(settings, Settings):
        raise TypeError(f"settings: must be Settings, not {type(settings).__name__}; a URL is given as database_url=")
    if settings is not None and database_url is not None:
        raise InvalidArgument("database_url", "settings are given too, and hold a URL: give one of them")
    if isinstance(modules, (str, ModuleType)) or not isinstance(modules, Iterable):
        raise TypeError(f"modules: must be a list of modules or their names, not {type(modules).__name__}")


def _batch(events: Event | Sequence[Event], ids: UUID | Sequence[UUID] | None) -> tuple[list[Event], list[UUID]]:
    batch = batch_of(events)
    return batch, arguments.event_ids(ids, events=len(batch)) or [new_event_id() for _ in batch]


def _write(
    stream_id: StreamId, batch: Sequence[Event], ids: Sequence[UUID], expected: int, context: EventContext
) -> StreamAppend:
    if context.correlation_id is None and ids:
        context = replace(context, correlation_id=str(ids[0]))  # a conversation begins with its first event
    stored = to_new_events(batch, ids, context)
    return StreamAppend(context.tenant, stream_id, expected, stored, context.correlation_id or "")
