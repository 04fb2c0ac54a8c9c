"""Connections: an asyncpg pool for single statements and SQLAlchemy engines for transactions, from one URL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from typing import Any, Final
from uuid import uuid4
from weakref import WeakSet

import asyncpg
from sqlalchemy import event
from sqlalchemy.dialects.postgresql import asyncpg as _asyncpg_dialect  # noqa: F401 (else the first engine loads it, in an event loop)
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from uno_workflows.events.errors import StoreUnavailable
from uno_workflows.events.recorded import StreamAppend
from uno_workflows.storage.dsn import plain_dsn
from uno_workflows.storage.errors import translated
from uno_workflows.storage.lifetime import Lifetime
from uno_workflows.storage.migrations import newest_migration
from uno_workflows.storage.own_statements import tell_watches, watch_of
from uno_workflows.storage.settings import StoreSettings
from uno_workflows.storage.statements import Statement, statements

_CLOSING: Final = 2.0  # seconds for a call that is still under way when its connection or the store is closed
_LOOK: Final = 0.01  # seconds between checks whether a call is still under way


async def connect(dsn: str, settings: StoreSettings) -> Any:
    """A connection of our own, outside the pool."""
    return await _connect(
        plain_dsn(dsn),
        timeout=settings.connect_timeout,
        statement_cache_size=settings.statement_cache_size,
        server_settings=settings.session(),
    )


async def _connect(*arguments: Any, **options: Any) -> Any:
    """As asyncpg connects, but a cancel waits a moment for the end of it: cut off in the middle, asyncpg leaves a future with an
    error behind, of which asyncio complains in the log when the worker has long stopped."""
    connecting = asyncio.ensure_future(asyncpg.connect(*arguments, **options))
    try:
        return await asyncio.shield(connecting)
    except asyncio.CancelledError:
        await asyncio.wait([connecting], timeout=_CLOSING)
        if not connecting.done():
            connecting.cancel()
        elif connecting.exception() is None:
            connecting.result().terminate()
        raise


class Lane:
    """Connections for transactions of one kind, which wait for each other and never for another kind's.

    Args:
        size: Transactions at a time.
    """

    def __init__(self, dsn: str, settings: StoreSettings, *, size: int, lifetime: Lifetime) -> None:
        self._made: WeakSet[Any] = WeakSet()  # the connections that the driver has opened
        self.engine = _engine(dsn, settings, size=size, made=self._made)
        self.busy = 0
        self._size, self._lifetime = size, lifetime
        self._free = asyncio.Semaphore(size)

    @asynccontextmanager
    async def connection(self, *, seconds: float | None) -> AsyncIterator[AsyncConnection]:
        """A connection; uncommitted work on it is rolled back.

        Args:
            seconds: How long to wait for a free one; `None` waits until the caller is cancelled, in the order of asking.

        Raises:
            StoreUnavailable: none became free in time.
            StoreClosed: the store is closed.
        """
        self._lifetime.check()
        try:
            async with asyncio.timeout(seconds):
                await self._free.acquire()
        except TimeoutError as error:
            raise StoreUnavailable(
                f"all {self._size} connections for transactions are in use, and none became free within {seconds:g} s: shorten "
                "the transactions, open none inside another, or set a larger pool (UNO_POOL_SIZE)"
            ) from error
        self.busy += 1
        try:
            self._lifetime.check()  # the store may have closed while we waited
            connection = await self.engine.connect()
            try:
                yield connection
            finally:
                await asyncio.shield(_give_back(connection))
        finally:
            self.busy -= 1
            self._free.release()

    async def close(self) -> None:
        """Cut off the transactions that are still open, and close every connection."""
        if self.busy:
            for connection in list(self._made):
                connection.terminate()
        await self.engine.dispose()


async def _give_back(connection: AsyncConnection) -> None:
    """Put a connection back into its pool, or close it if its session may keep something that user code left in it."""
    watch = watch_of(connection)
    if watch is not None and watch.changed and not connection.invalidated:
        await connection.invalidate()
    await connection.close()


class Database:
    """One database and one schema in it: what all verbs of this room run on.

    Attributes:
        steps: For transactions of steps and programs.
        pumps: For those of pumps, which no number of steps may keep from moving their checkpoints.
    """

    def __init__(self, pool: Any, *, steps: Lane, pumps: Lane, schema: str, settings: StoreSettings, lifetime: Lifetime) -> None:
        self._pool = pool
        self._busy = 0
        self._drained = False
        self.lifetime = lifetime
        self.steps, self.pumps = steps, pumps
        self.schema = schema
        self.settings = settings
        self.statements: Mapping[str, Statement] = statements(schema)
        self.channel = f"uno_{schema}"[:63]  # NOTIFY takes at most 63 bytes; sharing one would only wake too often

    @classmethod
    @asynccontextmanager
    async def open(cls, dsn: str, *, schema: str, settings: StoreSettings) -> AsyncIterator[Database]:
        """Connect, and close everything at the end: refuse new calls at once, and give calls under way a moment."""
        statements(schema)
        plain, lifetime = plain_dsn(dsn), Lifetime()
        with translated(schema, opening=True):
            pool = await asyncpg.create_pool(
                plain,
                min_size=0,  # else the driver tries to keep some, and logs a stack for each attempt while Postgres is away
                max_size=settings.pool_size,
                timeout=settings.connect_timeout,
                command_timeout=settings.statement_timeout,
                statement_cache_size=settings.statement_cache_size,
                server_settings=settings.session_of_ours(),
                reset=_nothing_to_reset,
                connect=_connect,
            )
        steps = Lane(plain, settings, size=settings.transactions, lifetime=lifetime)
        pumps = Lane(plain, settings, size=settings.pump_transactions, lifetime=lifetime)
        made = cls(pool, steps=steps, pumps=pumps, schema=schema, settings=settings, lifetime=lifetime)
        try:
            yield made
        finally:
            await made.drain()
            await steps.close()
            await pumps.close()
            await _close(pool, seconds=_CLOSING if made.idle else 0)

    @property
    def idle(self) -> bool:
        """Whether no call is under way."""
        return not (self._busy or self.steps.busy or self.pumps.busy)

    async def drain(self) -> None:
        """Refuse new calls from now on, and give those under way a moment. A second call does not wait."""
        self.lifetime.end()
        if self._drained:
            return
        self._drained = True
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSING):
                while not self.idle:  # noqa: ASYNC110
                    await asyncio.sleep(_LOOK)  # a signal would cost each statement; this costs only the end of a store

    def errors(
        self, *, writing: StreamAppend | None = None, foreign: bool = False, opening: bool = False
    ) -> AbstractContextManager[None]:
        """A block that lets only our errors out; see `translate`."""
        return translated(
            self.schema,
            needed=newest_migration(),
            writing=writing,
            foreign=foreign,
            opening=opening,
            lifetime=self.lifetime,
        )

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """A connection of the pool. If anything but a plain error of the server ends the block, the connection is closed: a
        cancelled or timed-out call may have left an answer on the way.

        Raises:
            StoreClosed: the store is closed.
            ForeignEventLoop: the caller runs in another event loop than the store.
        """
        self.lifetime.check()
        # While the pool has room, we only wait for a connect, which has its own limit. A timer would cost more than the rest of
        # this, and so would asking the pool, which checks each of its connections.
        limit = None if self._busy < self.settings.pool_size else self.settings.connect_timeout
        self._busy += 1
        try:
            connection = await self._pool.acquire(timeout=limit)
            try:
                yield connection
            except asyncpg.PostgresError:
                raise
            except BaseException:
                await _discard(connection)
                raise
            finally:
                await self._pool.release(connection)
        finally:
            self._busy -= 1

    async def fetch(self, name: str, /, **values: Any) -> list[Any]:
        """The rows of one statement, committed on its own."""
        statement = self.statements[name]
        with self.errors():
            async with self.connection() as connection:
                rows: list[Any] = await connection.fetch(statement.numbered, *statement.arguments(values))
                return rows

    async def fetch_row(self, name: str, /, **values: Any) -> Any:
        """The first row of one statement, or `None`."""
        rows = await self.fetch(name, **values)
        return rows[0] if rows else None


async def _discard(connection: Any) -> None:
    """Close a connection whose call was cut short, cancelling the statement at the server first: else it would go on waiting
    there for its lock, and commit long after the caller was told that it ended."""
    try:
        await connection.close(timeout=_CLOSING)
    except Exception:
        _terminate(connection)
    except BaseException:
        _terminate(connection)
        raise


def _terminate(connection: Any) -> None:
    # A close that was cut off has ended the connection, and the pool has taken it back. The driver's error about that would take
    # the place of a cancel.
    with suppress(asyncpg.InterfaceError):
        connection.terminate()


async def _close(pool: Any, *, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await pool.close()
    except TimeoutError:
        pass
    finally:
        pool.terminate()


async def _nothing_to_reset(_: Any) -> None:
    """We leave no state in a session; asyncpg's default would cost each call a second round trip."""


def _engine(dsn: str, settings: StoreSettings, *, size: int, made: WeakSet[Any]) -> AsyncEngine:
    async def creator() -> Any:
        connection = await connect(dsn, settings)
        made.add(connection)
        return connection

    arguments: dict[str, Any] = {"async_creator_fn": creator, "prepared_statement_cache_size": settings.statement_cache_size}
    if settings.pooled:
        arguments["prepared_statement_name_func"] = lambda: f"uno_{uuid4().hex}"
    engine = create_async_engine(
        "postgresql+asyncpg://",
        connect_args=arguments,
        isolation_level="READ COMMITTED",
        hide_parameters=True,  # an error's text goes into logs, halts and histories: it may hold no row of the user's
        pool_size=size,
        max_overflow=0,
        pool_timeout=settings.connect_timeout,
    )

    tell_watches(engine)

    @event.listens_for(engine.sync_engine, "checkout")
    def discard_closed(_: Any, record: Any, __: Any) -> None:
        # After a restart of the server each pooled connection is dead, and knows it: no need to ask by a round trip.
        if record.driver_connection.is_closed():
            raise DisconnectionError

    return engine
