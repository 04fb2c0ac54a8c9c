"""Reading streams and the whole log, and exact bytes."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from uno_workflows.events.ids import new_event_id
from uno_workflows.events.names import TENANT_BYTES, EventType, StreamId
from uno_workflows.events.recorded import NewEvent, StreamAppend
from uno_workflows.storage import reading


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(reading, "_BATCH", 3)
    monkeypatch.setattr(reading, "_WINDOW", 5)


async def read(made) -> list[int]:
    return [event.version async for event in made]


@pytest.mark.usefixtures("small_batches")
async def test_a_stream_is_read_in_both_directions_from_any_version(store, write):
    await store.events.append([write("order-1", 10)])
    await store.events.append([write("order-2", 2)])

    def versions(**how):
        return read(store.events.read_stream("", "order-1", **how))

    assert await versions() == list(range(1, 11))
    assert await versions(backwards=True) == list(range(10, 0, -1))
    assert await versions(from_version=8) == [8, 9, 10]
    assert await versions(from_version=4, backwards=True) == [4, 3, 2, 1]
    assert await versions(limit=4) == [1, 2, 3, 4]
    assert await versions(limit=4, backwards=True) == [10, 9, 8, 7]
    assert await versions(limit=0) == []
    assert await versions(from_version=11) == []
    assert await read(store.events.read_stream("acme", "order-1")) == []


@pytest.mark.usefixtures("small_batches")
async def test_the_log_is_read_by_position_and_type(store, write):
    for n in range(12):
        await store.events.append([write(f"order-{n}", 1, type_="Even" if n % 2 else "Odd")])

    async def positions(**how):
        return [event.position async for event in store.events.read_all(**how)]

    assert await positions() == list(range(1, 13))
    assert await positions(after=3, upto=9) == [4, 5, 6, 7, 8, 9]
    assert await positions(types={"Even"}) == [2, 4, 6, 8, 10, 12]
    assert await positions(types={"Even"}, after=2, limit=4) == [4, 6, 8, 10]
    assert await positions(types={"Never"}) == []
    assert await positions(types=[]) == []
    assert await positions(upto=1_000_000, limit=2) == [1, 2]


async def test_single_events_are_loaded_by_position(store, write):
    await store.events.append([write("order-1", 3)])
    assert [event.position for event in await store.events.load([3, 99, 1])] == [1, 3]
    assert await store.events.load([]) == []


async def test_an_event_comes_back_with_all_that_is_known_of_it(store, write):
    batch = write("order-1", 1, tenant="acme")
    made = (await store.events.append([batch]))[0]
    stored = (await store.events.load(made.positions))[0]
    sent = batch.events[0]
    assert (stored.tenant, stored.stream_id, stored.version, stored.position) == ("acme", "order-1", 1, made.positions[0])
    assert (stored.id, stored.type, stored.schema_version) == (sent.id, sent.type, 1)
    assert (stored.payload, stored.metadata) == (sent.payload, sent.metadata)
    assert stored.recorded_at.utcoffset().total_seconds() == 0


names = (
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf", "Zl", "Zp"]), min_size=1, max_size=60).map(str.strip).filter(bool)
)


@given(
    stream=names,
    tenant=names.filter(lambda name: len(name.encode()) <= TENANT_BYTES) | st.just(""),
    bodies=st.lists(
        st.tuples(st.binary(max_size=300), st.binary(max_size=60), st.integers(1, 32767), names), min_size=1, max_size=8
    ),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_what_is_appended_comes_back_byte_for_byte(store, stream, tenant, bodies):
    events = [NewEvent(new_event_id(), EventType(name), version, body, meta) for body, meta, version, name in bodies]
    made = (await store.events.append([StreamAppend(tenant, StreamId(stream), -2, events, "c")]))[0]
    back = [event async for event in store.events.read_stream(tenant, stream, from_version=made.first_version)]
    assert [(e.id, e.type, e.schema_version, e.payload, e.metadata) for e in back] == [
        (e.id, e.type, e.schema_version, e.payload, e.metadata) for e in events
    ]
