"""What outlives Temporal: results of transactional steps, and the table of runs."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest
from sqlalchemy.exc import IntegrityError, ProgrammingError

from uno_workflows.events.base import Event
from uno_workflows.events.calls import StepCall
from uno_workflows.events.context import Principal
from uno_workflows.events.encoding import parse_metadata
from uno_workflows.events.errors import WrongExpectedVersion
from uno_workflows.events.ids import derived_event_id, new_event_id
from uno_workflows.events.names import NO_STREAM, workflow_id
from uno_workflows.events.runs import RunKey, Started, Undelivered


class StockReserved(Event):
    order_id: str


@pytest.fixture
def call():
    return StepCall(
        key="FulfilOrder/42/reserve_stock#1",
        start_event_id=new_event_id(),
        stream="order-42",
        tenant="acme",
        correlation_id="conversation",
        causation_id="cause",
        principal=Principal("u-7"),
    )


async def test_a_step_that_is_repeated_returns_the_stored_result_and_does_nothing(store, call, connect):
    await (await connect()).execute("create table stock (n int)")
    done = []

    async def work(tx):
        done.append(1)
        await tx.execute("insert into stock values (1)")
        await tx.append("stock-1", StockReserved(order_id="42"))
        return b"result"

    assert await store.steps.run_once(call, work) == b"result"
    assert await store.steps.run_once(call, work) == b"result"
    assert len(done) == 1
    assert await (await connect()).fetchval("select count(*) from stock") == 1
    assert len([event async for event in store.events.read_stream("acme", "stock-1")]) == 1


async def test_a_step_that_fails_leaves_nothing_and_may_run_again(store, call):
    async def fails(tx):
        await tx.append("stock-1", StockReserved(order_id="42"))
        raise KeyError

    async def works(tx):
        return b""

    with pytest.raises(KeyError):
        await store.steps.run_once(call, fails)
    assert [event async for event in store.events.read_all()] == []
    assert await store.steps.run_once(call, works) == b""


async def test_two_attempts_at_once_do_the_work_once(store, call, blocked):
    entered, go, done = asyncio.Event(), asyncio.Event(), []

    async def work(tx):
        done.append(1)
        entered.set()
        await go.wait()
        return b"first"

    first = asyncio.create_task(store.steps.run_once(call, work))
    await entered.wait()
    second = asyncio.create_task(store.steps.run_once(call, work))
    await blocked()
    go.set()
    assert await asyncio.gather(first, second) == [b"first", b"first"]
    assert len(done) == 1


async def test_events_of_a_step_carry_its_context_and_ids_that_follow_from_its_key(store, call):
    async def work(tx):
        await tx.append("order-42", [StockReserved(order_id="42"), StockReserved(order_id="43")])
        await tx.append("stock-1", StockReserved(order_id="42"), expected_version=NO_STREAM)
        return b""

    await store.steps.run_once(call, work)
    events = [event async for event in store.events.read_all()]
    assert [event.id for event in events] == [derived_event_id(call.start_event_id, call.key, str(n)) for n in (1, 2, 3)]
    assert {event.tenant for event in events} == {"acme"}
    metadata = parse_metadata(events[0].metadata)
    assert (metadata.correlation_id, metadata.causation_id, metadata.principal) == ("conversation", "cause", Principal("u-7"))


async def test_a_conflict_in_a_step_leaves_its_transaction_usable(store, call):
    async def work(tx):
        await tx.append("order-42", StockReserved(order_id="42"))
        with pytest.raises(WrongExpectedVersion):
            await tx.append("order-42", StockReserved(order_id="42"), expected_version=NO_STREAM)
        await tx.append("order-42", StockReserved(order_id="42"), expected_version=1)
        return b""

    await store.steps.run_once(call, work)
    assert [event.version async for event in store.events.read_stream("acme", "order-42")] == [1, 2]


async def test_errors_of_a_users_own_sql_pass_as_they_are(store, call):
    async def unknown_table(tx):
        await tx.execute("select * from nowhere")

    async def own_rule(tx):
        await tx.execute("create table mine (n int primary key)")
        await tx.execute("insert into mine values (1), (1)")

    with pytest.raises(ProgrammingError):
        await store.steps.run_once(call, unknown_table)
    with pytest.raises(IntegrityError):
        await store.steps.run_once(call, own_rule)


def started(key: RunKey, event_id: UUID | None = None, position: int = 7) -> Started:
    id_ = workflow_id(key.saga, key.key, tenant=key.tenant, generation=key.generation)
    return Started(key, id_, event_id or new_event_id(), position, "run-1")


async def record(store, *runs: Started) -> None:
    epoch = await store.events.epoch()
    async with store.subscriptions.transaction() as tx:
        await store.runs.record_started(runs, epoch=epoch, tx=tx)


async def test_a_run_is_open_until_its_end_is_written(store):
    key = RunKey("FulfilOrder", "", "42")
    run = started(key)
    await record(store, run)
    found = (await store.runs.latest([key]))[key]
    assert (found.state, found.start_event_id, found.start_position, found.temporal_run_id) == (
        "open",
        run.start_event_id,
        7,
        "run-1",
    )
    assert (await store.runs.count_open("FulfilOrder"), found.closed_at) == (1, None)
    await store.runs.record_end(key, "done")
    found = (await store.runs.latest([key]))[key]
    assert (found.state, found.closed_at is not None) == ("done", True)
    assert await store.runs.count_open("FulfilOrder") == 0


async def test_an_end_keeps_any_reason(store):
    """One that Postgres refused would have the saga's last command fail, and be tried again, for ever."""
    key = RunKey("FulfilOrder", "", "42")
    await record(store, started(key))
    await store.runs.record_end(key, "compensated", reason="cancelled: a\x00b\ud800")
    assert (await store.runs.latest([key]))[key].reason == "cancelled: a\\x00b\\ud800"


