"""What the store tells of appends and of runs: what was committed, once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from uno_workflows.events.encoding import to_new_events
from uno_workflows.events.errors import DuplicateEventId, StoreUnavailable, WrongExpectedVersion
from uno_workflows.events.names import NO_STREAM
from uno_workflows.events.recorded import Appended, NewEvent, StreamAppend
from uno_workflows.events.runs import Mark, RunKey, RunState
from uno_workflows.observability.metrics import Metrics
from uno_workflows.storage.gauges import check_store
from uno_workflows.storage.store import PostgresStore

Write = Callable[..., StreamAppend]
KEY = RunKey("Fulfil", "", "42")


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
async def measured(database: str, registry: CollectorRegistry) -> AsyncIterator[PostgresStore]:
    async with PostgresStore.open(database, encode=to_new_events, measures=Metrics(registry)) as made:
        yield made


@pytest.fixture
def counted(registry: CollectorRegistry) -> Callable[..., float]:
    """The value of a counter; 0 if there is none yet."""
    return lambda name, **labels: registry.get_sample_value(name, labels) or 0


async def test_appends_are_timed_by_how_they_ended(measured: PostgresStore, write: Write, counted: Callable[..., float]):
    first = write("order-1", 2, expected=NO_STREAM)
    await measured.events.append([first, write("order-2")])
    await measured.events.append([first])
    for refused, error in (
        (write("order-1", expected=NO_STREAM), WrongExpectedVersion),
        (write("order-3", [first.events[0]]), DuplicateEventId),
    ):
        with pytest.raises(error):
            await measured.events.append([refused])
    assert counted("uno_append_duration_seconds_count", outcome="ok") == 2
    assert counted("uno_append_duration_seconds_count", outcome="refused") == 2
    assert counted("uno_events_appended_total", event_type="Happened") == 3
    assert counted("uno_append_duplicates_total", event_type="Happened") == 1
    assert counted("uno_append_conflicts_total", event_type="Happened") == 1


async def test_an_append_that_postgres_cannot_take_is_failed(
    measured: PostgresStore, write: Write, counted: Callable[..., float], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("uno_workflows.storage.appending._PATIENCE", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(measured.database, "_pool", _Gone())
        with pytest.raises(StoreUnavailable):
            await measured.events.append([write("order-2")])
    assert counted("uno_append_duration_seconds_count", outcome="failed") == 1
    assert counted("uno_events_appended_total", event_type="Happened") == 0


class _Gone:
    """A pool whose server is away."""

    def get_idle_size(self) -> int:
        return 0

    async def acquire(self, **_: object) -> None:
        raise ConnectionRefusedError("nobody there")


async def test_events_whose_answer_was_lost_are_counted_once(
    measured: PostgresStore, write: Write, counted: Callable[..., float], monkeypatch: pytest.MonkeyPatch
):
    once, lost = measured.events._append_once, [True]

    async def append_once(writes: Sequence[StreamAppend]) -> list[Appended]:
        made = await once(writes)
        if lost.pop() if lost else False:
            raise StoreUnavailable("the connection was lost after the commit")
        return made

    monkeypatch.setattr(measured.events, "_append_once", append_once)
    (made,) = await measured.events.append([write("order-1", 2)])
    assert made.replayed
    assert counted("uno_events_appended_total", event_type="Happened") == 2
    assert counted("uno_append_duplicates_total", event_type="Happened") == 0


async def test_in_a_lent_transaction_events_count_when_they_are_written(
    measured: PostgresStore, database: str, write: Write, counted: Callable[..., float]
):
    engine = create_async_engine(database.replace("postgresql://", "postgresql+asyncpg://"))
    async with AsyncSession(engine) as session:
        await session.begin()
        await measured.events.append([write("order-1")], tx=session)
        assert counted("uno_events_appended_total", event_type="Happened") == 1
        await session.commit()
    await engine.dispose()
    assert counted("uno_events_appended_total", event_type="Happened") == 1


async def end(store: PostgresStore, state: RunState, *, length: int, run_id: str = "r") -> None:
    await store.runs.record_end(KEY, state, mark=Mark(run_id, length, 0))


async def test_a_run_that_ends_is_counted_when_its_row_says_something_new(measured: PostgresStore, counted: Callable[..., float]):
    await end(measured, "compensation_failed", length=5)
    await end(measured, "compensated", length=9)
    await end(measured, "compensated", length=9)  # the mark is written again, with its workflow task
    await end(measured, "done", length=7)  # an older mark changes nothing
    await measured.runs.record_end(KEY, "terminated")  # nor does the reconciler
    assert counted("uno_saga_finished_total", saga="Fulfil", outcome="compensated") == 1
    assert [
        counted("uno_saga_finished_total", saga="Fulfil", outcome=o) for o in ("done", "terminated", "compensation_failed")
    ] == [0, 0, 0]
    assert counted("uno_saga_duration_seconds_count", saga="Fulfil", outcome="compensated") == 0, "its start event is not known"


async def test_a_runs_duration_begins_with_its_start_event(
    measured: PostgresStore, write: Write, event: Callable[..., NewEvent], counted: Callable[..., float]
):
    start = event()
    await measured.events.append([write("order-1", [start])])
    age = "select extract(epoch from clock_timestamp() - recorded_at)::float8 from uno.events"
    before = await _one(measured, age)
    await measured.runs.record_end(KEY, "done", start_event_id=start.id, mark=Mark("r", 1, 0))
    after = await _one(measured, age)
    assert before < counted("uno_saga_duration_seconds_sum", saga="Fulfil", outcome="done") < after


async def _one(store: PostgresStore, statement: str) -> float:
    async with store.transaction() as tx:
        return float((await tx.execute(statement)).scalar_one())


async def test_a_server_that_is_read_only_is_not_there(database: str, connect: Callable[[], Awaitable[Any]]):
    """As a standby is that a client was led to: it answers every question, and takes nothing."""
    connection = await connect()
    name = await connection.fetchval("select current_database()")
    async with PostgresStore.open(database, encode=to_new_events) as store:
        await check_store(store.database)
    await connection.execute(f'alter database "{name}" set default_transaction_read_only = on')
    async with PostgresStore.open(database, encode=to_new_events) as store:
        with pytest.raises(StoreUnavailable, match="read-only"):
            await check_store(store.database)


async def test_an_error_of_a_statement_quotes_none_of_its_parameters(measured: PostgresStore):
    with pytest.raises(DBAPIError) as raised:
        async with measured.transaction() as tx:
            await tx.execute("select 1 / cast(length(:name) - 3 as int), cast(:name as text)", {"name": "Eve"})
    assert "division by zero" in str(raised.value)
    assert "Eve" not in str(raised.value)
