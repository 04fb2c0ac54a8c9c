"""The auditor: what a subscription handled is held against the log, without the fence, and what it missed is named."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from uuid import uuid4

import pytest
from apps.defining import define
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from patience import LIMIT

from uno_workflows.events.errors import LostLease
from uno_workflows.events.subscriptions import Delivered
from uno_workflows.processing.auditor import Auditor
from uno_workflows.storage.gauges import read_gauges

NAME = "projection:Revenue"
TYPES = {"Happened": ""}


@dataclass
class Reader:
    """A pump by hand: each call handles one page."""

    store: object
    name: str = NAME
    lease: object = None
    handles: Mapping[str, str] = field(default_factory=lambda: TYPES)

    async def take_over(self) -> Reader:
        await define(self.store, self.name, TYPES)
        self.lease = await self.store.subscriptions.take_over(self.name, owner="test")
        return self

    async def page(self, upto=None, *, without=(), more=()) -> None:
        """Read to a position (else the bound) and move on; it may forget events, and make some up."""
        bound = upto or await self.store.events.bound()
        page = await self.store.subscriptions.page(self.lease, bound=bound, handles=self.handles, limit=1000)
        events = [(event.position, event.id) for event in page.events if event.position not in without] + list(more)
        await self.move(page.upto, Delivered(sorted(events)))

    async def want(self, *types) -> None:
        """Be defined anew, so that it reads exactly these."""
        self.handles = dict.fromkeys(types, "")
        await define(self.store, self.name, self.handles, explicit=True)
        self.lease = await self.store.subscriptions.take_over(self.name, owner="test")

    async def move(self, to, delivered) -> None:
        self.lease = await self.store.subscriptions.advance(self.lease, to, delivered=delivered)


@pytest.fixture
async def reader(store):
    return await Reader(store).take_over()


@pytest.fixture
def audited(store, until):
    """Has the auditor look until no page waits any more; returns what it found, shortened.

    The server has writers of its own, which may delay a page a little: it gathers statistics.
    """

    async def look():
        found = []
        auditor = Auditor(store.audits, found=found.append)

        async def nothing_waits():
            await auditor.look()
            return not any(one.waiting.pages for one in await store.audits.statuses())

        await until(nothing_waits)
        return [(one.kind, one.after, one.upto, list(one.missing), list(one.extra)) for one in found]

    return look


async def status(store, name=NAME):
    found = [one for one in await store.audits.statuses() if one.subscription == name and one.current]
    assert len(found) == 1
    return found[0]


async def move_and_fail(store, lease, to, delivered):
    """As a batch whose handler raises, or whose process dies."""
    async with store.subscriptions.transaction() as tx:
        await store.subscriptions.advance(lease, to, delivered=delivered, tx=tx)
        raise KeyError


async def kept(connect):
    return await (await connect()).fetchval("select count(*) from uno.delivered_pages")


# -- what agrees


async def test_pages_that_agree_are_merged_into_one_row(store, reader, audited, write, connect):
    for _ in range(5):
        await store.events.append([write("order-1", 3), write("order-2", 2, type_="Other")])
        await reader.page()
    assert await kept(connect) == 5
    assert await audited() == []
    proven = await status(store)
    assert (proven.after, proven.upto, proven.pages, proven.events) == (0, 25, 5, 15)
    assert (await kept(connect), await (await connect()).fetchval("select count(*) from uno.delivery_audits")) == (0, 1)
    assert (proven.waiting.pages, proven.unrecorded) == (0, None)


async def test_a_page_without_events_is_proven_too(store, reader, audited, write):
    await store.events.append([write("order-1", 3, type_="Other")])
    await reader.page()
    assert await audited() == []
    assert (await status(store)).upto == 3


async def test_a_page_claims_only_the_types_that_were_wanted_then(store, reader, audited, write):
    await store.events.append([write("order-1", 2), write("order-2", 2, type_="Other")])
    await reader.page(4)
    await store.events.append([write("order-1", 2), write("order-2", 2, type_="Other")])
    await reader.want("Happened", "Other")
    await reader.page(8)
    assert await audited() == []
    assert ((await status(store)).pages, (await status(store)).events) == (2, 6)


async def test_a_page_is_held_against_the_definition_and_not_against_what_its_pump_read(store, reader, audited, write, connect):
    """What a pump of other code left out, by what it wanted itself, was invisible to the auditor once."""
    await store.events.append([write("order-1"), write("order-2", type_="Other")])
    await reader.want("Happened", "Other")
    await (await connect()).execute("update uno.subscription_types set from_position = 0")
    await reader.move(2, Delivered([(1, (await store.events.load([1]))[0].id)]))
    assert await audited() == [("difference", 0, 2, [2], [])]
    assert list((await store.audits.findings())[0].types) == ["Happened", "Other"]


async def test_a_type_that_is_taken_away_and_given_back_counts_only_in_between(store, reader, audited, write):
    await reader.want("Happened", "Other")
    await store.events.append([write("order-1"), write("order-2", type_="Other")])
    await reader.page()
    await reader.want("Happened")
    await store.events.append([write("order-1"), write("order-2", type_="Other")])
    await reader.page()
    await reader.want("Happened", "Other")
    await store.events.append([write("order-1"), write("order-2", type_="Other")])
    await reader.page()
    assert await audited() == []
    assert (await status(store)).events == 5
    ranges = (await store.definitions.ranges())[NAME]
    assert [(one.type, str(one)) for one in ranges] == [("Happened", "1–"), ("Other", "1–2"), ("Other", "5–")]


async def test_a_page_of_before_definitions_is_held_against_what_it_says_itself(store, reader, audited, write, connect):
    await store.events.append([write("order-1"), write("order-2", type_="Other")])
    await reader.page()
    statement = "update uno.delivered_pages set generation = null, types_before = $1"
    await (await connect()).execute(statement, ["Happened", "Other"])
    assert await audited() == [("difference", 0, 2, [2], [])]


async def test_a_checkpoint_that_stays_leaves_no_page(store, reader, connect):
    """The dispatcher writes its runs with the checkpoint, which need not move."""
    await reader.move(0, Delivered())
    assert await kept(connect) == 0


async def test_a_page_commits_with_its_checkpoint_or_not_at_all(store, reader, write, connect):
    await store.events.append([write("order-1")])

    with pytest.raises(KeyError):
        await move_and_fail(store, reader.lease, 1, Delivered())
    stale = replace(reader.lease, term=0)
    with pytest.raises(LostLease):
        await store.subscriptions.advance(stale, 1, delivered=Delivered())
    assert await kept(connect) == 0


async def test_an_event_that_an_operator_skipped_is_accounted_for(store, reader, audited, write):
    await store.events.append([write("order-1", 3)])
    await store.subscriptions.halt(reader.lease, position=2, reason="broken")
    await store.subscriptions.resume(NAME, skip=True)
    await reader.page()
    assert await audited() == []
    assert (await status(store)).events == 2


async def test_an_event_that_was_handled_and_skipped_later_is_no_difference(store, reader, audited, write):
    """A pump that starts again from its checkpoint may fail at what went well before."""
    await store.events.append([write("order-1", 3)])
    await reader.page()
    await store.subscriptions.halt(reader.lease, position=2, reason="broken")
    await store.subscriptions.resume(NAME, skip=True)
    assert await audited() == []
    assert (await status(store)).events == 3


async def test_pages_join_over_a_take_over(store, reader, audited, write):
    await store.events.append([write("order-1", 4)])
    await reader.page(2)
    await reader.take_over()
    await reader.page(4)
    assert await audited() == []
    assert ((await status(store)).upto, (await status(store)).pages) == (4, 2)


async def test_each_epoch_has_a_record_of_its_own(store, reader, audited, write, connect):
    await store.events.append([write("order-1", 3)])
    await reader.page()
    connection = await connect()
    await connection.execute("update uno.log set epoch = gen_random_uuid()")
    await connection.execute("select setval('uno.position_seq', 1000)")
    await connection.execute("update uno.checkpoints set position = 1000, epoch = (select epoch from uno.log)")
    await reader.take_over()
    await store.events.append([write("order-1", 3)])
    await reader.page()
    assert await audited() == []
    found = [(one.current, one.after, one.upto, one.events) for one in await store.audits.statuses()]
    assert sorted(found) == [(False, 0, 3, 3), (True, 1000, 1003, 3)]


async def test_pages_that_were_loaded_from_a_dump_of_an_older_server_are_proven(store, reader, audited, write, connect):
    """Its transaction numbers mean nothing here; that they are not reached yet shows that its transactions are all gone."""
    await store.events.append([write("order-1")])
    await reader.page()
    await (await connect()).execute("update uno.delivered_pages set xact = '99999999999'")
    assert await audited() == []
    assert (await status(store)).pages == 1


# -- when


async def test_a_transaction_that_was_open_when_a_page_was_written_delays_its_audit_and_is_named(
    store, reader, audited, write, connect
):
    stranger = await connect()
    await stranger.execute("create table other (n int)")
    transaction = stranger.transaction()
    await transaction.start()
    await stranger.execute("insert into other values (1)")
    await store.events.append([write("order-1")])
    await reader.page()
    assert await Auditor(store.audits).look() == 0
    waiting = await status(store)
    assert (waiting.upto, waiting.waiting.pages, waiting.waiting.ripe) == (0, 1, 0)
    holder = await store.audits.oldest_writer()
    assert holder.pid == stranger.get_server_pid()
    assert f"process {holder.pid}" in str(holder)
    await transaction.rollback()
    assert await audited() == []
    assert (await status(store)).upto == 1


async def test_a_page_whose_time_has_come_takes_no_younger_one_with_it(store, reader, write, connect, until):
    await store.events.append([write("order-1")])
    await reader.page()
    slow = await connect()
    transaction = slow.transaction()
    await transaction.start()
    await store.events.append([write("order-2")], tx=slow)
    await store.events.append([write("order-1")])
    await reader.page(upto=3)
    auditor = Auditor(store.audits)
    await until(auditor.look)
    assert ((await status(store)).upto, (await status(store)).waiting.pages) == (1, 1)
    await transaction.commit()
    await until(auditor.look)
    assert [list(one.missing) for one in await store.audits.findings()] == [[2]]


async def test_a_subscription_that_waits_holds_no_other_up(store, reader, write, connect, until):
    other = await Reader(store, "projection:Other").take_over()
    await store.events.append([write("order-1")])
    await reader.page()
    await other.page()
    stranger = await connect()
    async with stranger.transaction():
        number = await stranger.fetchval("select pg_current_xact_id()::text")
        await (await connect()).execute(
            "update uno.delivered_pages set xact = $1::text::xid8 where subscription = $2", number, NAME
        )
        await until(Auditor(store.audits).look)
        assert ((await status(store, "projection:Other")).upto, (await status(store)).upto) == (1, 0)


async def test_a_prepared_transaction_delays_it_too_and_is_named(store, reader, audited, write, connect):
    stranger = await connect()
    await stranger.execute("begin; create table other (n int); prepare transaction 'forgotten'")
    await store.events.append([write("order-1")])
    await reader.page()
    assert await Auditor(store.audits).look() == 0
    assert (await status(store)).waiting.pages == 1
    assert "prepared transaction 'forgotten'" in str(await store.audits.oldest_writer())
    await stranger.execute("rollback prepared 'forgotten'")
    assert await audited() == []
    assert (await status(store)).upto == 1


async def test_a_transaction_that_only_reads_delays_nothing(store, reader, audited, write, connect):
    stranger = await connect()
    async with stranger.transaction(isolation="repeatable_read"):
        await stranger.fetch("select * from uno.events")
        await store.events.append([write("order-1")])
        await reader.page()
        assert await audited() == []
        assert (await status(store)).upto == 1


# -- what does not agree


async def test_a_reader_without_the_fence_is_caught_and_what_it_skipped_is_named(store, reader, write, connect, caplog, until):
    """A newer append commits first; a naive reader passes the older one, whose position it cannot see."""
    slow = await connect()
    transaction = slow.transaction()
    await transaction.start()
    await store.events.append([write("order-1", 2)], tx=slow)
    await store.events.append([write("order-2", 3)])
    await reader.page(upto=5)
    found = []
    auditor = Auditor(store.audits, found=found.append)
    assert await auditor.look() == 0, "it was judged while the older append could still commit"
    await transaction.commit()
    with caplog.at_level(logging.ERROR, "uno_workflows.auditor"):
        await until(auditor.look)
        assert await auditor.look() == 0
    assert [(one.kind, list(one.missing), list(one.extra)) for one in found] == [("difference", [1, 2], [])]
    assert [record.getMessage().partition(" ")[0] for record in caplog.records] == ["delivery_differs"]
    assert f"{NAME} between positions 1 and 5: never handled positions 1, 2" in caplog.text
    assert [one.id for one in await store.audits.findings()] == [found[0].id]
    assert await kept(connect) == 1, "the page stays, as evidence"


async def test_a_plain_insert_that_has_drawn_its_position_and_written_nothing_yet_delays_the_audit(
    store, reader, write, connect, until, blocked
):
    """The moment between two defaults of one row, made long: else it is a microsecond."""
    gate, session = await connect(), await connect()
    await gate.execute(
        "create function wait_at_gate() returns timestamptz language sql volatile as "
        "$$ select pg_advisory_xact_lock_shared(1); select clock_timestamp() $$; select pg_advisory_lock(1)"
    )
    insert = asyncio.create_task(
        session.execute(
            "insert into uno.events (version, recorded_at, event_id, schema_version, bucket, tenant, stream_id, type,"
            " correlation_id, payload, metadata) values (1, wait_at_gate(), gen_random_uuid(), 1, 0, '', 'order-1', 'Happened',"
            " '', '', '')"
        )
    )
    await blocked()
    await store.events.append([write("order-2")])
    await reader.page(upto=2)  # without the fence
    auditor = Auditor(store.audits)
    for _ in range(3):  # a page is taken up again and again, until its time has come
        assert await auditor.look() == 0
        await gate.fetchval("select pg_current_xact_id()::text")
    await gate.execute("select pg_advisory_unlock(1)")
    await insert
    await until(auditor.look)
    assert [list(one.missing) for one in await store.audits.findings()] == [[1]]


async def test_an_append_that_rolled_back_leaves_no_difference(store, reader, audited, write, connect):
    slow = await connect()
    transaction = slow.transaction()
    await transaction.start()
    await store.events.append([write("order-1", 2)], tx=slow)
    await store.events.append([write("order-2", 3)])
    await reader.page(upto=5)
    await transaction.rollback()
    assert await audited() == []
    assert ((await status(store)).upto, (await status(store)).events) == (5, 3)


async def test_what_was_handled_and_is_not_in_the_log_is_named(store, reader, audited, write):
    await store.events.append([write("order-1", 2), write("order-2", type_="Other")])
    await reader.page(more=[(3, uuid4())])
    assert await audited() == [("difference", 0, 3, [], [3])]


async def test_what_was_handled_twice_is_named(store, reader, audited, write):
    made = (await store.events.append([write("order-1", 2)]))[0]
    await reader.page(more=[(2, made.event_ids[1])])
    assert await audited() == [("difference", 0, 2, [], [2])]


async def test_another_event_at_the_same_position_is_a_difference(store, reader, audited, write):
    """What a restore does whose operator forgot the epoch."""
    await store.events.append([write("order-1", 2)])
    await reader.page(without=(2,), more=[(2, uuid4())])
    assert await audited() == [("difference", 0, 2, [], [])]
    assert "other events were handled than the log holds" in str((await store.audits.findings())[0])


async def test_auditing_goes_on_behind_a_difference(store, reader, audited, write, connect):
    for without in ((), (2,), (), (4,), ()):
        await store.events.append([write("order-1")])
        await reader.page(without=without)
    assert await audited() == [("difference", 1, 2, [2], []), ("difference", 3, 4, [4], [])]
    assert await audited() == []
    assert ((await status(store)).upto, (await status(store)).pages, await kept(connect)) == (5, 3, 2)


async def test_a_checkpoint_that_went_on_without_a_page_is_a_gap(store, reader, audited, write, connect):
    await store.events.append([write("order-1", 6)])
    await reader.page(2)
    await (await connect()).execute("update uno.checkpoints set position = 4")
    assert (await status(store)).unrecorded == 4
    await reader.take_over()
    await reader.page(6)
    assert await audited() == [("gap", 2, 4, [], [])]
    assert ((await status(store)).upto, (await status(store)).unrecorded) == (6, None)


async def test_a_checkpoint_that_was_turned_back_is_an_overlap(store, reader, audited, write, connect):
    await store.events.append([write("order-1", 4)])
    await reader.page()
    await (await connect()).execute("update uno.checkpoints set position = 1")
    await reader.take_over()
    await reader.page()
    assert await audited() == [("overlap", 1, 4, [], [])]
    assert "handled again" in str((await store.audits.findings())[0])


async def test_a_settled_finding_is_no_longer_open(store, reader, audited, write):
    await store.events.append([write("order-1")])
    await reader.page(without=(1,))
    await audited()
    number = (await store.audits.findings())[0].id
    assert await store.audits.settle(number, note="mended by hand")
    assert await store.audits.findings() == []
    assert not await store.audits.settle(number, note="again")


async def test_gauges_tell_of_findings_until_they_are_settled(store, reader, audited, write, connect):
    """Whoever found it may have died before anybody read its counters, and the subscription may have been taken away since."""
    await store.events.append([write("order-1", 4)])
    await reader.page(2, without=(1, 2))
    await reader.page(without=(3,))
    removed = await Reader(store, "projection:Removed").take_over()
    await removed.page(without=(1, 2, 3, 4))
    await Reader(store, "projection:Fine").take_over()
    assert len(await audited()) == 3
    await (await connect()).execute("delete from uno.subscriptions where name = $1", removed.name)
    read = await read_gauges(store.database)
    assert read.open_findings == {NAME: 2, removed.name: 1}
    assert read.open_skipped_events == {NAME: 3, removed.name: 4}
    first, second, third = await store.audits.findings()
    await store.audits.settle(first.id, note="mended by hand")
    await store.audits.settle(third.id, note="mended by hand")
    read = await read_gauges(store.database)
    assert (read.open_findings, read.open_skipped_events) == ({NAME: 1}, {NAME: len(second.missing)})


async def test_pages_that_retention_overtook_are_counted_as_never_audited(store, reader, audited, write, connect, caplog):
    await store.events.append([write("order-1", 6)])
    await reader.page(3, without=(2,))
    await reader.page(6)
    await (await connect()).execute("update uno.log set first_position = 2")
    assert await audited() == []
    assert "pages_not_audited pages=1" in caplog.text
    found = await status(store)
    assert (found.pages, found.unaudited, found.upto, await kept(connect)) == (1, 1, 6, 0)


# -- several


async def test_two_auditors_at_once_audit_every_page_once(store, write, until):
    readers = [await Reader(store, f"projection:{name}").take_over() for name in "ABC"]
    for number in range(40):
        await store.events.append([write("order-1")])
        for reader in readers:
            await reader.page(without=(number + 1,) if number == 20 else ())
    found = []
    auditors = [Auditor(store.audits, found=found.append) for _ in range(4)]

    async def nothing_waits():
        await asyncio.gather(*(auditor.look() for auditor in auditors))
        return not any(one.waiting.pages for one in await store.audits.statuses())

    await until(nothing_waits)
    assert sorted((one.subscription, *one.missing) for one in found) == [(f"projection:{name}", 21) for name in "ABC"]
    assert {(one.upto, one.pages, one.events) for one in await store.audits.statuses()} == {(40, 39, 39)}


async def test_an_auditor_leaves_a_subscription_that_another_is_at(store, reader, audited, write, connect):
    await store.events.append([write("order-1")])
    await reader.page()
    other = await connect()
    async with other.transaction():
        await other.execute("select from uno.delivery_audits for update")
        assert (await store.audits.audit(limit=10)).pages == 0
        assert (await status(store)).waiting.pages == 1
    assert await audited() == []
    assert (await status(store)).pages == 1


async def test_an_auditor_at_work_holds_no_pump_up(store, reader, write, connect):
    """Neither one that takes over nor one that moves on: an auditor's statement may take a while."""
    await store.events.append([write("order-1", 2)])
    await reader.page(1)
    other = await connect()
    async with other.transaction(), asyncio.timeout(LIMIT):
        await other.execute("update uno.delivery_audits set page = page + 1")
        await other.execute("delete from uno.delivered_pages")
        await reader.take_over()
        await reader.page(2)
    assert await store.subscriptions.position(NAME) == 2


