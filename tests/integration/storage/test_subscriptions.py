"""Checkpoints: scenarios 30, 31, 36, 40 of the reliability study."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from apps.defining import HAPPENED, define
from patience import LIMIT

from uno_workflows.events.encoding import to_new_events
from uno_workflows.events.errors import (
    ConfigurationError,
    LostLease,
    StoreUnavailable,
    SubscriptionHalted,
    UnknownSubscription,
)
from uno_workflows.events.subscriptions import Delivered
from uno_workflows.storage.pool import Database
from uno_workflows.storage.settings import StoreSettings
from uno_workflows.storage.store import PostgresStore
from uno_workflows.storage.subscriptions import PostgresSubscriptions

NAME = "projection:Revenue"
NOTHING = Delivered(())


@pytest.fixture
async def subscriptions(store):
    return store.subscriptions


async def test_a_subscription_begins_where_it_was_told(store, subscriptions, write):
    await store.events.append([write("order-1", 3)])
    await define(store, "projection:A", start="beginning")
    await define(store, "saga:B", start="now")
    assert (await subscriptions.position("projection:A"), await subscriptions.position("saga:B")) == (0, 3)


async def test_registering_again_changes_nothing(store, subscriptions, write):
    await define(store, NAME, start="beginning")
    await store.events.append([write("order-1", 3)])
    await define(store, NAME, start="now")
    assert await subscriptions.position(NAME) == 0


async def test_registering_again_does_not_wait_for_whoever_moves_the_checkpoint(store, subscriptions, connect):
    """A worker that starts must not die of a lock time-out because another one was frozen in its transaction."""
    await define(store, NAME, start="beginning")
    other = await connect()
    holding = other.transaction()
    await holding.start()
    await other.execute("delete from uno.subscriptions where name = $1", NAME)  # holds the row as firmly as can be
    async with asyncio.timeout(LIMIT):
        await define(store, NAME, start="beginning")
    await holding.rollback()


async def test_a_subscription_can_begin_at_a_time(store, subscriptions, write, connect):
    await store.events.append([write("order-1", 2)])
    between = await (await connect()).fetchval("select clock_timestamp()")
    await store.events.append([write("order-1", 2)])
    await define(store, "saga:A", start=between)
    await define(store, "saga:B", start=between - timedelta(days=1))
    await define(store, "saga:C", start=datetime.now(UTC))
    assert [status.position for status in await subscriptions.statuses()] == [2, 0, 4]
    for start in (datetime.now(UTC) + timedelta(hours=1), datetime(2026, 1, 1)):
        with pytest.raises(ConfigurationError):
            await define(store, "saga:D", start=start)


async def test_an_unknown_subscription_is_named(subscriptions):
    for call in (
        subscriptions.take_over(NAME, owner="w"),
        subscriptions.pause(NAME),
        subscriptions.resume(NAME),
        subscriptions.resume(NAME, skip=True),
        subscriptions.position(NAME),
    ):
        with pytest.raises(UnknownSubscription, match=NAME):
            await call


async def test_of_two_pumps_only_the_newer_one_moves_the_checkpoint(store, subscriptions):
    """Scenario 30."""
    await define(store, NAME, start="beginning")
    old = await subscriptions.take_over(NAME, owner="one")
    new = await subscriptions.take_over(NAME, owner="two")
    assert (old.term, new.term) == (1, 2)
    for call in (
        subscriptions.advance(old, 5, delivered=NOTHING),
        subscriptions.check(old),
        subscriptions.halt(old, position=1, reason="x"),
    ):
        with pytest.raises(LostLease):
            await call
    assert (await subscriptions.advance(new, 5, delivered=NOTHING)).position == 5
    assert (await subscriptions.statuses())[0].owner == "two"


async def test_who_goes_on_after_a_lease_takes_nothing_from_its_heir(store, subscriptions):
    await define(store, NAME, start="beginning")
    first = await subscriptions.take_over(NAME, owner="one")
    second = await subscriptions.take_over(NAME, owner="one", after=first)
    assert second.term == 2
    heir = await subscriptions.take_over(NAME, owner="two")
    with pytest.raises(LostLease, match="another term since 2"):
        await subscriptions.take_over(NAME, owner="one", after=second)
    assert await subscriptions.check(heir)


async def test_a_checkpoint_moves_only_from_where_it_stands(store, subscriptions):
    """Scenario 36: a lease that is behind its own checkpoint has lost."""
    await define(store, NAME, start="beginning")
    lease = await subscriptions.take_over(NAME, owner="one")
    moved = await subscriptions.advance(lease, 5, delivered=NOTHING)
    with pytest.raises(LostLease):
        await subscriptions.advance(lease, 6, delivered=NOTHING)
    with pytest.raises(ValueError, match="never goes back"):
        await subscriptions.advance(moved, 4, delivered=NOTHING)
    assert await subscriptions.check(moved)


async def test_a_checkpoint_commits_with_its_batch_or_not_at_all(store, subscriptions, write, connect):
    await (await connect()).execute("create table mine (n int)")
    await define(store, NAME, start="beginning")
    lease = await subscriptions.take_over(NAME, owner="one")

    async def fails():
        async with subscriptions.transaction() as tx:
            await subscriptions.advance(lease, 3, delivered=NOTHING, tx=tx)
            await tx.execute("insert into mine values (:n)", {"n": 1})
            raise KeyError

    with pytest.raises(KeyError):
        await fails()
    assert await subscriptions.position(NAME) == 0
    async with subscriptions.transaction() as tx:
        lease = await subscriptions.advance(lease, 3, delivered=NOTHING, tx=tx)
        await tx.execute("insert into mine values (:n)", [{"n": 1}, {"n": 2}])
    assert await subscriptions.position(NAME) == 3
    assert await (await connect()).fetchval("select count(*) from mine") == 2
    with pytest.raises(LostLease):
        async with subscriptions.transaction() as tx:
            await subscriptions.advance(type(lease)(NAME, 3, 99, lease.epoch), 4, delivered=NOTHING, tx=tx)


async def test_a_pump_that_freezes_in_a_transaction_does_not_hold_its_heir(database):
    """Scenario 31: the server ends the frozen transaction, the heir goes on, the thawed one cannot commit."""
    heirs = []

    async def freezes(subscriptions, lease):
        async with subscriptions.transaction() as tx:
            await subscriptions.advance(lease, 3, delivered=NOTHING, tx=tx)
            heirs.append(await subscriptions.take_over(NAME, owner="two"))  # queues for the row until the server lets go
            await tx.execute("select 1")

    async with PostgresStore.open(database, encode=to_new_events, settings=StoreSettings(pump_timeout=0.2)) as store:
        await define(store, NAME, start="beginning")
        lease = await store.subscriptions.take_over(NAME, owner="one")
        with pytest.raises(StoreUnavailable):
            await freezes(store.subscriptions, lease)
        assert heirs[0].position == 0
        assert (await store.subscriptions.advance(heirs[0], 4, delivered=NOTHING)).position == 4


async def test_a_page_gives_the_wanted_types_and_how_far_it_looked(store, subscriptions, write):
    await store.events.append([write("order-1", 2, type_="A"), write("order-2", 3, type_="B"), write("order-3", 1, type_="A")])
    await define(store, NAME, {"A": ""})
    await define(store, "projection:Other", {"C": ""})

    async def page(limit, bound=6, name=NAME):
        lease = await subscriptions.take_over(name, owner="one")
        made = await subscriptions.page(lease, bound=bound, handles={"A": "", "B": "", "C": ""}, limit=limit)
        return [event.position for event in made.events], made.upto

    assert await page(10) == ([1, 2, 6], 6)
    assert await page(2) == ([1, 2], 2)
    assert await page(10, bound=4) == ([1, 2], 4)
    assert await page(10, name="projection:Other") == ([], 6)
    assert await page(10, bound=0) == ([], 0)


async def test_a_page_looks_at_one_window_only(store, subscriptions, write):
    """Of a type that is rare; a hole would be jumped."""
    await store.events.append([write("order-1")])
    for others in (9_999, 5_000):
        await store.events.append([write("order-1", others, type_="Other")])
    await store.events.append([write("order-1")])
    await define(store, NAME, start="beginning")
    lease, steps = await subscriptions.take_over(NAME, owner="one"), []
    while lease.position < 15001:
        page = await subscriptions.page(lease, bound=15001, handles=HAPPENED, limit=10)
        steps.append((len(page.events), page.upto))
        lease = await subscriptions.advance(lease, page.upto, delivered=NOTHING)
    assert steps == [(1, 5000), (0, 10000), (0, 15000), (1, 15001)]


async def test_pause_and_resume_are_seen_at_the_next_check(store, subscriptions):
    await define(store, NAME, start="beginning")
    lease = await subscriptions.take_over(NAME, owner="one")
    await subscriptions.pause(NAME)
    assert not await subscriptions.check(lease)
    assert (await subscriptions.statuses())[0].paused
    await subscriptions.resume(NAME)
    assert await subscriptions.check(lease)


async def test_a_halt_names_its_event_and_can_be_resumed_past_it(store, subscriptions, write, connect):
    await store.events.append([write("order-1", 3)])
    await define(store, NAME, start="beginning")
    lease = await subscriptions.take_over(NAME, owner="one")
    await subscriptions.halt(lease, position=2, reason="ZeroDivisionError")
    assert not await subscriptions.check(lease)
    status = (await subscriptions.statuses())[0]
    assert (status.halt.position, status.halt.reason, status.lag) == (2, "ZeroDivisionError", 3)
    await subscriptions.resume(NAME, skip=True)
    assert await subscriptions.check(lease)
    page = await subscriptions.page(lease, bound=3, handles=HAPPENED, limit=10)
    assert [event.position for event in page.events] == [1, 3]
    skipped = await (await connect()).fetch("select subscription, position, reason from uno.skipped_events")
    assert [tuple(row) for row in skipped] == [(NAME, 2, "ZeroDivisionError")]
    with pytest.raises(SubscriptionHalted, match="none to skip"):
        await subscriptions.resume(NAME, skip=True)


async def test_a_halt_is_since_its_reason_changed_last(store, subscriptions):
    """A checkpoint that does not fit the log is halted again at each try, twice a second."""
    await define(store, NAME, start="beginning")
    lease = await subscriptions.take_over(NAME, owner="one")

    async def halted_at(position, reason):
        await subscriptions.halt(lease, position=position, reason=reason)
        return (await subscriptions.statuses())[0].halt.at

    one, event, other = (None, "it does not fit"), (2, "it does not fit"), (2, "a bug")
    for halt, following in ((one, event), (event, other), (other, one)):
        since = await halted_at(*halt)
        assert await halted_at(*halt) == since
        assert await halted_at(*following) > since
    since = await halted_at(*one)
    await subscriptions.resume(NAME)
    assert await halted_at(*one) > since


@pytest.mark.parametrize(("reason", "kept"), [("a\x00b", "a\\x00b"), ("a\ud800b", "a\\ud800b")])
async def test_a_halt_keeps_any_reason(store, subscriptions, reason, kept):
    """One that Postgres refused would have the pump fail, and be tried again, for ever."""
    await define(store, NAME, start="beginning")
    lease = await subscriptions.take_over(NAME, owner="one")
    await subscriptions.halt(lease, position=2, reason=reason)
    assert (await subscriptions.statuses())[0].halt.reason == kept


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("update uno.log set epoch = gen_random_uuid()", "restored or failed over; see Backups in docs/operations.md"),
        ("update uno.checkpoints set position = 50", "the log lost its end; see Backups in docs/operations.md"),
        ("update uno.log set first_position = 2", "retention"),
    ],
)
async def test_a_checkpoint_that_does_not_fit_the_log_halts_with_a_name(store, subscriptions, write, connect, damage, reason):
    """Scenario 40: another epoch, ahead of the head, below what is retained; nothing is skipped."""
    await store.events.append([write("order-1", 3)])
    await define(store, NAME, start="beginning")
    before = await subscriptions.take_over(NAME, owner="one")
    await (await connect()).execute(damage)
    with pytest.raises(SubscriptionHalted, match=reason):
        await subscriptions.take_over(NAME, owner="two")
    assert reason in (await subscriptions.statuses())[0].halt.reason
    with pytest.raises(LostLease):
        await subscriptions.check(before)
    if "checkpoints" not in damage:
        with pytest.raises((LostLease, SubscriptionHalted)):
            await subscriptions.page(before, bound=3, handles=HAPPENED, limit=10)


async def test_who_finds_again_that_it_does_not_fit_takes_nothing_from_an_heir_who_finds_the_same(store, subscriptions, connect):
    await define(store, NAME, start="beginning")
    await (await connect()).execute("update uno.checkpoints set position = 50")

    async def halted(owner, after=None):
        with pytest.raises(SubscriptionHalted, match="ahead of the log") as caught:
            await subscriptions.take_over(NAME, owner=owner, after=after)
        return caught.value.lease

    first = await halted("one")
    second = await halted("one", after=first)
    heir = await halted("two")
    assert [lease.term for lease in (first, second, heir)] == [1, 2, 3]
    with pytest.raises(LostLease):
        await subscriptions.take_over(NAME, owner="one", after=second)


async def test_a_halt_does_not_undo_what_an_operator_did_meanwhile(store, subscriptions, connect, monkeypatch):
    """Between the look of a take-over and its halt the checkpoint is told that it is of this log, and resumed."""
    await define(store, NAME, start="beginning")
    connection = await connect()
    await connection.execute("update uno.log set epoch = gen_random_uuid()")
    leases = []

    async def held(self, lease, **more):
        leases.append(lease)
        await connection.execute("update uno.checkpoints set epoch = (select epoch from uno.log)")
        await self.resume(NAME)
        await halt(self, lease, **more)

    halt = PostgresSubscriptions.halt
    monkeypatch.setattr(PostgresSubscriptions, "halt", held)
    lease = await subscriptions.take_over(NAME, owner="one")
    assert (await subscriptions.statuses())[0].halt is None
    assert await subscriptions.check(lease)
    with pytest.raises(LostLease, match="taken over, defined anew or reset since term 1"):
        await halt(subscriptions, leases[0], position=None, reason="late")
    with pytest.raises(LostLease, match="reset"):
        await halt(subscriptions, replace(leases[0], term=lease.term), position=None, reason="late")
    assert await subscriptions.check(lease)


async def test_pumps_that_overlap_pass_every_event_once(store, subscriptions, write, connect):
    await (await connect()).execute("create table seen (position bigint)")
    await store.events.append([write("order-1", 300)])
    await define(store, NAME, start="beginning")

    async def pump(owner):
        lease = await subscriptions.take_over(NAME, owner=owner)
        while lease.position < 300:
            try:
                page = await subscriptions.page(lease, bound=300, handles=HAPPENED, limit=20)
                async with subscriptions.transaction() as tx:
                    moved = await subscriptions.advance(lease, page.upto, delivered=NOTHING, tx=tx)
                    await tx.execute("insert into seen values (:p)", [{"p": event.position} for event in page.events])
                lease = moved
            except LostLease:
                lease = await subscriptions.take_over(NAME, owner=owner)

    await asyncio.gather(pump("one"), pump("two"), pump("three"))
    seen = await (await connect()).fetch("select position from seen order by position")
    assert [row[0] for row in seen] == list(range(1, 301))


async def test_a_hole_of_a_hundred_million_positions_costs_a_subscription_a_few_statements(store, write, connect, monkeypatch):
    """For its pages, for the bound and for the audit; also if its type is rare."""
    sent: list[str] = []
    fetch = Database.fetch

    async def counted(self, name, /, **values):
        sent.append(name)
        return await fetch(self, name, **values)

    connection, seen = await connect(), list[int]()
    await define(store, NAME, {"Rare": ""}, start="beginning")
    for n in range(3):
        await store.events.append([write(f"order-{n}")])
        await store.events.append([write(f"order-{n}", type_="Rare")])
        await connection.execute("select setval('uno.position_seq', (select last_value from uno.position_seq) + 100000000)")
    monkeypatch.setattr(Database, "fetch", counted)
    lease = await store.subscriptions.take_over(NAME, owner="test")
    async with store.tail() as tail:
        bound = await tail.wait_beyond(0, seconds=LIMIT)
    assert bound == await store.events.bound() > 300_000_000
    while lease.position < bound:
        page = await store.subscriptions.page(lease, bound=bound, handles={"Rare": ""}, limit=500)
        delivered = Delivered([(event.position, event.id) for event in page.events])
        seen += [event.position for event in page.events]
        lease = await store.subscriptions.advance(lease, page.upto, delivered=delivered)
    assert len(seen) == 3
    assert len(sent) < 100  # window by window it would be sixty thousand
    while any(one.waiting.pages for one in await store.audits.statuses()):
        await store.audits.audit(limit=100)
    assert len(sent) < 200
    assert await store.audits.findings() == []
    assert [one.upto for one in await store.audits.statuses()] == [bound]
