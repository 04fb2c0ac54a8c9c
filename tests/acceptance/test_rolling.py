"""Deployments that add, take away and give back event types, and apps that share a store: real processes of several versions."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from acceptance.scenarios import Scenarios
from acceptance.shop import TESTS, Process, Shop, until
from temporalio.client import Client

from uno_workflows import Event

SCENARIOS = Scenarios()
EVENTS = """
from collections.abc import Sequence

from uno_workflows import Event, Projection, Recorded, Saga, Transaction, on, step


class Ordered(Event):
    order_id: str


class Shipped(Event):
    order_id: str


@step
async def pay(order: Ordered, tx: Transaction) -> None:
    await tx.execute("insert into parcels values (:id, 'paid')", {"id": order.order_id})


@step
async def refund(order: Ordered, tx: Transaction) -> None:
    await tx.execute("insert into parcels values (:id, 'refunded')", {"id": order.order_id})
"""
OLD = f"""{EVENTS}

class Parcel(Saga, starts_on=Ordered, key="order_id"):
    async def run(self, order: Ordered) -> None:
        await self.step(pay, order, undo=refund)


class Tracked(Projection):
    @on(Ordered)
    async def ordered(self, events: Sequence[Recorded[Ordered]], tx: Transaction) -> None:
        await tx.execute("insert into parcels values (:id, 'tracked')", [{{"id": e.event.order_id}} for e in events])
"""
NEW = f"""{EVENTS}

class Parcel(Saga, starts_on=Ordered, expects=Shipped, key="order_id"):
    async def run(self, order: Ordered) -> None:
        await self.step(pay, order, undo=refund)
        await self.expect(Shipped, within="2s")


class Tracked(Projection):
    @on(Ordered)
    async def ordered(self, events: Sequence[Recorded[Ordered]], tx: Transaction) -> None:
        await tx.execute("insert into parcels values (:id, 'tracked')", [{{"id": e.event.order_id}} for e in events])

    @on(Shipped)
    async def shipped(self, events: Sequence[Recorded[Shipped]], tx: Transaction) -> None:
        await tx.execute("insert into parcels values (:id, 'shipped')", [{{"id": e.event.order_id}} for e in events])
"""
PATIENT = NEW.replace('within="2s"', 'within="10s"')
REKEYED = NEW.replace('expects=Shipped, key="order_id"', "expects=Shipped, key=lambda event: event.order_id")


class Ordered(Event):
    order_id: str


class Shipped(Event):
    order_id: str


class Parcels:
    """An app whose code has versions, on the servers of a shop."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        for name, code in (("old", OLD), ("new", NEW), ("patient", PATIENT), ("rekeyed", REKEYED)):
            (folder := shop.folder / name).mkdir()
            (folder / "parcels.py").write_text(code)

    async def __aenter__(self) -> Parcels:
        async with self.shop.sql() as connection:
            await connection.execute("create table parcels (order_id text, what text)")
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    def _settings(self, version: str, **more: str) -> dict[str, str]:
        app = f"{self.shop.environment['UNO_APP']}-parcels"
        return {"PYTHONPATH": f"{self.shop.folder / version}:{TESTS}", "UNO_APP": app, **more}

    def worker(self, version: str, role: str, **more: str) -> Process:
        return self.shop.start(["worker", "parcels", "--role", role], **self._settings(version, **more))

    async def cli(self, version: str, *argv: str, **more: str) -> Any:
        return await self.shop.cli(*argv, **self._settings(version, **more))

    async def migrate(self, version: str) -> dict[str, Any]:
        said = await self.cli(version, "migrate", "parcels", "--json")
        assert said.code == 0, said.err
        return {row["name"]: row for row in said.json["subscriptions"]}

    async def append(self, event: Event) -> None:
        order: str = event.order_id  # type: ignore[attr-defined]
        await self.shop.append(f"{type(event).__name__}-{order}", event)

    async def what(self, kind: str) -> list[str]:
        async with self.shop.sql() as connection:
            rows = await connection.fetch("select order_id from parcels where what = $1 order by order_id", kind)
        return [row[0] for row in rows]

    async def has(self, kind: str, orders: list[str]) -> None:
        async def there() -> bool:
            return await self.what(kind) == orders

        await until(there, what=f"{orders} are {kind}")

    async def listed(self, subscription: str) -> dict[str, Any]:
        said = await self.cli("new", "subscriptions", "list", "--json")
        assert said.code == 0, said.err
        row: dict[str, Any] = next(row for row in said.json if row["name"] == subscription)
        return row

    async def waits(self, subscription: str) -> dict[str, Any]:
        async def is_waiting() -> bool:
            return (await self.shop.subscription(subscription)).unfit is not None

        await until(is_waiting, what=f"{subscription} waits")
        return await self.listed(subscription)

    async def done(self, orders: list[str]) -> None:
        async def all_done() -> bool:
            states = await self.shop.states()
            return all(states.get(f"Parcel/{order}") == "done" for order in orders)

        await until(all_done, what=f"{orders} are done")


