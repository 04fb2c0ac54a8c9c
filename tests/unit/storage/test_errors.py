"""Driver errors become ours by SQLSTATE and constraint name."""

from __future__ import annotations

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from uno_workflows.events.errors import (
    BeyondLimit,
    ConfigurationError,
    DuplicateEventId,
    SchemaMismatch,
    StoreContended,
    StoreRefused,
    StoreUnavailable,
    TransactionFailed,
    UnoError,
    UnsafeIsolation,
)
from uno_workflows.events.ids import new_event_id
from uno_workflows.events.recorded import NewEvent, StreamAppend
from uno_workflows.storage.errors import outage, translate, translated

WRITING = StreamAppend("", "order-1", -2, [NewEvent(new_event_id(), "T", 1, b"", b"")], "c")


def server_error(state: str, constraint: str | None = None) -> asyncpg.PostgresError:
    return asyncpg.PostgresError.new({"C": state, "M": "said so", **({"n": constraint} if constraint else {})})


def wrapped(error: BaseException) -> DBAPIError:
    """As SQLAlchemy raises it: its own error around an adapter's, which the driver's caused."""
    adapter = Exception("adapter")
    adapter.__cause__ = error
    return DBAPIError("select 1", {}, adapter)


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("40001", StoreContended),
        ("40P01", StoreContended),
        ("55P03", StoreContended),
        ("57014", StoreContended),
        ("08006", StoreUnavailable),
        ("57P01", StoreUnavailable),
        ("57P03", StoreUnavailable),
        ("53100", StoreUnavailable),
        ("53300", StoreUnavailable),
        ("25006", StoreUnavailable),
        ("25P03", StoreUnavailable),
        ("55000", StoreUnavailable),
        ("55006", StoreUnavailable),
        ("57000", StoreUnavailable),
        ("25P02", TransactionFailed),
        ("UN011", UnsafeIsolation),
    ],
)
def test_a_server_error_is_translated_by_its_state(state, kind):
    for error in (server_error(state), wrapped(server_error(state))):
        assert isinstance(translate(error, schema="uno", needed=3), kind)


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(111, "refused"),
        FileNotFoundError("no socket"),
        TimeoutError(),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InternalClientError("cannot switch to state 11; another operation (2) is in progress"),
        PoolTimeoutError("QueuePool limit"),
    ],
)
def test_a_lost_connection_is_an_outage(error):
    assert isinstance(translate(error, schema="uno"), StoreUnavailable)


@pytest.mark.parametrize(
    "error",
    [
        server_error("54000"),
        server_error("54023"),
        server_error("22021"),
        wrapped(server_error("22003")),
        asyncpg.DataError("invalid input for query argument $3: 9223372036854775808 (value out of int64 range)"),
        asyncpg.InterfaceError("the number of query arguments cannot exceed 32767"),
    ],
)
def test_what_postgres_can_never_hold_is_no_outage(error):
    found = translate(error, schema="uno", writing=WRITING)
    assert isinstance(found, BeyondLimit)
    assert not isinstance(found, StoreUnavailable)
    assert not found.retryable
    assert "order-1" in str(found)
    assert translate(error, schema="uno", foreign=True) is None  # a user's own statement explains itself


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InterfaceError("the number of query arguments cannot exceed 32767"),
        asyncpg.InterfaceError("the server expects 2 arguments for this query, 1 was passed"),
        asyncpg.InterfaceError("cannot perform operation: another operation is in progress"),
    ],
)
def test_a_statement_that_is_wrong_is_no_outage_in_a_transaction_of_a_step(error):
    assert translate(wrapped(error), schema="uno", foreign=True) is None


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("42P01", SchemaMismatch),
        ("42883", SchemaMismatch),
        ("3F000", SchemaMismatch),
        ("28000", ConfigurationError),
        ("28P01", ConfigurationError),
        ("3D000", ConfigurationError),
        ("42501", ConfigurationError),
    ],
)
def test_a_refusal_is_a_wrong_setting_only_while_the_store_is_opened(state, kind):
    error = wrapped(server_error(state))
    assert isinstance(translate(error, schema="uno", opening=True), kind)
    later = translate(error, schema="uno")
    assert isinstance(later, StoreUnavailable)
    assert "said so" in str(later)
    assert translate(error, schema="uno", foreign=True) is None


def test_a_url_that_cannot_be_used_is_a_wrong_setting_only_while_the_store_is_opened():
    error = asyncpg.ClientConfigurationError("no such certificate")
    assert isinstance(translate(error, schema="uno", opening=True), ConfigurationError)
    assert isinstance(translate(error, schema="uno"), StoreUnavailable)


def test_for_a_background_task_whatever_postgres_says_may_pass():
    for error in (server_error("XX000"), server_error("23502"), wrapped(server_error("55000")), ConnectionRefusedError()):
        assert isinstance(outage(error, schema="uno"), StoreUnavailable)
    replica = UnsafeIsolation("replica")
    assert outage(replica, schema="uno") is replica
    for mistake in (KeyError("x"), asyncpg.InterfaceError("cannot perform operation: another operation is in progress")):
        assert outage(mistake, schema="uno") is None


def test_a_pool_that_is_used_up_is_told_in_our_words():
    ours = translate(PoolTimeoutError("QueuePool limit of size 10 (https://sqlalche.me/e/20/3o7r)"), schema="uno")
    assert "no connection for a transaction became free" in str(ours)
    assert "QueuePool" not in str(ours)


def test_mistakes_are_not_taken_for_outages():
    for error in (
        asyncpg.InterfaceError("cannot perform operation: another operation is in progress"),
        server_error("23502"),
        KeyError("x"),
    ):
        assert translate(error, schema="uno") is None


def test_a_users_own_errors_are_left_alone():
    states = ("42P01", "23505", "55000", "55006")  # 55000: such as currval() before nextval()
    for error in (*(wrapped(server_error(state)) for state in states), FileNotFoundError(), TimeoutError()):
        assert translate(error, schema="uno", foreign=True) is None
    assert isinstance(translate(wrapped(server_error("40P01")), schema="uno", foreign=True), StoreContended)
    assert isinstance(translate(wrapped(asyncpg.InterfaceError("closed")), schema="uno", foreign=True), StoreUnavailable)


def test_a_unique_key_is_translated_by_its_name():
    duplicate = translate(server_error("23505", "events_event_id_key"), schema="uno", writing=WRITING)
    assert isinstance(duplicate, DuplicateEventId)
    beside = translate(server_error("23505", "events_stream_version_key"), schema="uno", writing=WRITING)
    assert isinstance(beside, UnoError)
    assert "beside append()" in str(beside)
    other = translate(server_error("23505", "other"), schema="uno", writing=WRITING)
    assert isinstance(other, StoreRefused)
    assert "refuses an append to stream order-1 with 23505" in str(other)


def test_the_drivers_error_is_the_cause_of_ours():
    with pytest.raises(StoreContended) as caught, translated("uno"):
        raise server_error("40P01")
    assert isinstance(caught.value.__cause__, asyncpg.DeadlockDetectedError)
    with pytest.raises(SchemaMismatch, match="run `uno migrate`"), translated("uno", needed=3, opening=True):
        raise server_error("42P01")


def test_our_own_errors_pass():
    with pytest.raises(StoreUnavailable, match="ours"), translated("uno"):
        raise StoreUnavailable("ours")


def test_a_ring_of_causes_ends():
    one, other = ValueError(), ValueError()
    one.__cause__, other.__cause__ = other, one
    assert translate(one, schema="uno") is None
    assert translate(wrapped(one), schema="uno") is None
