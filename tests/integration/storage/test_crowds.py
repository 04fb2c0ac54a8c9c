"""More transactions than connections."""

from __future__ import annotations

import asyncio

import pytest
from apps.defining import define
from patience import LIMIT

from uno_workflows.events.calls import StepCall
from uno_workflows.events.encoding import to_new_events
from uno_workflows.events.errors import StoreUnavailable
from uno_workflows.events.ids import new_event_id
from uno_workflows.events.subscriptions import Delivered
from uno_workflows.storage.settings import StoreSettings
from uno_workflows.storage.store import PostgresStore

NARROW = StoreSettings(transactions=2, pump_transactions=1, connect_timeout=0.3)


@pytest.fixture
async def store(database):
    async with PostgresStore.open(database, encode=to_new_events, settings=NARROW) as made:
        yield made


class Crowd:
    """Steps that stay in their transactions until `go` is set."""

    def __init__(self, store, size: int) -> None:
        self.go, self.busy = asyncio.Event(), 0
        self.tasks = [asyncio.create_task(store.steps.run_once(_call(n), self._work)) for n in range(size)]

    async def _work(self, tx) -> bytes:
        self.busy += 1
        await self.go.wait()
        self.busy -= 1
        return b"done"


def _call(number: int) -> StepCall:
    return StepCall(
        key=f"FulfilOrder/{number}/reserve_stock#1",
        start_event_id=new_event_id(),
        stream=f"order-{number}",
        tenant="",
        correlation_id="conversation",
        causation_id="cause",
        principal=None,
    )


@pytest.fixture
async def crowd(store, until):
    made = Crowd(store, 20)
    await until(lambda: made.busy == 2)
    yield made
    made.go.set()
    await asyncio.wait(made.tasks)


async def longer_than_a_connection_may_take() -> None:
    await asyncio.sleep(NARROW.connect_timeout * 2)


async def test_steps_wait_for_a_connection_as_long_as_it_takes(crowd):
    await longer_than_a_connection_may_take()
    assert crowd.busy == 2
    assert not any(task.done() for task in crowd.tasks)
    crowd.go.set()
    async with asyncio.timeout(LIMIT):
        assert await asyncio.gather(*crowd.tasks) == [b"done"] * 20


async def test_a_step_that_waits_for_a_connection_can_be_cancelled(crowd):
    for task in crowd.tasks[2:]:
        task.cancel()
    ended = await asyncio.gather(*crowd.tasks[2:], return_exceptions=True)
    assert {type(end) for end in ended} == {asyncio.CancelledError}
    crowd.go.set()
    assert await asyncio.gather(*crowd.tasks[:2]) == [b"done"] * 2


async def test_steps_cannot_keep_a_checkpoint_from_moving(store, crowd, write):
    await store.events.append([write("order-1", 3)])
    await define(store, "dispatch", start="beginning")
    lease = await store.subscriptions.take_over("dispatch", owner="one")
    async with store.subscriptions.transaction() as tx:
        await store.subscriptions.advance(lease, 3, delivered=Delivered(()), tx=tx)
    assert await store.subscriptions.position("dispatch") == 3


async def test_pumps_wait_for_each_other(store):
    async def batch() -> None:
        async with store.subscriptions.transaction() as tx:
            await tx.execute("select pg_sleep(0.2)")

    async with asyncio.TaskGroup() as group:  # 0.8 s on the one connection
        for _ in range(4):
            group.create_task(batch())


async def test_a_program_that_finds_no_connection_is_told_why(store, crowd):
    with pytest.raises(StoreUnavailable, match=r"all 2 connections .* within 0\.3 s.*UNO_POOL_SIZE"):
        await store.transaction().__aenter__()


async def test_a_transaction_that_could_not_connect_gives_its_place_back(store, monkeypatch):
    async def refuses():
        raise ConnectionRefusedError

    with monkeypatch.context() as patch:
        patch.setattr(store.database.steps, "engine", type("Engine", (), {"connect": staticmethod(refuses)}))
        for _ in range(5):
            with pytest.raises(StoreUnavailable, match="ConnectionRefused"):
                await store.transaction().__aenter__()
    async with store.transaction() as tx:
        await tx.execute("select 1")
