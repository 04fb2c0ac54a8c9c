"""Definitions: what a subscription reads is stored, and no version of the code that reads it decides by itself (ADR 0024)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from apps.defining import define
from patience import LIMIT

from uno_workflows.events.encoding import to_new_events
from uno_workflows.events.errors import DefinitionRefused, LostLease, StoreUnavailable, UnknownSubscription
from uno_workflows.events.subscriptions import Defined, Definition, Delivered
from uno_workflows.storage.definitions import PostgresDefinitions
from uno_workflows.storage.migrations import migrations
from uno_workflows.storage.statements import in_schema
from uno_workflows.storage.store import PostgresStore

NAME = "projection:Revenue"
SAGA = "saga:Order"
V1, V2, V2B, V3 = {"A": ""}, {"A": "", "B": ""}, {"A": "", "C": ""}, {"A": "", "B": "", "C": ""}
STARTS, HEARS = {"A": "start:key"}, {"A": "start:key", "B": "hear:key"}


class Reader:
    """A pump by hand, of one version of the code."""

    def __init__(self, store, handles, name=NAME):
        self.store, self.handles, self.name, self.lease, self.page = store, handles, name, None, None

    async def take_over(self):
        self.lease = await self.store.subscriptions.take_over(self.name, owner="test")
        return self

    async def read(self, limit=500):
        bound = await self.store.events.bound()
        self.page = await self.store.subscriptions.page(self.lease, bound=bound, handles=self.handles, limit=limit)
        return [(event.position, event.type) for event in self.page.events]

    async def finish(self):
        events = [(event.position, event.id) for event in self.page.events]
        self.lease = await self.store.subscriptions.advance(self.lease, self.page.upto, delivered=Delivered(events))


@pytest.fixture
def happen(store, write):
    """Appends events of these types, one letter each."""

    async def append(types, stream="order-1"):
        for type_ in types:
            await store.events.append([write(stream, type_=type_)])

    return append


async def test_a_type_that_a_newer_worker_adds_is_lost_to_no_pump_of_older_code(store, happen):
    """The rolling deployment that lost events: the older worker holds the lease, and moved the checkpoint past them."""
    await define(store, NAME, V1)
    old = await Reader(store, V1).take_over()
    await define(store, NAME, V2)  # a worker of the newer version is ready
    await happen("BABBA")
    with pytest.raises(LostLease):
        await old.read()
    await old.take_over()
    assert await old.read() == []
    assert (old.page.unfit.position, old.page.unfit.generation) == (1, 2)
    assert "B in order-1 is wanted, and this worker's code does not handle it" in old.page.unfit.reason
    new = await Reader(store, V2).take_over()
    assert await new.read() == [(1, "B"), (2, "A"), (3, "B"), (4, "B"), (5, "A")]


async def test_a_page_ends_before_the_first_event_that_the_code_does_not_handle(store, happen):
    await define(store, NAME, V2)
    await happen("AABA")
    old = await Reader(store, V1).take_over()
    assert await old.read() == [(1, "A"), (2, "A")]
    assert (old.page.upto, old.page.unfit) == (2, None)
    await old.finish()
    assert await old.read() == []
    assert old.page.unfit.position == 3


async def test_each_change_of_a_definition_fences_the_page_in_flight(store, happen):
    await define(store, NAME, V1)
    await happen("AA")
    old = await Reader(store, V1).take_over()
    await old.read()
    assert await define(store, NAME, V2) == Defined(NAME, "changed", 2, ("B",))
    with pytest.raises(LostLease):
        await old.finish()
    with pytest.raises(LostLease, match="defined anew since term 1"):
        await old.read()  # the page itself proves the term; no look before it
    with pytest.raises(LostLease):
        await store.subscriptions.check(old.lease)
    term = (await store.subscriptions.statuses())[0].term
    assert await define(store, NAME, V2) == Defined(NAME, "unchanged", 2)
    assert (await store.subscriptions.statuses())[0].term == term


async def test_a_start_only_adds_and_a_migration_makes_it_exactly_so(store):
    await define(store, NAME, V2)
    assert (await define(store, NAME, V1)).outcome == "unchanged"  # rolled back without a migration: B is wanted still
    assert await define(store, NAME, V1, explicit=True) == Defined(NAME, "changed", 2, (), ("B",))
    with pytest.raises(DefinitionRefused, match=r"refused \(was_removed\): `uno migrate` took B away from it"):
        await define(store, NAME, V2)
    assert await define(store, NAME, V3, explicit=True) == Defined(NAME, "changed", 3, ("B", "C"))
    assert set(await store.subscriptions.wants(NAME)) == {"A", "B", "C"}


async def test_two_workers_that_add_different_types_at_once_add_both(store):
    both = await asyncio.gather(define(store, NAME, V2), define(store, NAME, V2B))
    assert sorted(one.outcome for one in both) == ["changed", "created"]
    assert set(await store.subscriptions.wants(NAME)) == {"A", "B", "C"}


async def test_all_that_are_defined_together_are_or_none_is(store):
    await define(store, NAME, V1, app="other")
    both = [Definition("projection:Aaa", V1, "beginning"), Definition(NAME, V2, "beginning")]
    with pytest.raises(DefinitionRefused):
        await store.definitions.define(both, app="mine")
    assert [status.name for status in await store.subscriptions.statuses()] == [NAME]


async def test_a_projection_counts_a_new_type_from_its_checkpoint(store, happen):
    await define(store, NAME, V1)
    await happen("ABA")
    reader = await Reader(store, V1).take_over()
    assert await reader.read() == [(1, "A"), (3, "A")]
    await reader.finish()
    await happen("B")
    await define(store, NAME, V2)
    new = await Reader(store, V2).take_over()
    assert await new.read() == [(4, "B")], "what came since the last page is not passed, whoever defined it when"
    assert await store.definitions.older_events(NAME, "B") == 1


async def test_a_saga_counts_a_new_type_from_the_bound(store, happen):
    """Its pump delivers ahead of the checkpoint, and a run drops as a repeat what lies before what it had (trap T1)."""
    await define(store, SAGA, STARTS)
    await happen("AB")
    assert (await define(store, SAGA, HEARS)).added == ("B",)
    assert (await store.subscriptions.wants(SAGA))["B"].after == 2
    await happen("B")
    reader = await Reader(store, HEARS, SAGA).take_over()
    assert await reader.read() == [(1, "A")]
    assert reader.page.upto == 2, "a page ends where another type begins to count"
    await reader.finish()
    assert await reader.read() == [(3, "B")]


async def test_a_crash_before_the_bound_was_taken_is_made_good_by_the_next_take_over(store, happen, connect):
    await define(store, SAGA, STARTS)
    connection = await connect()
    await connection.execute(
        "select uno.define($1, 'test', 'key', array['A', 'B'], array['start:key', 'hear:key'], null, false, false)", SAGA
    )
    assert (await store.subscriptions.wants(SAGA))["B"].after is None
    await happen("B")
    reader = await Reader(store, HEARS, SAGA).take_over()
    assert reader.lease.wants["B"].after == 1


async def test_a_take_over_that_waited_for_a_change_reads_by_the_changed_definition(store, connect, blocked):
    """In one statement with the term it would have the new term and the old definition (trap T2)."""
    await define(store, NAME, V2)
    connection = await connect()
    change = connection.transaction()
    await change.start()
    await connection.execute("select uno.define($1, 'test', 'stream', array['A'], array[''], null, true, false)", NAME)
    taking = asyncio.create_task(store.subscriptions.take_over(NAME, owner="one"))
    await blocked()
    await change.commit()
    lease = await taking
    assert (set(lease.wants), lease.generation) == ({"A"}, 2)
    assert await store.subscriptions.check(lease)


async def test_a_definition_that_changes_right_behind_the_term_is_met_by_the_first_page(store, happen, monkeypatch):
    await define(store, NAME, V2)
    await happen("AB")
    read = type(store.subscriptions)._definition

    async def after_a_change(self, name):
        monkeypatch.undo()
        await define(store, NAME, V1, explicit=True)
        return await read(self, name)

    monkeypatch.setattr(type(store.subscriptions), "_definition", after_a_change)
    reader = await Reader(store, V2).take_over()
    with pytest.raises(LostLease):
        await reader.read()


# -- whose it is


async def test_a_name_belongs_to_the_app_that_defined_it_first(store):
    await define(store, NAME, V1, app="shop")
    for explicit in (False, True):
        with pytest.raises(DefinitionRefused) as caught:
            await define(store, NAME, V1, app="billing", explicit=explicit)
        said = str(caught.value)
        assert caught.value.outcome == "other_app"
        for way in ("app 'shop'", "name=", "UNO_SCHEMA", f"uno subscriptions adopt {NAME}"):
            assert way in said


async def test_a_renamed_app_adopts_its_subscriptions(store):
    await define(store, NAME, V1, app="shop")
    lease = await store.subscriptions.take_over(NAME, owner="one")
    assert await store.definitions.adopt(NAME, app="store") == "shop"
    with pytest.raises(LostLease):
        await store.subscriptions.check(lease)
    assert (await define(store, NAME, V2, app="store")).outcome == "changed"
    with pytest.raises(DefinitionRefused):
        await define(store, NAME, V2, app="shop")
    with pytest.raises(UnknownSubscription):
        await store.definitions.adopt("projection:None", app="store")


async def test_an_adopted_subscription_remembers_each_former_app_once(store):
    await define(store, NAME, V1, app="a")
    for app in ("b", "b", "a", "b", "c"):
        await store.definitions.adopt(NAME, app=app)
    assert await store.definitions.former_apps([NAME], app="c") == ["a", "b"]
    assert await store.definitions.former_apps([NAME], app="a") == ["b"]
    assert await store.definitions.former_apps(["projection:None"], app="c") == []


async def test_a_subscription_whose_pump_is_alive_is_not_adopted(store):
    """The pump would take its lease back."""
    await define(store, NAME, V1, app="shop")
    lease = await store.subscriptions.take_over(NAME, owner="one")
    await store.signs.give({NAME}, owner="one", heartbeat=timedelta(minutes=1))
    with pytest.raises(DefinitionRefused, match=r"\(still_pumped\): a worker of app 'shop' reads for it") as caught:
        await store.definitions.adopt(NAME, app="store")
    assert caught.value.outcome == "still_pumped"
    await store.subscriptions.check(lease)
    await store.signs.leave([NAME], owner="one")
    assert await store.definitions.adopt(NAME, app="store") == "shop"


# -- keys and roles


@pytest.mark.parametrize("rule", ["start:other", "hear:key", "start:fn shop.key_of"])
async def test_another_key_or_role_of_a_saga_is_refused_by_name(store, rule):
    await define(store, SAGA, STARTS)
    for explicit in (False, True):
        with pytest.raises(DefinitionRefused, match=rf"refused \(rule_changed\): A was start:key, is {rule}") as caught:
            await define(store, SAGA, {"A": rule}, explicit=explicit)
    assert "name=" in str(caught.value)
    assert "--rekey" in str(caught.value)


async def test_keys_change_when_nothing_is_under_way_by_the_old_ones(store, happen, connect):
    await define(store, SAGA, STARTS)
    await happen("AA")
    reader = await Reader(store, STARTS, SAGA).take_over()
    await reader.read(limit=1)
    await reader.finish()

    async def rekey():
        return await define(store, SAGA, {"A": "start:other"}, explicit=True, rekey=True)

    async def refused(what):
        with pytest.raises(DefinitionRefused, match=what) as caught:
            await rekey()
        assert caught.value.outcome == "run_open"

    await refused("deliveries of a pump that has not stopped in order")
    await store.subscriptions.release(reader.lease)
    connection = await connect()
    await connection.execute(
        "insert into uno.saga_runs (saga, tenant, key, generation, workflow_id, state)"
        " values ('Order', '', '1', 0, 'Order/1', 'open')"
    )
    await refused("1 open runs")
    await connection.execute("update uno.saga_runs set state = 'done', closed_at = now()")
    assert (await rekey()).rekeyed == ("A",)
    assert (await store.subscriptions.wants(SAGA))["A"].rule == "start:other"
    new = await Reader(store, {"A": "start:other"}, SAGA).take_over()
    assert await new.read() == [(2, "A")], "what no pump had taken is taken by the new key"


async def test_a_lease_that_ended_in_order_is_not_taken_for_that_of_its_heir(store):
    await define(store, SAGA, STARTS)
    old = await store.subscriptions.take_over(SAGA, owner="one")
    await store.subscriptions.take_over(SAGA, owner="two")
    await store.subscriptions.release(old)
    with pytest.raises(DefinitionRefused, match="not stopped in order"):
        await define(store, SAGA, {"A": "start:other"}, explicit=True, rekey=True)


async def test_code_with_another_key_stops_at_the_event_and_says_by_which_rule_it_reads(store, happen):
    await define(store, SAGA, STARTS)
    await happen("A")
    reader = await Reader(store, {"A": "hear:key"}, SAGA).take_over()
    await reader.read()
    assert "handles it as `hear:key` instead of `start:key`" in reader.page.unfit.reason


# -- waiting


async def test_defining_what_is_defined_waits_for_no_pump(store, connect):
    """A worker that starts must not die of a lock time-out because another one was frozen in its transaction."""
    await define(store, NAME, V1)
    other = await connect()
    holding = other.transaction()
    await holding.start()
    await other.execute("delete from uno.subscriptions where name = $1", NAME)  # holds the rows as firmly as can be
    async with asyncio.timeout(LIMIT):
        assert (await define(store, NAME, V1)).outcome == "unchanged"
    await holding.rollback()


async def test_a_change_waits_for_the_batch_of_a_pump_and_then_fences_it(store, connect, blocked, happen):
    await define(store, NAME, V1)
    await happen("A")
    reader = await Reader(store, V1).take_over()
    await reader.read()
    async with store.subscriptions.transaction() as tx:
        moved = await store.subscriptions.advance(reader.lease, 1, delivered=Delivered(), tx=tx)
        changing = asyncio.create_task(define(store, NAME, V2))
        await blocked()
    assert (await changing).generation == 2
    assert await store.subscriptions.position(NAME) == 1
    with pytest.raises(LostLease):
        await store.subscriptions.check(moved)


async def test_a_start_in_the_future_or_without_a_zone_is_refused_only_where_it_matters(store):
    await define(store, SAGA, STARTS)
    assert (await define(store, SAGA, STARTS, start=datetime(2099, 1, 1, tzinfo=UTC))).outcome == "unchanged"


# -- rows from before


async def test_rows_of_the_version_before_are_adopted_and_pumps_of_older_code_move_nothing(empty_database):
    """Their statements fail by name, those of their auditors too."""
    connection = await asyncpg.connect(empty_database)
    try:
        await connection.execute(
            "create schema uno; create table uno.schema_migrations (number int primary key, name text not null,"
            " checksum text not null, applied_at timestamptz not null default now())"
        )
        for migration in migrations()[:6]:
            await connection.execute(in_schema(migration.script, "uno"))
        for name, halted in (("projection:Revenue", None), ("saga:Order", "a bug")):
            await connection.execute(
                "insert into uno.subscriptions (name, position, epoch, term, owner, halted_at, halt_position, halt_reason)"
                " select $1, 3, epoch, 5, 'old', case when $2::text is null then null else now() end, 4, $2 from uno.log",
                name,
                halted,
            )
        await connection.execute("select setval('uno.position_seq', 3)")
        await connection.execute(
            "insert into uno.delivered_pages (subscription, epoch, term, from_position, to_position, events, digest, offsets,"
            " types) select 'projection:Revenue', epoch, 5, 0, 3, 0, sha256(''), '{}', '{A}' from uno.log"
        )
        for migration in migrations()[6:]:
            await connection.execute(in_schema(migration.script, "uno"))
        for migration in migrations():
            await connection.execute(
                "insert into uno.schema_migrations values ($1, $2, $3)", migration.number, migration.name, migration.checksum
            )
        for older, lost in (
            ("update uno.subscriptions s set position = 4 where s.name = 'x'", "position"),
            ("select s.term, s.epoch from uno.subscriptions s", "term"),
            ("select types from uno.delivered_pages", "types"),
        ):
            with pytest.raises(asyncpg.UndefinedColumnError, match=f'"?{lost}"? '):
                await connection.execute(older)
    finally:
        await connection.close()
    async with PostgresStore.open(empty_database, encode=to_new_events) as store:
        before = {status.name: status for status in await store.subscriptions.statuses()}
        assert {(status.position, status.term, status.app) for status in before.values()} == {(3, 6, None)}
        assert before["saga:Order"].halt.reason == "a bug"
        assert (await define(store, NAME, V2, app="shop")).outcome == "adopted"
        assert (await define(store, "saga:Order", HEARS, app="shop", explicit=True)).outcome == "adopted"
        with pytest.raises(DefinitionRefused, match="other_app"):
            await define(store, NAME, V2, app="billing")
        lease = await store.subscriptions.take_over(NAME, owner="new")
        assert {type_: wanted.after for type_, wanted in lease.wants.items()} == {"A": 0, "B": 0}
        wants = await store.subscriptions.wants("saga:Order")
        assert {type_: wanted.after for type_, wanted in wants.items()} == {"A": 3, "B": 3}


async def test_a_store_that_does_not_answer_is_an_outage_to_who_defines(database):
    async with PostgresStore.open(database, encode=to_new_events) as store:
        connection = await asyncpg.connect(database)
        await connection.execute("drop schema uno cascade")
        await connection.close()
        with pytest.raises(StoreUnavailable):
            await PostgresDefinitions(store.database).define([Definition(NAME, V1, "beginning")], app="test")
