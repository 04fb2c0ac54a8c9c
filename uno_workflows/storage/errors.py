"""The one place where errors of the drivers become ours, by SQLSTATE and constraint name."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from uno_workflows.events.errors import (
    BeyondLimit,
    ConfigurationError,
    DuplicateEventId,
    SchemaMismatch,
    StoreClosed,
    StoreContended,
    StoreRefused,
    StoreUnavailable,
    TransactionFailed,
    UnoError,
    UnsafeIsolation,
)
from uno_workflows.events.raised import behind, is_a, walk
from uno_workflows.events.recorded import StreamAppend
from uno_workflows.events.telling import message_of
from uno_workflows.events.text import shown
from uno_workflows.storage.lifetime import Lifetime

# SQLSTATEs, PostgreSQL manual appendix A; UN… are raised by our own functions.
_CONTENDED: Final = {
    "40001": "a serialization failure",
    "40P01": "a deadlock",
    "55P03": "a lock time-out",
    "57014": "a statement time-out",
}
_UNAVAILABLE: Final = {
    "25006": "the transaction or the server is read-only (READ ONLY, a replica, or default_transaction_read_only)",
    "25P03": "the transaction was idle too long, and the server closed it",
    "40003": "the connection was lost at the commit: it may or may not have happened",
    "53100": "the server's disk is full",
    "53200": "the server is out of memory or of room for locks",
    "53300": "the server has no connection left",
}
_ROLLED_BACK: Final = ("25006", "53100", "53200")
"""Of these the answers that say ERROR, not FATAL: the server refused the statement, so nothing of it was stored."""
_UNAVAILABLE_CLASSES: Final = ("08", "53", "57", "58")
# A user's own statement may earn these too, and then they mean something else.
_NOT_NOW: Final = {
    "55000": "the database takes no connections, or not this one",
    "55006": "something is in use",
}
_BEYOND: Final = ("22", "54")
"""Classes of errors that a retry does not change: a value that its type cannot hold, and a limit of the program."""
_LOST: Final = ("clos", "released", "terminated", "lost")
"""Words of asyncpg's InterfaceError when a connection has ended. Other InterfaceErrors mean a mistake, such as a connection that
two tasks share: we report it, and do not wait for it to pass."""
_OF_DRIVERS: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
_TOO_MANY: Final = "the number of query arguments cannot exceed"
_URL: Final = "the database URL, or a PG… variable that completes it,"
_DESCRIPTION: Final = re.compile(r"one of <[^>]*>")
"""Where the driver's message shows a method in place of the values."""
_NO_SCHEMA: Final = ("3F000", "42P01", "42703", "42883")
_IN_THE_WAY: Final = ("42701", "42710", "42723", "42809", "42P07")  # a column, object, function, other kind or table of that name
_REFUSED: Final = {
    "28000": "check user and password of the URL, and pg_hba.conf",
    "28P01": "check user and password of the URL",
    "3D000": "create the database, or correct the URL",
    "42501": "grant it to the role, or use another one",
}
_PARAMETER: Final = ("22023", "42704", "55P02")  # an unknown setting, one that cannot be changed, or a wrong value
_MAY_PASS: Final = ("28000", "28P01", "3D000")
"""Errors that may pass: an operator is changing a password or a database."""


def translate(
    error: BaseException,
    *,
    schema: str,
    needed: int = 0,
    writing: StreamAppend | None = None,
    foreign: bool = False,
    opening: bool = False,
    migrating: bool = False,
) -> UnoError | None:
    """Our error for one of asyncpg's, SQLAlchemy's or the operating system's; `None` if it is not for us to explain.

    Args:
        needed: The migration that this version needs, for the message when a table is missing.
        writing: What was being appended, if something was.
        foreign: Whether the statement may be a user's own: then only outages and contention are ours to explain.
        opening: Whether this is the first contact: then a refusal is a mistake in the settings. Later what has worked is being
            changed (a password, pg_hba.conf, a restore), and that passes.
        migrating: Whether the statement makes the schema: then an object in its way, or one that is missing, is not ours.
    """
    cause = _driver_error(error)
    if migrating and getattr(cause, "sqlstate", None) in (*_IN_THE_WAY, *_NO_SCHEMA):
        return ConfigurationError(
            [
                f"schema {schema!r} holds something that uno_workflows did not make, or lacks something that it made: "
                f"{_said(cause)}. Use another schema (UNO_SCHEMA), or restore this one"
            ]
        )
    if is_a(cause, asyncpg.PostgresError):
        return _of_server(cause, schema=schema, needed=needed, writing=writing, foreign=foreign, opening=opening)
    if foreign and not is_a(error, DBAPIError):
        return None
    if opening and (fault := _of_settings(error, cause)):
        return ConfigurationError([fault])
    if is_a(cause, asyncpg.ClientConfigurationError):
        said = f"{_URL} cannot be used: {_DESCRIPTION.sub('another value', _said(cause))}"
        return ConfigurationError([said]) if opening else StoreUnavailable(said)
    if is_a(cause, PoolTimeoutError):  # SQLAlchemy's own words speak of its pool, and end with a link
        return StoreUnavailable("no connection for a transaction became free in time")
    if is_a(cause, asyncpg.InterfaceError) and not any(word in shown(cause) for word in _LOST):
        return _beyond(_said(cause), writing) if shown(cause).startswith(_TOO_MANY) and not foreign else None
    if is_a(cause, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError):
        return StoreUnavailable(f"Postgres cannot be reached: {_said(cause)}")
    return None


