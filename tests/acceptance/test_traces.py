"""One order is one trace, from the request over the log and the dispatcher to every saga, step and read model, in any process."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from acceptance.shop import Process, Shop, until
from acceptance.waterfall import draw
from apps.collector import Collector, Spans, collecting

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "trace-of-an-order.svg"
MODULES = ("apps.shop", "apps.thanks")
LAST = ("RunWorkflow:ThankCustomer", "RunWorkflow:FulfilOrder")

RUN = "POST /orders > send OrderPlaced > process OrderPlaced > StartWorkflow:FulfilOrder > RunWorkflow:FulfilOrder"
SENT = f"{RUN} > StartActivity:uno.emit > RunActivity:uno.emit > send OrderFulfilled"
THANKS = f"{SENT} > process OrderFulfilled > StartWorkflow:ThankCustomer > RunWorkflow:ThankCustomer"
SHIPPED = "POST /orders > send OrderShipped > process OrderShipped"
TREE = [
    "storefront: POST /orders",
    "storefront: POST /orders > send OrderPlaced",
    "storefront: POST /orders > send OrderShipped",
    "dispatch: POST /orders > send OrderPlaced > process OrderPlaced",
    "dispatch: POST /orders > send OrderPlaced > process OrderPlaced > StartWorkflow:FulfilOrder",
    f"dispatch: {SHIPPED}",  # for HurriedOrder, which has no run and sets it aside
    f"dispatch: {SHIPPED}",
    f"dispatch: {SHIPPED} > SignalWorkflow:uno.event",
    f"sagas: {SHIPPED} > SignalWorkflow:uno.event > HandleSignal:uno.event",
    f"sagas: {RUN}",
    *(
        f"sagas: {RUN} > StartActivity:{step}{ran}"
        for step in ("reserve_stock", "charge_card", "pack", "print_label", "uno.emit", "uno.close")
        for ran in ("", f" > RunActivity:{step}")
    ),
    f"sagas: {RUN} > StartActivity:reserve_stock > RunActivity:reserve_stock > send StockReserved",
    f"sagas: {SENT}",
    f"dispatch: {SENT} > process OrderFulfilled",
    f"dispatch: {SENT} > process OrderFulfilled > StartWorkflow:ThankCustomer",
    f"sagas: {THANKS}",
    *(
        f"sagas: {THANKS}{above} > StartActivity:{step}{ran}"
        for above, step in ((" > thank", "write_letter"), ("", "uno.close"))
        for ran in ("", f" > RunActivity:{step}")
    ),
    f"sagas: {THANKS} > thank",  # a span of the saga's own
]
"""Every span of an order that is fulfilled, but for those of projections: its process, and the way to it from the root."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as made:
        yield made


def environment(collector: Collector, service: str) -> dict[str, str]:
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
        "OTEL_SERVICE_NAME": service,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }


def worker(shop: Shop, collector: Collector, role: str) -> Process:
    return shop.start(["worker", *MODULES, "--role", role], UNO_GRACE="1s", **environment(collector, role))


async def workers(shop: Shop, collector: Collector) -> list[Process]:
    """A process for each role, reading what the modules declare."""
    made = [worker(shop, collector, role) for role in ("dispatch", "sagas", "projections")]
    names = {"saga:FulfilOrder", "saga:ThankCustomer", "projection:OrdersByState"}

    async def owned() -> bool:
        assert all(process.code is None for process in made), [process.words for process in made]
        found = {status.name: status.owner for status in await shop.uno.store.subscriptions.statuses()}
        return all(found.get(name) for name in names)

    for process in made:
        await process.ready()
    await until(owned, what="every subscription is read")
    return made


async def order(shop: Shop, collector: Collector, number: object, *, mode: str = "") -> str:
    """Have a process of the customers' place one order; it is shipped at once."""
    placed = shop.order(number)
    env = {**shop.environment, **environment(collector, "storefront")}
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "apps.storefront", placed, mode, env=env)
    assert await process.wait() == 0
    return placed


def trace_of(order: str, spans: Spans) -> Spans:
    """The trace that an order was placed in."""
    return spans.of(spans.one("send OrderPlaced", cloudevents__event_subject=f"order-{order}").trace)


def tree(spans: Spans) -> list[str]:
    return [f"{span.process[0]}: {' > '.join(spans.path(span))}" for span in spans]


def check_pages(trace: Spans, spans: Spans) -> None:
    """Whatever was processed is linked to its append and to the page it came in, and a page is a trace of its own."""
    by_id = {(span.trace, span.id): span for span in spans}
    processed = [span for span in trace if span.name.startswith("process ")]
    assert processed
    for span in processed:
        *appends, page = (by_id[link] for link in span.links)
        assert {append.trace for append in appends} == {trace[0].trace}
        assert appends[-1].id == span.parent
        assert page.name == f"receive {span.attributes['uno.subscription']}"
        assert page.process == span.process
        assert not page.parent
        assert len(spans.of(page.trace)) == 1
        assert set(span.links[:-1]) <= set(page.links)


