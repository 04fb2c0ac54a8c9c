"""Statements of user code on a connection of ours that would outlive its transaction, or end it.

The transaction of a step holds the memory of the step, and that of a projection the checkpoint. If user code commits it, a later
failure leaves the effect without its memory. If user code rolls it back, what follows commits without memory or checkpoint.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection, event
from sqlalchemy.exc import PendingRollbackError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from uno_workflows.events.errors import TransactionFailed

_WATCH: Final = "uno_watch"
_SPACE: Final = r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*"
_ENDS: Final = re.compile(
    rf"{_SPACE}(?:commit|end|abort|begin|start|prepare\s+transaction|rollback(?!\s+(?:work\s+|transaction\s+)?to\b))\b",
    re.IGNORECASE | re.DOTALL,
)
_STAYS: Final = re.compile(
    rf"{_SPACE}(?:set\s+(?!local\b|transaction\b|constraints\b)|reset\b|listen\b|prepare\b|load\b|discard\b|declare\b"
    r"|create\s+(?:or\s+replace\s+)?(?:global\s+|local\s+)?temp)",
    re.IGNORECASE | re.DOTALL,
)
_STAYS_WITHIN: Final = ("set_config", "advisory_lock", "into temp")
"""Words of statements that begin as others do; looked for without a pattern, because a statement may be long."""
_REFUSED: Final = "your code must not end the transaction, so nothing of it can be committed"
_ADVICE: Final = (
    "it commits after your code has returned, and rolls back if your code raises; put what may fail into a savepoint "
    "(`async with tx.connection.begin_nested(): …`)"
)


def stays(statement: str) -> bool:
    """Whether a session may keep something of a statement when its transaction has ended."""
    lowered = statement.lower()
    return _STAYS.match(statement) is not None or any(word in lowered for word in _STAYS_WITHIN)


class Watch:
    """What user code did with one transaction of ours.

    Attributes:
        changed: Whether its session may keep something of it: a setting, a temporary table, a lock, a LISTEN; then no other
            transaction may use the session.
    """

    def __init__(self, connection: AsyncConnection) -> None:
        """Watch a connection whose transaction has begun."""
        self.changed = self._held = self._ended = False
        self._connection = connection
        sync = connection.sync_connection
        assert sync is not None
        sync.execution_options(**{_WATCH: self})

    def hold(self) -> None:
        """A record of ours stands in the transaction: from now on only its block may end it."""
        self._held = True

    def check(self) -> None:
        """Let our own end of the transaction pass from now on.

        Raises:
            TransactionFailed: user code has ended it.
        """
        held, self._held = self._held, False
        if held and (self._ended or not _is_open(self._connection)):
            raise TransactionFailed(f"your code ended the transaction, so the rest cannot be committed with it: {_ADVICE}")

    @contextmanager
    def named(self) -> Iterator[None]:
        """Give an error of SQLAlchemy's about a transaction that user code has ended its reason."""
        try:
            yield
        except PendingRollbackError as error:
            if self._ended:
                raise TransactionFailed(f"{_REFUSED}: {_ADVICE}") from error
            raise

    def note(self, statement: str) -> None:
        """A statement is about to be sent."""
        if self._held and _ENDS.match(statement):
            self.refuse_end()
        self.changed = self.changed or stays(statement)

    def refuse_end(self) -> None:
        """Refuse to end the transaction, which fails it as a whole: code that goes on would be half of what was meant."""
        if self._held:
            self._ended = self.changed = True  # SQLAlchemy takes it for over, and would not roll it back
            raise TransactionFailed(f"{_REFUSED}: {_ADVICE}")

    def note_rollback(self) -> None:
        """It is being rolled back."""
        self._ended = self._held


def hold(connection: AsyncConnection) -> None:
    """A record of ours stands in the transaction of a connection; see `Watch.hold`."""
    if (watch := watch_of(connection)) is not None:
        watch.hold()


def watch_of(connection: AsyncConnection) -> Watch | None:
    """The watch of a connection, if there is one."""
    sync = connection.sync_connection
    return None if sync is None else _of(sync)


def tell_watches(engine: AsyncEngine) -> None:
    """Have the connections of an engine tell their watches."""
    listen = event.listens_for

    @listen(engine.sync_engine, "before_cursor_execute")
    def sent(connection: Connection, _: Any, statement: str, *__: Any) -> None:
        if (watch := _of(connection)) is not None:
            watch.note(statement)

    @listen(engine.sync_engine, "commit")
    def committing(connection: Connection) -> None:
        if (watch := _of(connection)) is not None:
            watch.refuse_end()

    @listen(engine.sync_engine, "rollback")
    def rolling_back(connection: Connection) -> None:
        if (watch := _of(connection)) is not None:
            watch.note_rollback()


def _of(connection: Connection) -> Watch | None:
    watch: Watch | None = connection.get_execution_options().get(_WATCH)
    return watch


def _is_open(connection: AsyncConnection) -> bool:
    """Whether the driver is in the transaction: a statement of the driver's own passes SQLAlchemy by."""
    sync = connection.sync_connection
    if sync is None or sync.closed or sync.invalidated:
        return True  # lost: that has its own name
    driver: Any = sync.connection.driver_connection
    return bool(driver.is_closed() or driver.is_in_transaction())
