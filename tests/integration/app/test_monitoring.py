"""What a worker's metrics count, against what the log and the tables say; and what Temporal's core adds to the page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from functools import partial
from urllib.request import urlopen

import pytest
from apps.defining import define
from apps.running import App, until
from apps.shop.events import OrderPlaced, OrderShipped
from apps.telling import Asked
from patience import LIMIT
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from temporalio.client import Client

from uno_workflows import NO_STREAM, Uno, WrongExpectedVersion
from uno_workflows.app.monitoring import _check_temporal
from uno_workflows.app.worker import Role
from uno_workflows.devstack.temporal import TemporalServer
from uno_workflows.events.errors import ConfigurationError, TemporalUnavailable
from uno_workflows.events.subscriptions import Delivered
from uno_workflows.observability.catalogue import CATALOGUE, Source
from uno_workflows.observability.joined import free_port
from uno_workflows.storage.gauges import read_gauges
from uno_workflows.storage.store import PostgresStore

RunApp = Callable[..., AbstractAsyncContextManager[App]]
SAGA = {"saga": "FulfilOrder"}


class Page:
    """One scrape."""

    def __init__(self, families: list[Metric]) -> None:
        self.families = families

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples of this name that have these labels."""
        samples = [sample for family in self.families for sample in family.samples if sample.name == name]
        return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())

    def by(self, name: str, label: str, **labels: str) -> dict[str, float]:
        """The same for each value of a label; what is zero is left out."""
        found = sorted(self.of(name, label, **labels))
        return {key: number for key in found if (number := self.value(name, **{**labels, label: key}))}

    def of(self, name: str, label: str, **labels: str) -> set[str]:
        """The values of a label for which there is a sample, be it zero."""
        samples = [sample for family in self.families for sample in family.samples if sample.name == name]
        return {sample.labels[label] for sample in samples if labels.items() <= sample.labels.items()}


async def scrape(app: App) -> Page:
    assert app.settings.monitor is not None
    host, port = app.settings.monitor

    def fetch() -> str:
        with urlopen(f"http://{host}:{port}/metrics", timeout=LIMIT) as answer:
            return answer.read().decode()

    return Page(list(text_string_to_metric_families(await asyncio.to_thread(fetch))))


async def place(app: App, modes: Mapping[str, str]) -> None:
    await app.sql("create table shop_stock (order_id text primary key)")
    await app.sql("create table shop_orders (state text primary key, n int)")
    for order, mode in modes.items():
        await app.uno.append(f"order-{order}", OrderPlaced(order_id=order, mode=mode))
        await app.uno.append(f"order-{order}", OrderShipped(order_id=order, at=datetime.now(UTC)))
    for order in modes:
        await app.ended(f"FulfilOrder/{order}")
    for subscription in ("saga:FulfilOrder", "projection:OrdersByState"):
        await app.caught_up(subscription)


async def test_counts_are_those_of_the_log_the_tables_and_the_ledger(run_app: RunApp):
    orders = {"m1": "", "m2": "notyet", "m3": "decline", "m4": "", "m5": "nolabel"}
    async with run_app(["apps.shop"], monitor=("127.0.0.1", free_port())) as app:
        await place(app, orders)
        page = await until(lambda: _counted(app, "uno_saga_finished_total", len(orders)))

        logged = dict(await app.sql("select type, count(*) from uno.events group by type"))
        appended = page.by("uno_events_appended_total", "event_type")
        assert appended == {type_: logged[type_] for type_ in ("OrderFulfilled", "StockReserved")}, "what this process appended"

        states = dict(await app.sql("select state, count(*) from uno.saga_runs where saga = 'FulfilOrder' group by state"))
        assert states == {"done": 3, "compensated": 2}
        assert page.by("uno_saga_finished_total", "outcome", **SAGA) == states
        assert page.by("uno_saga_duration_seconds_count", "outcome", **SAGA) == states
        assert page.value("uno_saga_started_total", **SAGA) == len(orders)

        calls = app.lines()
        words = {"reserve_stock": "reserve", "charge_card": "charge", "print_label": "label"}
        for step, word in words.items():
            assert page.value("uno_step_duration_seconds_count", **SAGA, step=step) == sum(call[0] == word for call in calls)
        assert page.by("uno_step_retries_total", "step") == {"pack": 3}
        assert page.value("uno_step_duration_seconds_count", step="pack", outcome="not_yet") == 3
        assert page.value("uno_step_duration_seconds_count", step="charge_card", outcome="refused") == 1

        undone = {
            name: sum(call[0] == word for call in calls)
            for name, word in (("refund_card", "refund"), ("release_stock", "release"))
        }
        assert page.by("uno_compensations_total", "step", outcome="undone") == undone == {"refund_card": 2, "release_stock": 2}

        processed = page.by("uno_events_processed_total", "outcome", subscription="saga:FulfilOrder")
        assert processed["started"] == len(orders)
        assert processed["signalled"] + processed.get("late", 0) == len(orders)
        handled = logged["OrderPlaced"] + logged["OrderFulfilled"]
        assert page.by("uno_events_processed_total", "outcome", subscription="projection:OrdersByState") == {"handled": handled}
        assert page.value("uno_delivery_delay_seconds_count", subscription="projection:OrdersByState") <= handled


