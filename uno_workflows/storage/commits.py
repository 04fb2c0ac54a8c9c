"""Notices the commit of a caller's transaction, so that readers wake then and not at their next poll (ADR 0038)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session

Committed = Callable[[], None]

_PENDING: Final = "uno_workflows.appended"


async def call_after_commit(tx: object, committed: Committed) -> None:
    """Call `committed` once the transaction has ended. A rollback may call it too: readers then wake for nothing.

    Args:
        tx: The caller's handle, inside its transaction. For an unknown kind, readers wait for their next poll.
    """
    if isinstance(tx, AsyncSession):
        _after_session(tx.sync_session, committed)
    elif isinstance(tx, (asyncpg.Connection, PoolConnectionProxy)):
        _after_statement(tx, committed)
    elif isinstance(tx, AsyncConnection):
        driver = (await tx.get_raw_connection()).driver_connection
        if isinstance(driver, asyncpg.Connection):
            _after_statement(driver, committed)


@dataclass(frozen=True, slots=True)
class _End:
    """Checks after each statement of a connection whether its transaction has ended. Two of one store and connection are
    equal, so that asyncpg keeps one of them."""

    connection: Any
    committed: Committed

    def __call__(self, _: Any) -> None:
        try:
            if self.connection.is_in_transaction():
                return
            self.connection.remove_query_logger(self)
        except asyncpg.InterfaceError:  # closed, or back in its pool: then its transaction has ended
            pass
        self.committed()


def _after_statement(connection: Any, committed: Committed) -> None:
    """asyncpg has no hook for a commit. It calls a query logger after each statement, so after COMMIT too. Transactions that
    append nothing pay nothing."""
    connection.add_query_logger(_End(connection, committed))


def _after_session(session: Session, committed: Committed) -> None:
    """Call once after the session's commit. A rollback leaves the mark, so the next commit wakes readers for nothing."""
    pending: set[Committed] = session.info.setdefault(_PENDING, set())
    pending.add(committed)
    if not event.contains(session, "after_commit", _after_commit):
        event.listen(session, "after_commit", _after_commit)


def _after_commit(session: Session) -> None:
    if not session.in_nested_transaction():
        for committed in session.info.pop(_PENDING, ()):
            committed()