@SCENARIOS
async def a_rolling_deployment_that_adds_a_type_loses_no_event_and_refunds_nothing(shop: Shop) -> None:
    """Sagas of the newer version are ready; dispatch and projections of the older one hold their leases."""
    async with Parcels(shop) as parcels:
        orders = [shop.order(n) for n in range(5)]
        await parcels.migrate("old")
        dispatch, projections = parcels.worker("old", "dispatch"), parcels.worker("old", "projections")
        await asyncio.gather(dispatch.ready(), projections.ready())
        sagas = parcels.worker("new", "sagas")
        await sagas.ready()
        for order in orders:
            await parcels.append(Ordered(order_id=order))
        await parcels.has("paid", orders)
        await parcels.has("tracked", orders)
        for order in orders:
            await parcels.append(Shipped(order_id=order))
        row = await parcels.waits("projection:Tracked")
        assert row["state"] == "waiting"
        assert "Shipped in Shipped-" in row["reason"]
        await parcels.waits("saga:Parcel")
        assert "event_not_handled" in dispatch.words
        terms = {status.name: status.term for status in await shop.uno.store.subscriptions.statuses()}
        await until(lambda: _looked_again(shop, orders))
        assert terms == {status.name: status.term for status in await shop.uno.store.subscriptions.statuses()}
        newer = [parcels.worker("new", "dispatch"), parcels.worker("new", "projections")]
        await asyncio.gather(*(worker.ready() for worker in newer))
        await asyncio.gather(dispatch.stop(), projections.stop())
        await parcels.has("shipped", orders)
        await parcels.done(orders)
        assert await parcels.what("refunded") == []
        assert dispatch.words.count("event_not_handled") == 1, "once a place, and not at each offer"
        assert (await parcels.cli("new", "audit", "delivery", "--now", "--subscription", "projection:Tracked")).code == 0


async def _looked_again(shop: Shop, orders: list[str]) -> bool:
    """Whether the runs have given up waiting, and asked the log, while dispatch stands: no event of theirs is lost by then."""
    states = await shop.states()
    assert {states[f"Parcel/{order}"] for order in orders} == {"open"}
    client = await Client.connect(shop.environment["TEMPORAL_ADDRESS"])
    described = [await client.get_workflow_handle(f"Parcel/{order}").describe() for order in orders]
    pending = [activity for one in described for activity in one.raw_description.pending_activities]
    return len(pending) == len(orders) and all(activity.attempt > 1 for activity in pending)


@SCENARIOS
async def a_type_that_is_taken_away_and_given_back_is_found_by_the_run_that_awaits_it(shop: Shop) -> None:
    """The last look asks what is wanted and since when; a run whose event was not to be delivered waits, and is not undone."""
    async with Parcels(shop) as parcels:
        order, other, saga = shop.order(1), shop.order(2), shop.uno.store.subscriptions
        await parcels.migrate("patient")
        worker = parcels.worker("patient", "all")
        await worker.ready()
        await parcels.append(Ordered(order_id=order))
        await parcels.has("paid", [order])
        await saga.pause("saga:Parcel")
        await parcels.append(Ordered(order_id=other))  # which the last look waits for, however long the next command takes
        removed = await parcels.migrate("old")
        assert removed["saga:Parcel"]["removed"] == [{"type": "Shipped", "open_runs": 1}]
        for each in (order, other):
            await parcels.append(Shipped(order_id=each))
        await saga.resume("saga:Parcel")
        await worker.says("awaited_event_unwanted: ")
        added = await parcels.migrate("new")
        assert added["saga:Parcel"]["added"] == [{"type": "Shipped", "older_events": 2}]
        await parcels.done([order, other])
        assert (await parcels.what("refunded"), await parcels.what("shipped")) == ([], [])
        spans = [(one["type"], one["until"] is None) for one in (await parcels.listed("saga:Parcel"))["wants"]]
        assert spans == [("Ordered", True), ("Shipped", False), ("Shipped", True)]


@SCENARIOS
async def a_worker_and_a_migration_that_do_not_fit_are_refused_in_a_sentence(shop: Shop) -> None:
    async with Parcels(shop) as parcels:
        said = await parcels.cli("new", "migrate", "parcels")
        assert (said.code, said.err) == (0, "")
        assert "saga:Parcel reads Ordered, Shipped" in said.out
        assert "saga:Parcel - Shipped" in (await parcels.cli("old", "migrate", "parcels")).out
        refusals = [
            ("new", ("worker", "parcels"), {}, "refused (was_removed)"),
            ("rekeyed", ("migrate", "parcels"), {}, "refused (rule_changed)"),
            ("old", ("worker", "parcels"), {"UNO_APP": "billing"}, "refused (other_app)"),
            ("old", ("migrate", "parcels"), {"UNO_APP": "billing"}, "refused (other_app)"),
        ]
        for version, argv, settings, words in refusals:
            said = await parcels.cli(version, *argv, **settings)
            assert (said.code, words in said.err, "Traceback" in said.err) == (1, True, False), said.err
        doctor = await parcels.cli("old", "doctor", "parcels", "--json", UNO_APP="billing")
        advice = {finding["check"]: finding["ok"] for finding in doctor.json}
        assert doctor.code == 1
        assert advice["saga:Parcel belongs to app billing"] is False
        assert any(check.startswith(f"app {shop.environment['UNO_APP']}-parcels has 2 subscriptions") for check in advice)
        for name in ("saga:Parcel", "projection:Tracked"):
            assert (await parcels.cli("old", "subscriptions", "adopt", name, UNO_APP="billing")).code == 0
        assert (await parcels.cli("old", "migrate", "parcels", UNO_APP="billing")).code == 0
        rekeyed = await parcels.cli("rekeyed", "migrate", "parcels", "--rekey", UNO_APP="billing")
        assert rekeyed.code == 0, rekeyed.err
        assert "saga:Parcel: Ordered has another role or key" in rekeyed.out


@pytest.mark.parametrize("name", list(SCENARIOS))
async def test_that(name: str, scenarios: dict[str, asyncio.Task[None]]) -> None:
    await scenarios[name]
