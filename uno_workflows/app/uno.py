"""`Uno`: the event store as a program sees it. It needs only Postgres; Temporal is the workers' business."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, ExitStack, asynccontextmanager
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Any
from uuid import UUID

from uno_workflows.app.catalogue import Catalogue, discover
from uno_workflows.app.profiles import PROFILES
from uno_workflows.config import Settings, check_database_url
from uno_workflows.events.base import Event
from uno_workflows.events.batches import batch_of
from uno_workflows.events.context import EventContext, current_context
from uno_workflows.events.encoding import to_new_events
from uno_workflows.events.ids import new_event_id
from uno_workflows.events.names import ANY, GlobalPosition, check_stream_id
from uno_workflows.events.protocols import Measures, Transaction
from uno_workflows.events.recorded import Appended, Recorded, StreamAppend
from uno_workflows.observability.outages import Outages
from uno_workflows.observability.traces import sending
from uno_workflows.observability.unmeasured import UNMEASURED
from uno_workflows.storage.settings import StoreSettings
from uno_workflows.storage.store import PostgresStore

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


class Uno:
    """An open event store.

    ```python
    async with Uno.connect() as uno:
        await uno.append("order-42", OrderPlaced(...), expected_version=NO_STREAM)
    ```
    """

    def __init__(self, settings: Settings, catalogue: Catalogue, store: PostgresStore) -> None:
        """Use `Uno.connect`."""
        self.settings, self.catalogue, self.store = settings, catalogue, store

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        settings: Settings | None = None,
        *,
        database_url: str | None = None,
        modules: Iterable[str | ModuleType] = (),
        metrics: CollectorRegistry | None = None,
    ) -> AsyncIterator[Uno]:
        """Open the store.

        Args:
            settings: All settings; by default those of the environment.
            database_url: Where Postgres is, if the environment does not say.
            modules: Modules that declare the events to be read; appending needs none.
            metrics: A Prometheus registry of the program's own, which shows what is appended while the store is open.

        Raises:
            ConfigurationError: settings are missing or wrong, a module does not import, or another store uses the registry.
            StoreUnavailable: Postgres cannot be reached.
            SchemaMismatch: `uno migrate` was not run.
        """
        given: dict[str, Any] = {} if database_url is None else {"database_url": check_database_url(database_url)}
        if settings is not None and not isinstance(settings, Settings):
            raise TypeError(f"settings= takes Settings, such as Settings.from_env(), not a {type(settings).__name__}")
        settings = settings or Settings.from_env(**given)
        catalogue = discover(modules)
        with ExitStack() as stack:
            measures = UNMEASURED if metrics is None else stack.enter_context(_measures(metrics))
            async with open_store(settings, measures=measures) as store:
                yield cls(settings, catalogue, store)

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
                commit with its other changes. Append last: readers wait for whoever has appended and not committed.

        Raises:
            WrongExpectedVersion, DuplicateEventId, StreamClosed: nothing was written; a `tx` stays usable.
            InvalidEvent, InvalidStreamId: something cannot be stored, and where.
            NotInTransaction: `tx` is not inside a transaction.
            StoreUnavailable, StoreContended: without `tx` it was tried several times; the same ids may be sent again.
        """
        batch, ids = _batch(events, event_ids)
        with sending(current_context(), streams=[stream_id], types=(e.event_type for e in batch), ids=ids) as context:
            write = _write(stream_id, batch, ids, expected_version, context)
            return (await self.store.events.append([write], tx=tx))[0]

    async def append_streams(
        self,
        events: Mapping[str, Event | Sequence[Event]],
        *,
        expected_versions: Mapping[str, int] | None = None,
        event_ids: Mapping[str, UUID | Sequence[UUID]] | None = None,
        tx: object | None = None,
    ) -> dict[str, Appended]:
        """Append to several streams, all or none; they are taken in sorted order, so that two such calls never deadlock.

        Args:
            events: One event or several for each stream.
            expected_versions: Versions that streams must be at; `ANY` for those left out.
            event_ids: Ids of a stream's events, one each, if a repeat must append nothing; fresh ones for those left out.
            tx: As for `append`.
        """
        wanted, given = expected_versions or {}, event_ids or {}
        batches = {stream: _batch(some, given.get(stream)) for stream, some in events.items()}
        types = (event.event_type for batch, _ in batches.values() for event in batch)
        all_ids = [event_id for _, ids in batches.values() for event_id in ids]
        with sending(current_context(), streams=batches, types=types, ids=all_ids) as context:
            writes = [_write(stream, *batch, wanted.get(stream, ANY), context) for stream, batch in batches.items()]
            appended = await self.store.events.append(writes, tx=tx)
        return {result.stream_id: result for result in appended}

    async def read(
        self, stream_id: str, *, from_version: int | None = None, backwards: bool = False, limit: int | None = None
    ) -> AsyncIterator[Recorded[Event]]:
        """Events of one stream.

        Args:
            from_version: Begin with this version; by default the first, or backwards the last.
            backwards: Newest first.
            limit: At most so many.

        Raises:
            UnknownEventType: no loaded module declares it; see `modules` of `connect`.
        """
        checked, tenant = check_stream_id(stream_id), current_context().tenant
        found = self.store.events.read_stream(tenant, checked, from_version=from_version, backwards=backwards, limit=limit)
        async for event in found:
            yield self.catalogue.events.decode(event)

    async def read_all(
        self, *, after: int = 0, types: Collection[type[Event]] | None = None, limit: int | None = None
    ) -> AsyncIterator[Recorded[Event]]:
        """Events of all streams and tenants, in log order, up to what is safely committed now.

        Args:
            after: Begin behind this position; 0 is the beginning.
            types: Only these; by default all, and each must be declared by a loaded module.
            limit: At most so many.
        """
        async for event in self.store.events.read_all(after=after, types=_names(types), limit=limit):
            yield self.catalogue.events.decode(event)

    async def follow(self, *, after: int = 0, types: Collection[type[Event]] | None = None) -> AsyncIterator[Recorded[Event]]:
        """As `read_all`, and then every later event as it comes, for ever.

        The caller keeps the position of the last event it finished, and gives it as `after` next time.
        """
        position = GlobalPosition(after)
        async with self.store.tail() as tail:
            while True:
                bound = await tail.wait_beyond(position, seconds=60)
                async for event in self.store.events.read_all(after=position, upto=bound, types=_names(types)):
                    yield self.catalogue.events.decode(event)
                position = max(position, bound)

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


def _batch(events: Event | Sequence[Event], ids: UUID | Sequence[UUID] | None) -> tuple[list[Event], list[UUID]]:
    batch = batch_of(events)
    given = [ids] if isinstance(ids, UUID) else list(ids or [new_event_id() for _ in batch])
    if len(given) != len(batch):
        raise ValueError(f"{len(batch)} events, but {len(given)} event ids")
    return batch, given


def _write(stream_id: str, batch: Sequence[Event], ids: Sequence[UUID], expected: int, context: EventContext) -> StreamAppend:
    if context.correlation_id is None and ids:
        context = replace(context, correlation_id=str(ids[0]))  # a conversation begins with its first event
    stored = to_new_events(batch, ids, context)
    return StreamAppend(context.tenant, check_stream_id(stream_id), expected, stored, context.correlation_id or "")


def _names(types: Collection[type[Event]] | None) -> list[str] | None:
    return None if types is None else [event.event_type for event in types]