def _of_settings(error: BaseException, cause: BaseException) -> str | None:
    """A mistake in the URL that shows at the first contact, and is no outage. The driver's ValueErrors may quote a password."""
    if is_a(cause, ssl.SSLError):
        return f"TLS with Postgres failed: {_said(cause)}; check sslmode, sslrootcert and the server's certificate"
    if is_a(cause, ConnectionError) and "SSL upgrade" in shown(cause):
        return "Postgres does not speak TLS at this address: use another port, turn ssl on there, or take sslmode out of the URL"
    if is_a(error, ValueError, TypeError) and not is_a(cause, asyncpg.InterfaceError):
        return f"{_URL} cannot be used: a host, a port or a parameter has no valid value"
    return None


def _of_server(
    error: asyncpg.PostgresError, *, schema: str, needed: int, writing: StreamAppend | None, foreign: bool, opening: bool
) -> UnoError | None:
    state, said = error.sqlstate or "", _said(error)
    if state in _CONTENDED:
        return StoreContended(f"Postgres gave up on {_CONTENDED[state]}, and nothing was written: {said}")
    if state in _UNAVAILABLE or state.startswith(_UNAVAILABLE_CLASSES):
        away = StoreUnavailable(f"Postgres is not available: {_UNAVAILABLE.get(state, 'it said')}: {said}")
        away.may_be_stored = not (state in _ROLLED_BACK and getattr(error, "severity_en", None) == "ERROR")
        return away
    if foreign:
        return None
    if state in _NOT_NOW:
        return StoreUnavailable(f"Postgres is not available: {_NOT_NOW[state]}: {said}")
    if opening and state in _PARAMETER:
        return ConfigurationError([f"Postgres refuses a parameter of the database URL: {said}"])
    if state.startswith(_BEYOND):
        return _beyond(said, writing)
    if state == "UN011":
        return UnsafeIsolation(said)
    if state == "25P02":
        return TransactionFailed(
            "a statement in this transaction failed and its error was swallowed, so nothing of it can be committed; put what "
            "may fail into a savepoint (`async with tx.connection.begin_nested(): …`), or let its error out"
        )
    if state in _REFUSED:
        refused = f"Postgres refuses: {said}; {_REFUSED[state]}"
        if opening:
            return ConfigurationError([refused])
        may_pass = state in _MAY_PASS
        return StoreUnavailable(f"{refused} (it worked when the store was opened)") if may_pass else StoreRefused(refused)
    if state in _NO_SCHEMA:
        lacking = f"schema {schema!r} lost what it had when it was opened: {said}"
        return SchemaMismatch(schema, found=0, needed=needed) if opening else StoreRefused(lacking)
    if writing is None:
        return None
    return _of_unique_key(error, writing) or StoreRefused(
        f"Postgres refuses an append to stream {writing.stream_id} with {state}: {said}; does a trigger or a constraint of your "
        "own guard the tables of the store?"
    )


def outage(error: Exception, *, schema: str) -> UnoError | None:
    """An error as a background task sees it, which has nobody to tell: whatever the driver or the server says may pass.

    `None` is a mistake of ours, which must end the task.
    """
    ours = error if is_a(error, UnoError) else translate(error, schema=schema)
    if ours is None and is_a(cause := _driver_error(error), asyncpg.PostgresError):
        return StoreUnavailable(f"Postgres failed with {cause.sqlstate}: {_said(cause)}")
    return ours


def _of_unique_key(error: asyncpg.PostgresError, writing: StreamAppend) -> UnoError | None:
    if error.constraint_name == "events_event_id_key":
        return DuplicateEventId(writing.stream_id, [event.id for event in writing.events])
    if error.constraint_name == "events_stream_version_key":
        return UnoError(f"stream {writing.stream_id}: somebody inserted events beside append(), so its version is unknown")
    return None


def _driver_error(error: BaseException) -> BaseException:
    return next((one for one in walk(error, behind) if is_a(one, *_OF_DRIVERS)), error)


def _beyond(said: str, writing: StreamAppend | None) -> BeyondLimit:
    what = "a value of a statement" if writing is None else f"an append to stream {writing.stream_id}"
    return BeyondLimit(f"{what} is more than Postgres can hold: {said}; nothing was written, and trying again changes nothing")


def _said(error: BaseException) -> str:
    return message_of(error) or type(error).__name__


@contextmanager
def translated(
    schema: str,
    *,
    needed: int = 0,
    writing: StreamAppend | None = None,
    foreign: bool = False,
    opening: bool = False,
    migrating: bool = False,
    lifetime: Lifetime | None = None,
) -> Iterator[None]:
    """Let only our errors out of this block, each with the driver's as its cause; see `translate`.

    Args:
        lifetime: Of the store: a failure after its end is `StoreClosed`, and no outage.
    """
    try:
        yield
    except Exception as error:
        ours = (
            None
            if is_a(error, UnoError)
            else translate(
                error, schema=schema, needed=needed, writing=writing, foreign=foreign, opening=opening, migrating=migrating
            )
        )
        if lifetime is not None and lifetime.over and is_a(ours or error, StoreUnavailable):
            raise StoreClosed("the store was closed while the call was under way") from error
        if ours is None:
            raise
        raise ours from error