async def _counted(app: App, name: str, number: int) -> Page | None:
    """The page, once a number stands on it: a checkpoint is counted a moment after it is seen."""
    page = await scrape(app)
    processed = page.value("uno_events_processed_total", subscription="projection:OrdersByState")
    logged = (await app.sql("select count(*) from uno.events where type in ('OrderPlaced', 'OrderFulfilled')"))[0][0]
    return page if page.value(name) == number and processed == logged else None


async def test_histograms_are_consistent_and_no_name_has_two_owners(run_app: RunApp):
    async with run_app(["apps.shop"], monitor=("127.0.0.1", free_port())) as app:
        await place(app, {"h1": "", "h2": "decline"})
        page = await scrape(app)
    for family in page.families:
        buckets: dict[tuple[tuple[str, str], ...], list[float]] = {}
        for sample in family.samples:
            if sample.name.endswith("_bucket"):
                buckets.setdefault(tuple(sorted((k, v) for k, v in sample.labels.items() if k != "le")), []).append(sample.value)
        for labels, counts in buckets.items():
            assert counts == sorted(counts)
            assert counts[-1] == page.value(f"{family.name}_count", **dict(labels))
    names = [family.name for family in page.families]
    assert len(names) == len(set(names))
    ours = {row.name for row in CATALOGUE if row.source is not Source.TEMPORAL}
    assert any(name.startswith("temporal_") for name in names)
    from_core = {family.name for family in page.families if any("service_name" in sample.labels for sample in family.samples)}
    assert from_core & {row.name for row in CATALOGUE} == {row.name for row in CATALOGUE if row.source is Source.TEMPORAL}
    assert not from_core & ours
    assert page.value("uno_build_info", role="all") == 1


