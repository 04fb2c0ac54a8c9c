"""The event store as a program sees it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import asyncpg
import pytest
from patience import LIMIT

from uno_workflows import (
    NO_STREAM,
    DuplicateEventId,
    Event,
    Principal,
    Settings,
    Uno,
    WrongExpectedVersion,
    derived_event_id,
    event_context,
)
from uno_workflows.app.catalogue import Catalogue
from uno_workflows.events.errors import UnknownEventType
from uno_workflows.events.ids import new_event_id
from uno_workflows.events.registry import EventRegistry


class Counted(Event):
    n: int


class Unheard(Event):
    n: int


@pytest.fixture
async def uno(database: str) -> AsyncIterator[Uno]:
    async with Uno.connect(Settings(database_url=database)) as opened:
        opened.catalogue.events.add(Counted)
        yield opened


async def test_a_conflict_names_both_versions_and_writes_nothing(uno: Uno) -> None:
    await uno.append("counter-1", [Counted(n=1), Counted(n=2)], expected_version=NO_STREAM)
    with pytest.raises(WrongExpectedVersion) as caught:
        await uno.append("counter-1", Counted(n=3), expected_version=NO_STREAM)
    assert (caught.value.stream_id, caught.value.expected, caught.value.actual) == ("counter-1", 0, 2)
    assert [recorded.event.n async for recorded in uno.read("counter-1")] == [1, 2]  # type: ignore[attr-defined]


async def test_the_same_ids_again_append_nothing(uno: Uno) -> None:
    event_id = derived_event_id(new_event_id(), "import", "1")
    first = await uno.append("counter-1", Counted(n=1), event_ids=event_id, expected_version=NO_STREAM)
    again = await uno.append("counter-1", Counted(n=1), event_ids=event_id, expected_version=NO_STREAM)
    assert not first.replayed
    assert again.replayed
    assert again.positions == first.positions
    with pytest.raises(DuplicateEventId):
        await uno.append("counter-1", Counted(n=2), event_ids=event_id)


async def test_several_streams_are_appended_all_or_none_and_idempotently(uno: Uno) -> None:
    ids = {"counter-b": new_event_id(), "counter-a": [new_event_id(), new_event_id()]}
    events = {"counter-b": Counted(n=1), "counter-a": [Counted(n=2), Counted(n=3)]}
    first = await uno.append_streams(events, event_ids=ids)
    assert {name: done.last_version for name, done in first.items()} == {"counter-b": 1, "counter-a": 2}
    assert all(done.replayed for done in (await uno.append_streams(events, event_ids=ids)).values())
    with pytest.raises(WrongExpectedVersion):
        await uno.append_streams({"counter-a": Counted(n=4), "counter-c": Counted(n=5)}, expected_versions={"counter-a": 9})
    assert [recorded.stream_id async for recorded in uno.read("counter-c")] == []


async def test_each_event_needs_its_id(uno: Uno) -> None:
    with pytest.raises(ValueError, match="2 events, but 1 event ids"):
        await uno.append("counter-1", [Counted(n=1), Counted(n=2)], event_ids=new_event_id())


async def test_what_was_read_is_no_event_to_append(uno: Uno) -> None:
    """It is a tuple, and would be taken for a batch of its fields."""
    await uno.append("counter-1", Counted(n=1))
    [read] = [r async for r in uno.read("counter-1")]
    recorded: Any = read
    refused = partial(pytest.raises, TypeError, match="an Event or a sequence of them, not Recorded; pass recorded.event")
    for given in (recorded, [recorded], [Counted(n=2), recorded]):
        with refused():
            await uno.append("counter-2", given)
        with refused():
            await uno.append_streams({"counter-2": given})
        async with uno.transaction() as tx:
            with refused():
                await tx.append("counter-2", given)
    assert [r async for r in uno.read("counter-2")] == []


async def test_events_carry_who_caused_them_and_tenants_do_not_meet(uno: Uno) -> None:
    with event_context(tenant="acme", principal=Principal("u-7"), correlation_id="talk-1"):
        await uno.append("counter-1", Counted(n=1))
        recorded = [r async for r in uno.read("counter-1")]
    assert [(r.tenant, r.metadata.principal, r.metadata.correlation_id) for r in recorded] == [
        ("acme", Principal("u-7"), "talk-1")
    ]
    assert [r async for r in uno.read("counter-1")] == []
    begun = await uno.append("counter-1", Counted(n=2))
    [own] = [r async for r in uno.read("counter-1")]
    assert own.metadata.correlation_id == str(begun.event_ids[0])


async def test_an_event_that_no_module_declares_is_named_when_read(uno: Uno) -> None:
    await uno.append("counter-1", Unheard(n=1))
    with pytest.raises(UnknownEventType, match=r"'Unheard' at position 1.*load the module"):
        [r async for r in uno.read("counter-1")]
    assert [r async for r in uno.read_all(types=[Counted])] == []


async def test_a_follower_reads_up_to_the_bound_that_it_waited_for(uno: Uno, database: str) -> None:
    """A run of committed positions proves itself, although an older appender still holds readers back by its ticket: judged
    again, the bound would be lower, and what lies between be skipped."""
    appender = await asyncpg.connect(database)
    first = await uno.append("counter-1", Counted(n=0))
    following = aiter(uno.follow(types=[Counted]))
    assert (await anext(following)).position == first.positions[0]
    async with appender.transaction():
        # a statement that inserts nothing takes its ticket, and draws no position
        await appender.execute("insert into uno.events (tenant) select '' where false")
        second = await uno.append("counter-2", Counted(n=1))
        async with asyncio.timeout(LIMIT):
            assert (await anext(following)).position == second.positions[0]
        assert await uno.store.events.bound() < second.positions[0]
        third = await uno.append("counter-3", Counted(n=2), tx=appender)
    async with asyncio.timeout(LIMIT):
        assert (await anext(following)).position == third.positions[0]
    await following.aclose()  # type: ignore[attr-defined]  (it is a generator)
    await appender.close()


async def test_a_follower_under_load_sees_every_event_once_and_in_order(uno: Uno, database: str) -> None:
    seen: list[int] = []
    settings = Settings(database_url=database)

    async def follow() -> None:
        async with Uno.connect(settings) as reader:
            watching = Uno(settings, Catalogue(events=EventRegistry([Counted])), reader.store)
            async for recorded in watching.follow(types=[Counted]):
                seen.append(recorded.position)

    async def append(writer: int) -> None:
        for n in range(60):
            async with uno.transaction() as tx:
                await uno.append(f"counter-{writer}-{n}", [Counted(n=n)] * (1 + n % 3), tx=tx)

    following = asyncio.create_task(follow())
    await asyncio.gather(*(append(writer) for writer in range(8)))
    expected = 8 * sum(1 + n % 3 for n in range(60))
    async with asyncio.timeout(LIMIT):
        while len(seen) < expected and not following.done():
            await asyncio.sleep(0.01)
    following.cancel()
    await asyncio.wait([following])
    assert len(seen) == expected
    assert seen == sorted(set(seen))


async def test_an_append_in_our_own_transaction_wakes_the_readers(uno: Uno) -> None:
    async with uno.store.tail() as tail:
        before = await uno.store.events.bound()
        waiting = asyncio.create_task(tail.wait_beyond(before, seconds=LIMIT))
        async with uno.transaction() as tx:
            await uno.append("counter-1", Counted(n=1), tx=tx)
        assert tx.appended  # type: ignore[attr-defined]  (what has the commit wake readers, without waiting for the next look)
        assert await waiting == before + 1