async def test_a_final_state_stays(store):
    key = RunKey("FulfilOrder", "", "42")
    await record(store, started(key))
    await store.runs.record_end(key, "compensation_failed", reason="bank is closed")
    assert await store.runs.count_open("FulfilOrder") == 1
    await store.runs.record_end(key, "compensated", reason="late refund")
    closed = (await store.runs.latest([key]))[key]
    for state in ("done", "terminated", "compensation_failed"):
        await store.runs.record_end(key, state, reason="again")
    await record(store, started(key))
    assert (await store.runs.latest([key]))[key] == closed
    with pytest.raises(ValueError, match="open"):
        await store.runs.record_end(key, "open")


async def test_a_saga_may_end_before_its_start_is_written_and_is_not_opened_again(store):
    key, event_id = RunKey("FulfilOrder", "acme", "42"), new_event_id()
    await store.runs.record_end(key, "done", start_event_id=event_id)
    found = (await store.runs.latest([key]))[key]
    assert (found.state, found.workflow_id, found.start_event_id) == ("done", "FulfilOrder/acme/42", event_id)
    await record(store, started(key, event_id, position=9))
    found = (await store.runs.latest([key]))[key]
    assert (found.state, found.start_position, found.temporal_run_id) == ("done", 9, "run-1")
    assert found.epoch == await store.events.epoch()


async def test_latest_gives_the_newest_generation_under_the_key_asked_for(store):
    old, new, other = RunKey("A", "", "1"), RunKey("A", "", "1", 3), RunKey("A", "", "2")
    await record(store, started(old), started(new), started(other))
    found = await store.runs.latest([old, other, RunKey("A", "x", "1"), RunKey("B", "", "1")])
    assert {asked: run.key for asked, run in found.items()} == {old: new, other: other}
    assert await store.runs.latest([]) == {}


async def test_open_runs_and_lists(store):
    keys = [RunKey("A", "", str(n)) for n in range(3)]
    await record(store, *map(started, keys), started(RunKey("B", "", "0")))
    await store.runs.record_end(keys[0], "cancelled", reason="changed mind")
    assert await store.runs.open_among("A", ["A/0", "A/1", "A/7", "B/0"]) == {"A/1": RunKey("A", "", "1")}
    assert [run.key.key for run in await store.runs.find(saga="A")] in (["2", "1", "0"], ["0", "2", "1"])
    assert [run.reason for run in await store.runs.find(state="cancelled")] == ["changed mind"]
    assert len(await store.runs.find(limit=2)) == 2


async def test_events_that_find_no_run_are_kept(store):
    key = RunKey("A", "", "1")

    def event(position: int) -> Undelivered:
        return Undelivered(key, position, new_event_id(), "Happened")

    for undelivered in (event(5), event(3), event(9)):
        await store.runs.add_pending(undelivered)
        await store.runs.add_pending(undelivered)
    assert await store.runs.pending(key) == [3, 5, 9]
    assert await store.runs.pending(RunKey("A", "", "2")) == []
    await store.runs.drop_pending(key, 5)
    assert await store.runs.pending(key) == [9]
    late = event(11)
    assert await store.runs.add_late(late, reason="over")
    assert not await store.runs.add_late(late, reason="over")
    assert (await store.runs.count_late(), await store.runs.count_late("A"), await store.runs.count_late("B")) == (1, 1, 0)