async def arrived(collector: Collector, *names: str) -> Spans:
    """Wait until spans of these names have arrived; the spans of their trace."""

    def there() -> bool:
        return set(names) <= {span.name for span in collector.spans}

    await until(there, what=f"{names} among {sorted({span.name for span in collector.spans})}")
    return collector.spans


async def test_an_order_is_one_trace_over_four_processes(
    shop: Shop, collector: Collector, request: pytest.FixtureRequest
) -> None:
    processes = await workers(shop, collector)
    first = await order(shop, collector, 1)
    await arrived(collector, *LAST)
    second = await order(shop, collector, 2)
    await until(lambda: len(collector.spans.named(LAST[0])) == len(collector.spans.named(LAST[1])) == 2, what="both orders")
    for process in processes:
        await process.stop()  # and sends its last spans
    for placed in (first, second):
        spans = trace_of(placed, collector.spans)
        assert {span.process[0] for span in spans} == {"storefront", "dispatch", "sagas", "projections"}
        assert len({span.process[1] for span in spans}) == 4
        assert sorted(line for line in tree(spans) if not line.startswith("projections")) == sorted(TREE)
        folded = {link for span in spans if span.process[0] == "projections" for link in span.links}
        assert folded >= {(span.trace, span.id) for span in spans if span.name in ("send OrderPlaced", "send OrderFulfilled")}
        assert not spans.doubled()
        check_pages(spans, collector.spans)
    if request.config.getoption("--draw-trace"):
        spans = trace_of(second, collector.spans)
        linked = {link for span in spans for link in span.links}
        pages = [span for span in collector.spans if span.name.startswith("receive ") and (span.trace, span.id) in linked]
        PICTURE.write_text(draw(spans, Spans(pages)))


@pytest.mark.parametrize("end", ["killed", "told to stop"])
async def test_a_run_whose_worker_is_replaced_has_no_span_twice(shop: Shop, collector: Collector, end: str) -> None:
    """The second one replays the run, repeats the step that was cut off, and ends what the first one began."""
    _, first, _ = await workers(shop, collector)
    placed = await order(shop, collector, 1, mode="hold")
    await arrived(collector, "StartActivity:pack", "RunActivity:print_label", "HandleSignal:uno.event")
    await until(lambda: shop.keys("pack", placed))
    await (first.kill() if end == "killed" else first.stop())
    heir = worker(shop, collector, "sagas")
    await heir.ready()
    shop.let("go")
    await arrived(collector, *LAST)
    for process in shop.processes:
        if process is not first:
            await process.stop()
    spans = trace_of(placed, collector.spans)
    twice = [f"sagas: {RUN} > StartActivity:pack > RunActivity:pack"] if end == "told to stop" else []  # it tells what it cut off
    assert sorted(line for line in tree(spans) if not line.startswith("projections")) == sorted(TREE + twice)
    assert not spans.doubled()
    run, pack = spans.one("RunWorkflow:FulfilOrder"), spans.named("RunActivity:pack")[-1]
    assert run.process[1] == pack.process[1] == heir.pid
    assert pack.attributes["uno.attempt"] == 2
    assert spans.one("RunActivity:charge_card").process[1] == first.pid
    assert run.began <= spans.one("StartActivity:reserve_stock").began
    assert run.ended >= pack.ended


async def test_a_collector_that_is_down_stops_nobody_and_is_named_once(shop: Shop) -> None:
    nowhere = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
    }
    alone = shop.worker(**nowhere)
    await shop.pumped(alone)
    for number in range(3):
        await shop.place(number)
        await shop.settled()
        await alone.says("spans_dropped: ")
    await alone.stop()
    lines = [line for line in alone.words.splitlines() if "spans_dropped" in line or "opentelemetry" in line]
    assert len(lines) == 1, lines


async def test_without_a_word_in_the_environment_nothing_is_sent_or_kept(shop: Shop) -> None:
    alone = shop.worker()
    await shop.pumped(alone)
    placed = await shop.place(1)
    await shop.settled()
    async with shop.sql() as connection:
        metadata = await connection.fetch(
            "select convert_from(metadata, 'UTF8') from uno.events where stream_id = $1", f"order-{placed}"
        )
    assert len(metadata) == 3
    assert not any("traceparent" in text for (text,) in metadata)


async def test_what_the_environment_asks_for_and_is_not_there_is_refused_in_words(shop: Shop) -> None:
    said = await shop.cli("worker", *MODULES, OTEL_TRACES_EXPORTER="zipkin", OTEL_EXPORTER_OTLP_PROTOCOL="grpc")
    assert said.code == 2
    assert "OTEL_TRACES_EXPORTER=zipkin" in said.err
    assert "OTEL_EXPORTER_OTLP_PROTOCOL=grpc" in said.err