# a killed pump's transaction is rolled back, or its answer is lost; a zombie goes on after its heir began
STEPS = st.lists(st.sampled_from(["page", "page", "rolled back", "answer lost", "take over", "zombie"]), max_size=25)


@given(steps=STEPS, data=st.data())
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
async def test_pages_stay_without_gaps_whenever_a_pump_dies(store, write, audited, steps, data):
    reader = await Reader(store, f"projection:{uuid4()}").take_over()
    zombie = reader.lease
    for step in steps:
        await store.events.append([write("order-1", data.draw(st.integers(1, 3)))])
        bound = await store.events.bound()
        page = await store.subscriptions.page(reader.lease, bound=bound, handles=TYPES, limit=data.draw(st.integers(1, 4)))
        claim = Delivered([(event.position, event.id) for event in page.events])
        if step == "page":
            await reader.move(page.upto, claim)
        elif step == "rolled back":
            with pytest.raises(KeyError):
                await move_and_fail(store, reader.lease, page.upto, claim)
            await reader.take_over()
        elif step == "answer lost":
            await store.subscriptions.advance(reader.lease, page.upto, delivered=claim)
            await reader.take_over()
        elif step == "take over":
            zombie = reader.lease
            await reader.take_over()
        elif zombie.term != reader.lease.term:
            with pytest.raises(LostLease):
                await store.subscriptions.advance(zombie, page.upto, delivered=claim)
        if data.draw(st.booleans()):
            assert await audited() == []
    assert await audited() == []
    proven = await status(store, reader.name)
    assert (proven.after, proven.upto, proven.unrecorded, proven.waiting.pages) == (0, reader.lease.position, None, 0)
