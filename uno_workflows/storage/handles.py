"""One way to run our statements on every kind of transaction that a caller may lend."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, Final, Protocol, runtime_checkable

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from sqlalchemy.exc import DBAPIError, InvalidRequestError, PendingRollbackError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from uno_workflows.events.errors import InvalidArgument, NotInTransaction, TransactionFailed
from uno_workflows.events.protocols import Transaction
from uno_workflows.events.recorded import Appended, StreamAppend
from uno_workflows.storage.statements import Statement

_SWALLOWED: Final = (
    "an error in this session was swallowed, so nothing of its transaction can be committed; put what may fail into a savepoint "
    "(`async with session.begin_nested(): …`), or let its error out"
)
_IN_USE: Final = re.compile("another operation is in progress|concurrent operations are not permitted|already in progress")


class Handle(Protocol):
    """A connection inside a transaction."""

    async def fetch(self, statement: Statement, **values: Any) -> Sequence[Any]:
        """The rows of a statement, each by index."""
        ...

    def savepoint(self) -> AbstractAsyncContextManager[Any]:
        """A part of the transaction that is undone when its block fails."""
        ...


@runtime_checkable
class KnowsItsCommit(Protocol):
    """A transaction that wakes the readers after its commit, and counts then what was appended in it."""

    def note_appended(self, writes: Sequence[StreamAppend], made: Sequence[Appended]) -> None:
        """These events stand in it."""
        ...


class AsyncpgHandle:
    """A connection of asyncpg, or its stand-in from a pool."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def fetch(self, statement: Statement, **values: Any) -> Sequence[Any]:
        rows: Sequence[Any] = await self._connection.fetch(statement.numbered, *statement.arguments(values))
        return rows

    def savepoint(self) -> AbstractAsyncContextManager[Any]:
        made: AbstractAsyncContextManager[Any] = self._connection.transaction()
        return made


class SqlalchemyHandle:
    """A connection of SQLAlchemy. Its driver's connection is never used directly: before SQLAlchemy's first statement that
    one is in no transaction, and what it does survives a rollback."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def fetch(self, statement: Statement, **values: Any) -> Sequence[Any]:
        result = await self._connection.execute(statement.named, values)
        return result.all() if result.returns_rows else ()

    def savepoint(self) -> AbstractAsyncContextManager[Any]:
        return self._connection.begin_nested()


async def lent(tx: object) -> Handle:
    """A handle on the transaction that a caller gave as `tx=`.

    Raises:
        NotInTransaction: it is not inside one, or it is nothing that we can write through.
    """
    if isinstance(tx, (asyncpg.Connection, PoolConnectionProxy)):
        if not _is_in_transaction(tx):
            raise NotInTransaction("tx= is an asyncpg connection outside of `async with connection.transaction()`")
        return AsyncpgHandle(tx)
    if isinstance(tx, AsyncSession):
        # SQLAlchemy would begin a transaction here by itself, and roll it back unless the caller happens to commit.
        if not tx.in_transaction():
            raise NotInTransaction("tx= is an AsyncSession that has not begun: use `async with session.begin():`")
        return await _of_sqlalchemy(await tx.connection())
    if isinstance(tx, AsyncConnection):
        return await _of_sqlalchemy(tx)
    if (connection := _connection_of(tx)) is not None:
        return await _of_sqlalchemy(connection)
    raise NotInTransaction(
        f"tx= takes a connection of asyncpg, an AsyncSession or AsyncConnection of SQLAlchemy, or a Transaction, not {type(tx)}"
    )


@contextmanager
def usable() -> Iterator[None]:
    """Let no error of a driver out of this block that only says that the lent transaction cannot be used now.

    Raises:
        TransactionFailed: an error in the caller's session was swallowed.
        InvalidArgument: another task is using it.
    """
    try:
        yield
    except PendingRollbackError as error:
        raise TransactionFailed(_SWALLOWED) from error
    except (InvalidRequestError, DBAPIError, asyncpg.InterfaceError) as error:
        if _IN_USE.search(str(error)) is None:
            raise
        raise InvalidArgument(
            "tx", "another task is using this transaction; nothing was appended, give each task its own"
        ) from error


def _connection_of(tx: object) -> AsyncConnection | None:
    """The connection of one of our transactions, or of a test's wrapper around one; `None` for anything else."""
    try:
        connection = tx.connection if isinstance(tx, Transaction) else None
    except Exception:  # attributes of an unknown object may run any code
        return None
    return connection if isinstance(connection, AsyncConnection) else None


def _is_in_transaction(connection: Any) -> bool:
    try:
        return not connection.is_closed() and bool(connection.is_in_transaction())
    except asyncpg.InterfaceError:  # the connection is back in its pool
        return False


async def _of_sqlalchemy(connection: AsyncConnection) -> Handle:
    if connection.closed:
        raise NotInTransaction("tx= is a connection of SQLAlchemy that is closed: its transaction has ended")
    raw = await connection.get_raw_connection()
    if getattr(raw.dbapi_connection, "autocommit", False):
        raise NotInTransaction("tx= is in AUTOCOMMIT: the events would be committed on their own")
    if not connection.in_transaction():
        raise NotInTransaction("tx= is an AsyncConnection that has not begun: use `async with connection.begin():`")
    return SqlalchemyHandle(connection)