async def test_pumps_say_what_they_own_and_gauges_what_waits(run_app: RunApp, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("uno_workflows.app.monitoring.GAUGE_SECONDS", 0.05)
    monkeypatch.setattr("uno_workflows.app.monitoring.GAUGE_SHARE", 1)
    async with run_app(["apps.shop"], monitor=("127.0.0.1", free_port())) as app:
        await place(app, {"g1": ""})
        owned = await until(lambda: _all_owned(app))
        assert owned == {"projection:OrdersByState": 1, "saga:FulfilOrder": 1, "saga:hurried-order": 1}
        await app.uno.append("order-g2", OrderPlaced(order_id="g2"))  # waits for its shipping
        await until(lambda: _is(app, "uno_saga_open", 1, saga="FulfilOrder", state="open"))
        await app.uno.store.subscriptions.pause("projection:OrdersByState")
        await app.uno.append("order-g3", OrderPlaced(order_id="g3", mode="decline"))
        behind = {"subscription": "projection:OrdersByState"}
        await until(lambda: _is(app, "uno_subscription_paused", 1, **behind))
        page = await until(lambda: _behind(app))
        assert page.value("uno_subscription_lag_seconds", **behind) > 0


async def _all_owned(app: App) -> dict[str, float] | None:
    owned = (await scrape(app)).by("uno_subscription_owned", "subscription")
    return owned if len(owned) == 3 else None


async def _is(app: App, name: str, value: float, **labels: str) -> bool:
    return (await scrape(app)).value(name, **labels) == value


async def _behind(app: App) -> Page | None:
    """The page, once the paused subscription is behind and the other one is not."""
    page = await scrape(app)
    lag = page.by("uno_subscription_lag_events", "subscription")
    return page if "projection:OrdersByState" in lag and "saga:FulfilOrder" not in lag else None


async def test_what_the_auditor_of_a_worker_finds_is_shown_until_it_is_settled(run_app: RunApp, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("uno_workflows.processing.auditor.INTERVAL", timedelta(seconds=0.05))
    monkeypatch.setattr("uno_workflows.app.monitoring.GAUGE_SECONDS", 0.05)
    monkeypatch.setattr("uno_workflows.app.monitoring.GAUGE_SHARE", 1)
    async with run_app(["apps.shop"], monitor=("127.0.0.1", free_port())) as app:
        await place(app, {"a1": ""})
        blind, subscriptions = "projection:Blind", app.uno.store.subscriptions
        await define(app.uno.store, blind, {"OrderPlaced": ""})
        lease = await subscriptions.take_over(blind, owner="test")
        await subscriptions.advance(lease, await app.uno.store.events.bound(), delivered=Delivered())
        await until(lambda: _is(app, "uno_audit_open_findings", 1, subscription=blind))
        assert await _is(app, "uno_audit_open_skipped_events", 1, subscription=blind)
        assert await _is(app, "uno_audit_skipped_events_total", 1, subscription=blind)
        page = await scrape(app)
        assert page.by("uno_audit_open_findings", "subscription") == {blind: 1}
        assert page.of("uno_audit_open_findings", "subscription") == page.of("uno_subscription_halted", "subscription")
        (finding,) = await app.uno.store.audits.findings()
        assert await app.uno.store.audits.settle(finding.id, note="mended by hand")
        await until(lambda: _is(app, "uno_audit_open_findings", 0, subscription=blind))
        await until(lambda: _is(app, "uno_audit_open_skipped_events", 0, subscription=blind))


async def test_temporals_core_counts_each_time_that_a_bug_is_met(run_app: RunApp):
    """The alarm on it asks for this name and this label, and tells of the reason."""
    async with run_app(["apps.telling"], monitor=("127.0.0.1", free_port())) as app:
        await app.uno.append("question-counted", Asked(question="counted", how="bug"))
        kind = {"workflow_type": "Tell", "failure_reason": "WorkflowError"}
        met = partial(_met, app, "temporal_workflow_task_execution_failed_total", **kind)
        await until(partial(met, 1))
        await until(partial(met, 4))
        await app.handle("Tell/counted").terminate()


async def _met(app: App, name: str, number: int, **labels: str) -> bool:
    return (await scrape(app)).value(name, **labels) >= number


async def test_fence_age_is_that_of_the_oldest_open_append(store: PostgresStore):
    stream = "order-1"
    assert (await read_gauges(store.database)).fence_age == 0
    async with store.transaction() as tx:
        await tx.append(stream, OrderPlaced(order_id="1"))

        async def held() -> bool:
            return (await read_gauges(store.database)).fence_age > 0.1

        await until(held)
    after = await read_gauges(store.database)
    assert (after.fence_age, after.head) == (0, 1)


async def test_a_programs_own_registry_shows_its_appends(database: str):
    registry = CollectorRegistry()
    value = registry.get_sample_value
    async with Uno.connect(database_url=database, metrics=registry) as uno:
        order = OrderPlaced(order_id="1")
        first = await uno.append("order-1", [order, order], expected_version=NO_STREAM)
        await uno.append("order-1", [order, order], event_ids=first.event_ids)
        with pytest.raises(WrongExpectedVersion):
            await uno.append("order-1", order, expected_version=NO_STREAM)
        with pytest.raises(RuntimeError):
            await _append_and_fail(uno, order)
        async with uno.transaction() as tx:
            await tx.append("order-2", order)
            await uno.append("order-3", order, tx=tx)
            assert value("uno_events_appended_total", {"event_type": "OrderPlaced"}) == 2
        stored = await uno.store.database.fetch("log_gauges")
        assert stored[0]["head"] > 0
        kind = {"event_type": "OrderPlaced"}
        assert value("uno_events_appended_total", kind) == len([event async for event in uno.store.events.read_all()]) == 4
        assert value("uno_append_duplicates_total", kind) == value("uno_append_conflicts_total", kind) == 1
        assert value("uno_append_duration_seconds_count", {"outcome": "ok"}) == 3
        assert value("uno_append_duration_seconds_count", {"outcome": "refused"}) == 1
        with pytest.raises(ConfigurationError, match="connect once with each CollectorRegistry"):
            async with Uno.connect(database_url=database, metrics=registry):
                pass
    assert not list(registry.collect())


async def _append_and_fail(uno: Uno, order: OrderPlaced) -> None:
    async with uno.transaction() as tx:
        await tx.append("order-2", order)
        raise RuntimeError


async def test_a_worker_whose_address_is_taken_does_not_start(run_app: RunApp):
    port = free_port()
    async with run_app(["apps.shop"], role=Role.SAGAS, monitor=("127.0.0.1", port)):
        with pytest.raises(ConfigurationError, match=f"^UNO_MONITOR=127.0.0.1:{port}: cannot listen there"):
            async with run_app(["apps.shop"], role=Role.SAGAS, monitor=("127.0.0.1", port)):
                pass


async def test_a_worker_is_not_ready_without_its_namespace(temporal: TemporalServer):
    gone = await Client.connect(temporal.address, namespace="gone")
    with pytest.raises(TemporalUnavailable, match="namespace gone: NOT_FOUND"):
        await _check_temporal(gone)
    await _check_temporal(await Client.connect(temporal.address))
