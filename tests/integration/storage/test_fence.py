"""Nobody skips an event, and nobody waits for a stranger: scenarios 14–25 of the reliability study."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from apps.defining import HAPPENED, define
from patience import LIMIT

from uno_workflows.events.encoding import to_new_events
from uno_workflows.events.names import NO_STREAM
from uno_workflows.events.subscriptions import Delivered
from uno_workflows.storage import doctor
from uno_workflows.storage.migrations import migrate
from uno_workflows.storage.settings import StoreSettings
from uno_workflows.storage.store import PostgresStore


@pytest.fixture
def appender(store, write, connect):
    """Opens a transaction that has appended `count` events and is not over."""

    async def begin(stream: str, count: int = 1):
        connection = await connect()
        transaction = connection.transaction()
        await transaction.start()
        made = (await store.events.append([write(stream, count)], tx=connection))[0]
        return connection, transaction, made

    return begin


async def readable(store, after: int = 0) -> list[int]:
    return [event.position async for event in store.events.read_all(after=after)]


async def test_an_event_that_commits_after_a_later_one_is_not_passed(store, write, appender):
    """Scenario 14: begin order and commit order differ; scenario 15: the newer one waits for the older."""
    _, transaction, older = await appender("order-1")
    newer = (await store.events.append([write("order-2")]))[0]
    assert older.positions < newer.positions
    assert await store.events.bound() == 0
    assert await readable(store) == []
    await transaction.commit()
    assert await readable(store) == [*older.positions, *newer.positions]


async def test_readers_go_as_far_as_the_oldest_of_several_slow_appends(store, write, appender):
    """Scenario 16."""
    _, first, _ = await appender("order-1")
    await store.events.append([write("order-2")])
    _, second, _ = await appender("order-3", 3)
    await store.events.append([write("order-4")])
    assert await store.events.bound() == 0
    await first.commit()
    assert await store.events.bound() == 2
    assert await readable(store) == [1, 2]
    await second.rollback()
    assert await readable(store) == [1, 2, 6]


async def test_a_hole_left_by_a_rollback_holds_nobody(store, write, appender):
    """Scenario 17."""
    _, transaction, _ = await appender("order-1", 5)
    await transaction.rollback()
    await store.events.append([write("order-2")])
    assert await store.events.bound() == 6
    assert await readable(store) == [6]


async def test_the_bound_never_stands_inside_a_transaction(store, write, appender):
    """Scenario 18: a transaction becomes readable as a whole, and pages smaller than it lose none of it."""
    connection, transaction, _ = await appender("order-1", 3)
    await store.events.append([write("order-2")])
    await store.events.append([write("order-1", 3)], tx=connection)
    assert await store.events.bound() == 0
    await transaction.commit()
    assert await store.events.bound() == 7
    await define(store, "projection:All", start="beginning")
    lease, seen = await store.subscriptions.take_over("projection:All", owner="test"), []
    while lease.position < 7:
        page = await store.subscriptions.page(lease, bound=7, handles=HAPPENED, limit=2)
        seen += [event.position for event in page.events]
        lease = await store.subscriptions.advance(lease, page.upto, delivered=Delivered(()))
    assert seen == [1, 2, 3, 4, 5, 6, 7]


async def test_strangers_hold_nobody(store, write, connect):
    """Scenario 19: an open transaction that appended nothing, and advisory locks of somebody else, in any key space."""
    stranger, locker = await connect(), await connect()
    await stranger.execute("create table other (n int)")
    async with stranger.transaction():
        await stranger.execute("insert into other values (1)")
        await locker.execute("select pg_advisory_lock(0), pg_advisory_lock_shared(0, 0), pg_advisory_lock_shared(7)")
        await locker.execute("select pg_advisory_lock('uno.position_seq'::regclass::oid::int4, 4000)")
        await store.events.append([write("order-1", 2)])
        assert await store.events.bound() == 2


async def test_a_savepoint_that_is_rolled_back_neither_holds_nor_loses(store, write, connect):
    """Scenario 20: the first append of the transaction is undone with its lock, the next one takes another."""
    connection = await connect()
    transaction = connection.transaction()
    await transaction.start()
    savepoint = connection.transaction()
    await savepoint.start()
    await store.events.append([write("order-1", 2)], tx=connection)
    await savepoint.rollback()
    await store.events.append([write("order-2")])
    assert await store.events.bound() == 3
    await store.events.append([write("order-1")], tx=connection)
    await store.events.append([write("order-2")])
    assert await readable(store) == [3]
    await transaction.commit()
    assert await readable(store) == [3, 4, 5]


async def test_a_prepared_transaction_holds_readers_and_is_named(store, write, appender):
    """Scenario 21."""
    connection = (await appender("order-1"))[0]
    await connection.execute("prepare transaction 'forgotten'")
    await store.events.append([write("order-2")])
    assert await readable(store) == []
    holder = (await doctor.holders(store.database))[0]
    assert (holder.gid, holder.pid, holder.readers_stop_at, holder.state) == ("forgotten", None, 0, "prepared")
    await connection.execute("commit prepared 'forgotten'")
    assert await readable(store) == [1, 2]
    assert await doctor.holders(store.database) == []


async def test_a_run_without_a_gap_is_read_past_a_ticket_that_has_not_drawn(store, write, connect):
    """What is there is committed: a tail need not wait for who may only draw later positions, nor look at the locks."""
    slow = await connect()
    await slow.execute("begin; select pg_advisory_xact_lock_shared('uno.position_seq'::regclass::oid::int4, 0)")
    await store.events.append([write("order-1", 2)])
    assert await slow.fetchrow("select * from uno.frontier()") == (0, 2)
    assert await slow.fetchrow("select * from uno.frontier_from(0)") == (2, 2)
    assert await slow.fetchrow("select * from uno.frontier_from(0, 1)") == (1, 2)


async def test_the_first_event_of_a_new_log_is_not_covered_before_it_commits(store, appender):
    """Scenario 22: last_value of a fresh sequence would equal the position that is still open."""
    _, transaction, made = await appender("order-1")
    assert made.positions == (1,)
    assert await store.events.bound() == 0
    await transaction.commit()
    assert await store.events.bound() == 1


async def test_a_restarted_sequence_is_not_covered_before_it_commits(store, write, connect, appender):
    await store.events.append([write("order-1")])
    await (await connect()).execute("alter sequence uno.position_seq restart with 50")
    assert await store.events.bound() == 49
    _, transaction, made = await appender("order-2")
    assert (made.positions, await store.events.bound()) == ((50,), 49)
    await transaction.commit()
    assert await readable(store) == [1, 50]


async def test_the_doctor_finds_a_sequence_with_a_cache(store, connect):
    """Scenario 23: a cached sequence hands out positions behind the bound; the product refuses such a database."""
    assert all(finding.ok for finding in await doctor.examine(store.database))
    await (await connect()).execute("alter sequence uno.position_seq cache 20")
    failed = [finding for finding in await doctor.examine(store.database) if not finding.ok]
    assert [finding.name for finding in failed] == ["sequence hands out one position at a time"]
    assert "cache 1" in failed[0].advice


async def test_the_doctor_finds_a_disabled_fence(store, connect):
    await (await connect()).execute("alter table uno.events disable trigger fence")
    failed = [finding.name for finding in await doctor.examine(store.database) if not finding.ok]
    assert failed == ["fence is up"]


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
@pytest.mark.parametrize("function", ["frontier()", "frontier_from(0)"])
async def test_the_bound_is_refused_outside_of_read_committed(connect, isolation, function):
    """Scenario 24: one snapshot for all statements would lose what commits between them."""
    connection = await connect()
    async with connection.transaction():
        await connection.execute(f"set transaction isolation level {isolation}")
        with pytest.raises(asyncpg.PostgresError, match="READ COMMITTED"):
            await connection.fetchrow(f"select * from uno.{function}")
        await connection.execute("rollback; begin")


async def test_a_database_that_defaults_to_repeatable_read_is_read_rightly(database, write):
    admin = await asyncpg.connect(database)
    name = await admin.fetchval("select current_database()")
    await admin.execute(f"alter database {name} set default_transaction_isolation = 'repeatable read'")
    await admin.close()
    async with PostgresStore.open(database, encode=to_new_events) as store:
        await store.events.append([write("order-1")])
        assert await readable(store) == [1]
        async with store.subscriptions.transaction() as tx:
            assert (await tx.execute("show transaction_isolation")).scalar_one() == "read committed"


async def test_two_stores_in_one_database_do_not_touch_each_other(store, database, write, appender):
    """Scenario 25."""
    await migrate(database, schema="second")
    async with PostgresStore.open(database, schema="second", encode=to_new_events) as second:
        connection, transaction, _ = await appender("order-1")
        assert (await second.events.append([write("order-1", expected=NO_STREAM)]))[0].positions == (1,)
        await second.events.append([write("order-2")], tx=connection)
        await store.events.append([write("order-2")])
        assert (await store.events.bound(), await second.events.bound()) == (0, 1)
        await transaction.commit()
        assert (await store.events.bound(), await second.events.bound()) == (2, 2)
        assert await store.events.epoch() != await second.events.epoch()


async def test_rows_inserted_beside_the_function_are_fenced_too(store, write, connect):
    columns = ["version", "event_id", "schema_version", "bucket", "tenant", "stream_id", "type", "correlation_id", "payload"]
    connection = await connect()
    async with connection.transaction():
        rows = [(1, write("x").events[0].id, 1, 1, "", f"copied-{n}", "T", "c", b"{}", b"{}") for n in range(3)]
        await connection.copy_records_to_table("events", schema_name="uno", columns=[*columns, "metadata"], records=rows)
        await store.events.append([write("order-1")])
        assert await store.events.bound() == 0
    assert await readable(store) == [1, 2, 3, 4]


async def test_a_transaction_of_many_appends_holds_one_lock(store, write, connect):
    connection = await connect()
    async with connection.transaction():
        for n in range(50):
            await store.events.append([write(f"order-{n}")], tx=connection)
        assert len(await doctor.holders(store.database)) == 1
        assert (await doctor.holders(store.database))[0].pid == connection.get_server_pid()


async def test_a_tail_wakes_for_appends_here_and_elsewhere(database, write):
    never = StoreSettings(poll=60)
    async with (
        PostgresStore.open(database, encode=to_new_events, settings=never) as here,
        here.tail() as tail,
        PostgresStore.open(database, encode=to_new_events) as elsewhere,
    ):
        waiting = asyncio.create_task(tail.wait_beyond(0, seconds=LIMIT))
        await here.events.append([write("order-1")])
        assert await waiting == 1
        waiting = asyncio.create_task(tail.wait_beyond(1, seconds=LIMIT))
        await elsewhere.events.append([write("order-1", 2)])
        assert await waiting == 3


@pytest.mark.parametrize("fails", [False, True])
async def test_a_program_that_ends_right_after_its_append_wakes_others(database, write, fails):
    async def program() -> None:
        async with PostgresStore.open(database, encode=to_new_events) as ends:
            await ends.events.append([write("order-1")])
            if fails:
                raise ValueError("of the test")

    never = StoreSettings(poll=60)
    async with PostgresStore.open(database, encode=to_new_events, settings=never) as here, here.tail() as tail:
        waiting = asyncio.create_task(tail.wait_beyond(0, seconds=LIMIT))
        await asyncio.gather(program(), return_exceptions=True)
        assert await waiting == 1


async def test_a_tail_that_nothing_wakes_polls(store, write, connect):
    async with store.tail() as tail:
        connection = await connect()
        waiting = asyncio.create_task(tail.wait_beyond(0, seconds=LIMIT))
        async with connection.transaction():
            await store.events.append([write("order-1")], tx=connection)
        assert await waiting == 1


async def test_a_tail_gives_the_bound_when_time_is_up(store, write):
    await store.events.append([write("order-1")])
    async with store.tail() as tail:
        assert await tail.wait_beyond(1, seconds=0.01) == 1


async def test_a_tail_waits_for_an_open_append_and_moves_when_it_ends(store, write, appender):
    """Scenario 35: the head is reached while appends go on."""
    async with store.tail() as tail:
        _, transaction, _ = await appender("order-1")
        await store.events.append([write("order-2")])
        waiting = asyncio.create_task(tail.wait_beyond(0, seconds=LIMIT))
        await transaction.commit()
        assert await waiting == 2
