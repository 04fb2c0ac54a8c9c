"""Appending: scenarios 1–13 of the reliability study."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from patience import LIMIT

from uno_workflows.events.encoding import to_new_events
from uno_workflows.events.errors import (
    DuplicateEventId,
    InvalidArgument,
    InvalidEvent,
    StoreRefused,
    StoreUnavailable,
    StreamClosed,
    WrongExpectedVersion,
)
from uno_workflows.events.names import ANY, NO_STREAM, STREAM_EXISTS
from uno_workflows.storage.appending import Appending
from uno_workflows.storage.pool import Database
from uno_workflows.storage.settings import StoreSettings
from uno_workflows.storage.store import PostgresStore


async def versions(store: PostgresStore, stream: str, tenant: str = "") -> list[int]:
    return [event.version async for event in store.events.read_stream(tenant, stream)]


async def test_append_numbers_a_stream_from_one_and_the_log_from_one(store, write):
    first = (await store.events.append([write("order-1", 2)]))[0]
    second = (await store.events.append([write("order-1")]))[0]
    assert (first.first_version, first.last_version, first.positions, first.replayed) == (1, 2, (1, 2), False)
    assert (second.first_version, second.last_version, second.positions) == (3, 3, (3,))


async def test_an_append_of_nothing_does_nothing(store):
    assert await store.events.append([]) == []


async def test_an_append_that_was_done_but_timed_out_is_found_when_retried(store, write, monkeypatch):
    """Scenario 1: the answer to a commit is lost; the append itself asks again and reports the first result."""
    once, lost = Appending._append_once, [True]

    async def loses_the_first_answer(self, writes):
        made = await once(self, writes)
        if lost:
            raise StoreUnavailable(f"lost {lost.pop()}")
        return made

    monkeypatch.setattr(Appending, "_append_once", loses_the_first_answer)
    made = (await store.events.append([write("order-1", 2, expected=NO_STREAM)]))[0]
    assert (made.first_version, made.positions, made.replayed) == (1, (1, 2), True)
    assert await versions(store, "order-1") == [1, 2]


@pytest.mark.parametrize("expected", [ANY, NO_STREAM])
async def test_a_retry_while_the_first_attempt_is_open_waits_and_gets_its_result(store, write, connect, blocked, expected):
    """Scenario 2."""
    batch, connection = write("order-1", 2, expected=expected), await connect()
    transaction = connection.transaction()
    await transaction.start()
    first = await store.events.append([batch], tx=connection)
    retry = asyncio.create_task(store.events.append([batch]))
    await blocked()
    await transaction.commit()
    second = await retry
    assert second[0].replayed
    assert second[0].positions == first[0].positions


async def test_a_retry_after_the_first_attempt_was_rolled_back_is_a_first_attempt(store, write, connect, blocked):
    """Scenario 3."""
    batch, connection = write("order-1", 2, expected=NO_STREAM), await connect()
    transaction = connection.transaction()
    await transaction.start()
    await store.events.append([batch], tx=connection)
    retry = asyncio.create_task(store.events.append([batch]))
    await blocked()
    await transaction.rollback()
    assert not (await retry)[0].replayed
    assert await versions(store, "order-1") == [1, 2]


async def test_a_retry_is_judged_before_the_expected_version(store, write):
    await store.events.append([write("order-1", 3)])
    batch = write("order-1", 2, expected=3)
    first = (await store.events.append([batch]))[0]
    await store.events.append([write("order-1")])
    again = (await store.events.append([batch]))[0]
    assert (again.replayed, again.positions, again.first_version) == (True, first.positions, 4)
    assert await versions(store, "order-1") == [1, 2, 3, 4, 5, 6]


async def test_the_same_id_with_another_body_is_refused(store, write, event):
    """Scenario 4: another body, another type, another stream, and the same stream once more in a new place."""
    first = event(payload=b'{"n":1}')
    await store.events.append([write("order-1", [first])])
    other = type(first)(first.id, first.type, 1, b'{"n":2}', b"{}")
    renamed = type(first)(first.id, "Other", 1, first.payload, b"{}")
    for batch in (write("order-1", [other]), write("order-1", [renamed]), write("order-2", [first])):
        with pytest.raises(DuplicateEventId) as caught:
            await store.events.append([batch])
        assert caught.value.event_ids == (first.id,)
    assert await versions(store, "order-1") == [1]
    assert await versions(store, "order-2") == []
    assert (await store.events.append([write("order-2", expected=NO_STREAM)]))[0].first_version == 1


async def test_a_batch_of_which_half_is_known_is_refused(store, write, event):
    """Scenario 5: also when the order is another, or when the known ones were not neighbours."""
    a, b, c = event(), event(), event()
    await store.events.append([write("order-1", [a, b])])
    for events in ([a, c], [b, a]):
        with pytest.raises(DuplicateEventId):
            await store.events.append([write("order-1", events)])
    await store.events.append([write("order-1", [c])])
    with pytest.raises(DuplicateEventId):
        await store.events.append([write("order-1", [a, c])])
    assert await versions(store, "order-1") == [1, 2, 3]


async def test_events_that_are_all_stored_side_by_side_are_a_retry_whatever_their_batches(store, write, event):
    """ADR 0037: events are known by their ids, and the log keeps no batches: a part and a union tell the same facts."""
    a, b, c = event(), event(), event()
    first = (await store.events.append([write("order-1", [a, b])]))[0]
    second = (await store.events.append([write("order-1", [c])]))[0]
    for batch, positions in (
        ([a], first.positions[:1]),
        ([b, c], (first.positions[1], *second.positions)),
        ([a, b, c], (1, 2, 3)),
    ):
        again = (await store.events.append([write("order-1", batch, expected=NO_STREAM)]))[0]
        assert (again.replayed, again.positions) == (True, positions)
    with pytest.raises(DuplicateEventId, match="only some of these events are stored"):
        await store.events.append([write("order-1", [c, event()])])
    assert await versions(store, "order-1") == [1, 2, 3]


async def test_events_of_several_streams_stand_in_the_order_given(store, write, connect):
    """Cause before effect, whatever the names of the streams."""
    given = ["order-9", "payment-1", "order-1", "audit-5", "payment-0"]
    made = await store.events.append([write(name, 2) for name in given])
    assert [one.positions for one in made] == [(n, n + 1) for n in range(1, 11, 2)]
    assert [event.stream_id async for event in store.events.read_all()] == [name for name in given for _ in range(2)]
    connection = await connect()
    async with connection.transaction():
        await store.events.append([write(name) for name in given[::-1]], tx=connection)
        tickets = "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"
        assert await connection.fetchval(tickets) == 1
    assert [event.stream_id async for event in store.events.read_all(after=10)] == given[::-1]


async def test_new_streams_in_opposite_orders_do_not_deadlock_and_readers_miss_nothing(store, write, connect):
    seen: list[int] = []
    rounds, names = 25, [f"s-{n}" for n in range(6)]

    async def writer(step: int) -> None:
        for turn in range(rounds):
            made = await store.events.append([write(f"{name}-{turn}") for name in names[::step]])
            positions = [one.positions[0] for one in made]
            assert positions == sorted(positions)

    async def reader() -> None:
        after = 0
        while len(seen) < 4 * rounds * len(names):
            bound = await store.events.bound()
            seen.extend([event.position async for event in store.events.read_all(after=after, upto=bound)])
            after = max(after, bound)  # it falls back while somebody has just drawn a ticket

    async with asyncio.timeout(LIMIT):
        await asyncio.gather(writer(1), writer(-1), writer(1), writer(-1), reader())
    assert seen == sorted(set(seen))
    deadlocks = "select deadlocks from pg_stat_database where datname = current_database()"
    assert await (await connect()).fetchval(deadlocks) == 0


async def test_of_many_who_expect_no_stream_one_wins(store, write):
    """Scenario 6."""
    tries = [store.events.append([write("order-1", expected=NO_STREAM)]) for _ in range(8)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    conflicts = [result for result in results if isinstance(result, WrongExpectedVersion)]
    assert len(conflicts) == 7
    assert {conflict.actual for conflict in conflicts} == {1}
    assert await versions(store, "order-1") == [1]


async def test_eight_writers_of_any_version_leave_no_hole(store, write):
    """Scenario 7."""

    async def writer() -> None:
        for _ in range(10):
            await store.events.append([write("order-1", 2)])

    await asyncio.gather(*(writer() for _ in range(8)))
    assert await versions(store, "order-1") == list(range(1, 161))


async def test_appends_to_the_same_streams_in_opposite_order_do_not_deadlock(store, write):
    """Scenario 8."""
    names = ["order-1", "order-2", "order-3"]

    async def writer(order: list[str]) -> None:
        for _ in range(15):
            made = await store.events.append([write(name) for name in order])
            assert [appended.stream_id for appended in made] == order

    await asyncio.gather(writer(names), writer(names[::-1]), writer(names), writer(names[::-1]))
    for name in names:
        assert await versions(store, name) == list(range(1, 61))


async def test_one_bad_event_of_a_hundred_stores_none(store, write, event):
    """Scenario 9: the type is missing, which only the database sees."""
    events = [event() for _ in range(100)]
    events[70] = type(events[70])(events[70].id, None, 1, b"{}", b"{}")
    with pytest.raises(StoreRefused, match="null value in column"):
        await store.events.append([write("order-1", events)])
    assert await versions(store, "order-1") == []
    assert (await store.events.append([write("order-1", 1, expected=NO_STREAM)]))[0].first_version == 1


async def test_one_stream_of_several_in_conflict_stores_none(store, write):
    await store.events.append([write("order-2")])
    with pytest.raises(WrongExpectedVersion):
        await store.events.append([write("order-1"), write("order-2", expected=NO_STREAM), write("order-3")])
    assert await store.events.bound() >= 1
    assert [event.stream_id async for event in store.events.read_all()] == ["order-2"]


@pytest.mark.parametrize("statement", ["update uno.events set type = 'Other'", "delete from uno.events", "truncate uno.events"])
async def test_events_are_never_changed_or_removed(store, write, connect, statement):
    """Scenario 10: not even by a session that replays for a replica."""
    await store.events.append([write("order-1")])
    connection = await connect()
    for role in ("origin", "replica"):
        await connection.execute(f"set session_replication_role = {role}")
        with pytest.raises(asyncpg.PostgresError, match="never changed"):
            await connection.execute(statement)


async def test_a_cancelled_append_leaves_no_dirty_connection_in_the_pool(database, write, connect, blocked):
    """Scenario 12: a pool of one connection serves right answers after a call on it was cancelled."""
    settings = StoreSettings(pool_size=1)
    async with PostgresStore.open(database, encode=lambda *_: None, settings=settings) as store:
        connection = await connect()
        async with connection.transaction():
            await store.events.append([write("order-1")], tx=connection)
            waiting = asyncio.create_task(store.events.append([write("order-1")]))
            await blocked()
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert await store.events.bound() == 0
            assert (await store.events.append([write("order-2")]))[0].stream_id == "order-2"
        assert await versions(store, "order-1") == [1]


async def test_versions_and_positions_grow_beyond_32_bits(store, write, connect):
    """Scenario 13."""
    connection = await connect()
    await store.events.append([write("order-1")])
    await connection.execute("update uno.streams set version = 2147483646")
    await connection.execute("select setval('uno.position_seq', 4294967294)")
    made = (await store.events.append([write("order-1", 4, expected=2147483646)]))[0]
    assert (made.first_version, made.last_version) == (2147483647, 2147483650)
    assert made.positions == (4294967295, 4294967296, 4294967297, 4294967298)
    assert await store.events.bound() == 4294967298
    assert [event.version async for event in store.events.read_stream("", "order-1", from_version=2147483649)] == [
        2147483649,
        2147483650,
    ]


@pytest.mark.parametrize(
    ("stored", "expected", "actual"), [(0, STREAM_EXISTS, 0), (0, 3, 0), (2, NO_STREAM, 2), (2, 1, 2), (2, 3, 2)]
)
async def test_append_with_a_wrong_expected_version_says_what_it_is(store, write, stored, expected, actual):
    if stored:
        await store.events.append([write("order-1", stored)])
    with pytest.raises(WrongExpectedVersion) as caught:
        await store.events.append([write("order-1", expected=expected)])
    assert (caught.value.expected, caught.value.actual) == (expected, actual)
    assert await versions(store, "order-1") == list(range(1, stored + 1))


@pytest.mark.parametrize("expected", [-3, -(2**63), 2**63])
async def test_an_expected_version_that_is_neither_a_version_nor_a_constant_is_refused(store, write, expected):
    with pytest.raises(InvalidArgument, match=f"expected_version: {expected} is not from -2"):
        await store.events.append([write("order-1", expected=expected)])
    assert await versions(store, "order-1") == []


@pytest.mark.parametrize("expected", [ANY, STREAM_EXISTS, 2])
async def test_append_with_a_right_expected_version_is_stored(store, write, expected):
    await store.events.append([write("order-1", 2)])
    assert (await store.events.append([write("order-1", expected=expected)]))[0].first_version == 3


async def test_a_closed_stream_takes_no_more_but_still_knows_a_retry(store, write, connect):
    batch = write("order-1")
    await store.events.append([batch])
    await (await connect()).execute("update uno.streams set closed_at = now()")
    for expected in (ANY, NO_STREAM, STREAM_EXISTS, 1):
        with pytest.raises(StreamClosed):
            await store.events.append([write("order-1", expected=expected)])
    assert (await store.events.append([batch]))[0].replayed


async def test_tenants_share_neither_streams_nor_ids(store, write, event):
    same = event()
    first = (await store.events.append([write("order-1", [same], tenant="acme", expected=NO_STREAM)]))[0]
    second = (await store.events.append([write("order-1", [same], tenant="beta", expected=NO_STREAM)]))[0]
    assert not second.replayed
    assert first.positions != second.positions
    assert (await store.events.append([write("order-1", [same], tenant="acme")]))[0].replayed
    assert await versions(store, "order-1", "acme") == [1]
    assert await versions(store, "order-1") == []


async def test_an_append_of_more_than_ten_thousand_events_is_refused(store, write, event):
    with pytest.raises(InvalidEvent, match="10,000"):
        await store.events.append([write("order-1", [event()] * 10_001)])
    with pytest.raises(InvalidEvent, match="no event"):
        await store.events.append([write("order-1", [])])


async def test_an_append_of_ten_thousand_events_is_one_lock_and_keeps_their_order(store, write):
    batch = write("order-1", 10_000)
    made = (await store.events.append([batch]))[0]
    assert made.positions == tuple(range(1, 10_001))
    read = [event.id async for event in store.events.read_stream("", "order-1")]
    assert read == [event.id for event in batch.events]


async def test_the_same_id_twice_in_a_batch_is_refused(store, write, event):
    same = event()
    with pytest.raises(DuplicateEventId):
        await store.events.append([write("order-1", [same, same])])


async def test_one_id_for_two_streams_at_the_same_moment_is_stored_once(store, write, event):
    same = event()
    tries = [store.events.append([write(f"order-{n}", [same])]) for n in range(6)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(result, DuplicateEventId) for result in results) == 5
    assert len([event async for event in store.events.read_all()]) == 1


async def test_append_is_durable_even_where_commits_are_not(store, write, connect):
    connection = await connect()
    await connection.execute("set synchronous_commit = off")
    async with connection.transaction():
        await store.events.append([write("order-1")], tx=connection)
        assert await connection.fetchval("show synchronous_commit") == "on"
    assert await connection.fetchval("show synchronous_commit") == "off"


@pytest.fixture
def pauses(monkeypatch) -> list[float]:
    """The waits between attempts, which take no time here."""
    drawn: list[float] = []
    monkeypatch.setattr("uno_workflows.storage.appending._PAUSES", (0.1, 0.2))
    monkeypatch.setattr("uno_workflows.storage.appending.jittered", lambda seconds: drawn.append(seconds) or 0.0)
    return drawn


async def test_an_append_that_was_never_sent_says_that_nothing_was_stored(store, write, monkeypatch, pauses):
    def refused(_):
        raise ConnectionRefusedError(111, "connection refused")

    monkeypatch.setattr(Database, "connection", refused)
    with pytest.raises(StoreUnavailable, match=r"connection refused; nothing was stored$"):
        await store.events.append([write("order-1")])
    assert pauses == [0.1, 0.2]


async def test_append_gives_up_with_a_message_that_says_the_ids_may_be_sent_again(store, write, monkeypatch, pauses):
    async def lost(*_, **__):
        raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")

    monkeypatch.setattr(asyncpg.Connection, "fetchrow", lost)
    with pytest.raises(StoreUnavailable, match=r"whether the events were stored is not known.*same ids is safe"):
        await store.events.append([write("order-1")])
    assert pauses == [0.1, 0.2]


async def test_a_server_that_is_read_only_has_stored_nothing(database, write, pauses):
    read_only = f"{database}{'&' if '?' in database else '?'}default_transaction_read_only=on"
    async with PostgresStore.open(read_only, encode=to_new_events) as standby:
        for writes in ([write("order-1")], [write("order-1"), write("order-2")]):
            with pytest.raises(StoreUnavailable, match=r"read-only transaction; nothing was stored$") as caught:
                await standby.events.append(writes)
            assert not caught.value.may_be_stored
        assert [event async for event in standby.events.read_stream("", "order-1")] == []


async def test_a_role_that_may_not_append_is_told_at_once_that_nothing_was_stored(database, write, connect, pauses):
    owner = await connect()
    await owner.execute("create role reader login password 'p'; grant usage on schema uno to reader")
    await owner.execute("grant select on all tables in schema uno to reader")
    host = database.partition("@")[2]
    try:
        async with PostgresStore.open(f"postgresql://reader:p@{host}", encode=to_new_events) as reader:
            with pytest.raises(StoreRefused, match=r"permission denied for .*; grant it to the role.*; nothing was stored$"):
                await reader.events.append([write("order-1")])
            assert [event async for event in reader.events.read_stream("", "order-1")] == []
    finally:
        await owner.execute("drop owned by reader; drop role reader")
    assert pauses == []
