"""Whose child a span is, what it is linked to, and what it tells."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from apps.collector import Collector
from apps.traced import request, traced
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from uno_workflows.events.context import EventContext
from uno_workflows.events.encoding import metadata_bytes
from uno_workflows.events.ids import new_event_id
from uno_workflows.events.names import EventType, GlobalPosition, StreamId, Version
from uno_workflows.events.recorded import StoredEvent
from uno_workflows.observability.traces import SAME_TRACE_FOR, outside_spans, processing, receiving, sending, traceparent

ELSEWHERE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
UNSAMPLED = ELSEWHERE[:-1] + "0"
ID = new_event_id()


@pytest.fixture
def collector() -> Iterator[Collector]:
    with traced(discreet=False) as made:  # our own spans are discreet by themselves
        yield made


def send(context: EventContext | None = None, *types: str) -> EventContext:
    """Append to `order-1`; the context that its events carry."""
    ids = [ID] * (len(types) or 1)
    with sending(context or EventContext(), streams=["order-1"], types=types or ["OrderPlaced"], ids=ids) as made:
        return made


def stored(
    sent_by: str | None, *, age: timedelta = timedelta(0), event_id: UUID = ID, type: str = "OrderPlaced", tenant: str = ""
) -> StoredEvent:
    return StoredEvent(
        position=GlobalPosition(7),
        tenant=tenant,
        stream_id=StreamId("order-1"),
        version=Version(1),
        id=event_id,
        type=EventType(type),
        schema_version=1,
        payload=b'{"card":"4111"}',
        metadata=metadata_bytes(EventContext(correlation_id="c", traceparent=sent_by)),
        recorded_at=datetime.now(UTC) - age,
    )


def process(*events: StoredEvent) -> None:
    with processing("saga:FulfilOrder", events):
        pass


# -- appending


def test_an_append_is_a_child_of_the_span_at_work_and_its_events_name_it(collector: Collector) -> None:
    with request("POST"):
        made = send()
    sent = collector.spans.one("send OrderPlaced")
    assert made.traceparent == f"00-{sent.trace}-{sent.id}-01"
    assert collector.spans.path(sent) == ["POST", "send OrderPlaced"]
    assert sent.kind == "PRODUCER"


def test_a_trace_that_the_context_names_wins_over_another_one_at_work(collector: Collector) -> None:
    with request("consumer of another broker"):
        send(EventContext(traceparent=ELSEWHERE))
    sent = collector.spans.one("send OrderPlaced")
    assert (sent.trace, sent.parent) == (ELSEWHERE[3:35], ELSEWHERE[36:52])


def test_a_span_within_the_trace_that_the_context_names_is_nearer_than_its_root(collector: Collector) -> None:
    with request("root"):
        context = EventContext(traceparent=traceparent())
        with trace.get_tracer("test").start_as_current_span("step"):
            send(context)
    assert collector.spans.path(collector.spans.one("send OrderPlaced")) == ["root", "step", "send OrderPlaced"]


def test_an_append_tells_ids_and_types_and_never_what_an_event_says(collector: Collector) -> None:
    send(EventContext(tenant="acme"))
    assert collector.spans[0].attributes == {
        "messaging.system": "uno",
        "messaging.operation.type": "send",
        "messaging.operation.name": "append",
        "cloudevents.event_type": "OrderPlaced",
        "cloudevents.event_id": str(ID),
        "cloudevents.event_subject": "order-1",
        "uno.tenant": "acme",
    }


def test_an_append_of_several_types_counts_them(collector: Collector) -> None:
    send(None, "OrderPlaced", "OrderShipped", "OrderShipped")
    sent = collector.spans.one("send several types")
    assert sent.attributes["messaging.batch.message_count"] == 3
    assert "cloudevents.event_type" not in sent.attributes


def test_an_error_is_told_by_its_type(collector: Collector) -> None:
    with pytest.raises(ValueError, match="4111"), sending(EventContext(), streams=["s"], types=["A"], ids=[ID]):
        raise ValueError("card 4111 is blocked")
    sent = collector.spans.one("send A")
    assert sent.failed
    assert sent.attributes["error.type"] == "ValueError"
    assert b"4111" not in sent.raw


def test_what_upstream_does_not_sample_is_not_recorded_and_says_so_on_the_way(collector: Collector) -> None:
    made = send(EventContext(traceparent=UNSAMPLED))
    process(stored(made.traceparent))
    assert not collector.spans
    assert made.traceparent is not None
    assert made.traceparent[3:35] == UNSAMPLED[3:35]
    assert made.traceparent.endswith("-00")


def test_a_sampler_that_takes_no_root_takes_no_child() -> None:
    with traced(root=ALWAYS_OFF) as collector:
        process(stored(send().traceparent))
    assert not collector.spans


# -- without a provider


def test_without_a_provider_an_event_carries_what_came_from_outside() -> None:
    assert send().traceparent is None
    assert send(EventContext(traceparent=ELSEWHERE)).traceparent == ELSEWHERE
    with traced() as collector, request("of a program that turns traces off"):
        outer = traceparent()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(trace, "_TRACER_PROVIDER", None)
            assert send().traceparent == outer
            process(stored(ELSEWHERE))
    assert [span.name for span in collector.spans] == ["of a program that turns traces off"]


# -- processing


def test_a_young_event_is_processed_under_its_append(collector: Collector) -> None:
    process(stored(send().traceparent, age=SAME_TRACE_FOR - timedelta(minutes=1), tenant="acme"))
    sent, processed = collector.spans
    assert (processed.trace, processed.parent) == (sent.trace, sent.id)
    assert processed.links == ((sent.trace, sent.id),)
    assert processed.kind == "CONSUMER"
    assert processed.attributes == {
        "messaging.system": "uno",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "cloudevents.event_type": "OrderPlaced",
        "cloudevents.event_id": str(ID),
        "cloudevents.event_subject": "order-1",
        "uno.subscription": "saga:FulfilOrder",
        "uno.position": 7,
        "uno.tenant": "acme",
    }


def test_an_old_event_begins_a_new_trace_that_is_linked_to_its_append(collector: Collector) -> None:
    process(stored(send().traceparent, age=SAME_TRACE_FOR + timedelta(seconds=1)))
    sent, processed = collector.spans
    assert processed.trace != sent.trace
    assert not processed.parent
    assert processed.links == ((sent.trace, sent.id),)


@pytest.mark.parametrize("unknown", [None, "rubbish"])
def test_an_event_whose_append_was_not_traced_begins_a_trace(collector: Collector, unknown: str | None) -> None:
    process(stored(unknown))
    assert not collector.spans[0].parent
    assert not collector.spans[0].links


def test_a_batch_of_one_trace_belongs_to_it_and_one_of_several_begins_its_own(collector: Collector) -> None:
    with request("one"):
        first, second = send().traceparent, send().traceparent
    other = send().traceparent
    process(stored(first), stored(second))
    process(stored(first), stored(other))
    process(stored(first), stored(None))
    together, apart, half_known = collector.spans.named("process OrderPlaced")
    assert second is not None
    assert (together.trace, together.parent) == (second[3:35], second[36:52])
    assert not apart.parent
    assert not half_known.parent
    assert [len(span.links) for span in (together, apart, half_known)] == [2, 2, 1]
    assert together.attributes["messaging.batch.message_count"] == 2


def test_a_page_is_a_trace_of_its_own_that_what_is_processed_is_linked_to(collector: Collector) -> None:
    event = stored(send().traceparent)
    with request("the pump's endless activity"), receiving("saga:FulfilOrder", [event]):
        process(event)
    sent, page, processed = (
        collector.spans.one(name) for name in ("send OrderPlaced", "receive saga:FulfilOrder", "process OrderPlaced")
    )
    assert not page.parent
    assert page.links == ((sent.trace, sent.id),)
    assert processed.links == ((sent.trace, sent.id), (page.trace, page.id))
    assert page.attributes["messaging.batch.message_count"] == 1


def test_a_page_without_events_has_no_span(collector: Collector) -> None:
    with receiving("saga:FulfilOrder", []):
        process()
    assert not collector.spans


def test_a_large_page_has_no_more_links_than_a_span_may(collector: Collector) -> None:
    with receiving("projection:All", [stored(ELSEWHERE[:36] + f"{n:016x}-01") for n in range(1, 501)]):
        pass
    assert len(collector.spans[0].links) == 128


def test_work_that_never_ends_leaves_the_span_around_it(collector: Collector) -> None:
    with request("activity") as around:
        with outside_spans():
            assert not trace.get_current_span().get_span_context().is_valid
        assert trace.get_current_span().get_span_context() == around
