"""Spans of the event store: one for each append, each page that is read and each event that is processed (ADR 0016).

Names and attributes are OpenTelemetry's messaging conventions and its CloudEvents attributes; what they have no word for begins
with `uno.`. Ids, types, positions and the tenant are in them; what an event says, or an error, never is. The program installs a
tracer provider, or nobody does: then nothing is made, at the price of one comparison.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Final
from uuid import UUID

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from uno_workflows.events.context import EventContext
from uno_workflows.events.encoding import parse_metadata
from uno_workflows.events.recorded import StoredEvent

SAME_TRACE_FOR: Final = timedelta(minutes=15)
"""An event that is processed later than this after it was appended begins a new trace. Collectors judge a trace as a whole, and
wait for its last span for minutes, not hours; a rebuilt read model must not add a million spans to the traces of last year."""
LINKS: Final = 128
"""Links of a span at most; the SDK would drop those beyond, its limit being the same."""

TRACER: Final = trace.get_tracer("uno_workflows", version("uno-workflows"))
_W3C: Final = TraceContextTextMapPropagator()  # an event's traceparent is W3C's, whatever the program sends over HTTP


def traced() -> bool:
    """Whether the program has installed a tracer provider."""
    return not isinstance(trace.get_tracer_provider(), (trace.ProxyTracerProvider, trace.NoOpTracerProvider))


def traceparent() -> str | None:
    """The span at work, as W3C writes it; `None` outside of any."""
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return None
    return f"00-{trace.format_trace_id(span.trace_id)}-{trace.format_span_id(span.span_id)}-{span.trace_flags:02x}"


@contextmanager
def sending(
    context: EventContext, *, streams: Collection[str], types: Iterable[str], ids: Sequence[UUID]
) -> Iterator[EventContext]:
    """A span around an append: `send OrderPlaced`.

    It is a child of the trace that the context names, and of the nearest span if that belongs to the same trace.

    Args:
        context: Of the events.
        streams: That are appended to.
        types: Of the events, one each.
        ids: Of the events.

    Yields:
        The context that the events must carry, so that whoever processes them continues this trace.
    """
    if not traced():
        found = None if context.traceparent else traceparent()  # what a program only passes on is passed on
        yield replace(context, traceparent=found) if found else context
        return
    attributes = _messaging("send", "append", list(types))
    if len(streams) == 1:
        attributes["cloudevents.event_subject"] = next(iter(streams))
    if len(ids) == 1:
        attributes["cloudevents.event_id"] = str(ids[0])
    if context.tenant:
        attributes["uno.tenant"] = context.tenant
    with _span("send", attributes, kind=SpanKind.PRODUCER, parent=_nearest(context.traceparent)):
        yield replace(context, traceparent=traceparent())


@contextmanager
def receiving(subscription: str, events: Sequence[StoredEvent]) -> Iterator[None]:
    """A span around a page that was read: a trace of its own, linked to the appends. An empty page has none."""
    if not events or not traced():
        yield
        return
    attributes = _messaging("receive", "receive", [event.type for event in events])
    attributes |= {"uno.subscription": subscription, "uno.position": events[-1].position}
    links = _links(filter(None, map(_origin, events[:LINKS])))
    with _span("receive", attributes, kind=SpanKind.CLIENT, parent=Context(), links=links, of=subscription):
        yield


@contextmanager
def processing(
    subscription: str, events: Sequence[StoredEvent], attributes: Mapping[str, AttributeValue] | None = None
) -> Iterator[None]:
    """A span around what a subscription does with one event, or with a batch: `process OrderPlaced`.

    Where all come from one trace and are young, it is a child of the last one's append; else it begins a new trace. It is linked
    to the appends, and to the page that is at work.
    """
    if not events or not traced():
        yield
        return
    found = [origin for event in events if (origin := _origin(event))]
    given = _messaging("process", "process", [event.type for event in events])
    given |= {"uno.subscription": subscription, "uno.position": events[-1].position, **(attributes or {})}
    if len(events) == 1:
        given |= {"cloudevents.event_id": str(events[0].id), "cloudevents.event_subject": events[0].stream_id}
    if tenants := {event.tenant for event in events if event.tenant}:
        given["uno.tenant"] = sorted(tenants)[0] if len(tenants) == 1 else sorted(tenants)
    page = trace.get_current_span().get_span_context()
    links = _links([*found[: LINKS - 1], *([page] if page.is_valid else [])])
    with _span("process", given, kind=SpanKind.CONSUMER, parent=_parent(events, found), links=links):
        yield


@contextmanager
def outside_spans() -> Iterator[None]:
    """Leave the span at work, for work that never ends: its pages would all land in one trace, and that in no collector."""
    token = otel.attach(Context())
    try:
        yield
    finally:
        otel.detach(token)


@contextmanager
def _span(
    verb: str,
    attributes: Mapping[str, AttributeValue],
    *,
    kind: SpanKind,
    parent: Context,
    links: Sequence[Link] = (),
    of: str | None = None,
) -> Iterator[None]:
    """A span that knows of an error only its type: its message may hold anything."""
    name = f"{verb} {of or attributes.get('cloudevents.event_type', 'several types')}"
    with TRACER.start_as_current_span(
        name,
        context=parent,
        kind=kind,
        attributes=attributes,
        links=links,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield
        except Exception as err:
            span.set_status(Status(StatusCode.ERROR))
            span.set_attribute("error.type", type(err).__qualname__)
            raise


def _messaging(operation: str, name: str, types: Sequence[str]) -> dict[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {
        "messaging.system": "uno",
        "messaging.operation.type": operation,
        "messaging.operation.name": name,
    }
    if len(types) > 1 or operation == "receive":
        attributes["messaging.batch.message_count"] = len(types)
    if len(different := set(types)) == 1:
        attributes["cloudevents.event_type"] = different.pop()
    return attributes


def _nearest(given: str | None) -> Context:
    """The context to append under: a trace that is given wins over another one at work, its own descendants win over it."""
    here = trace.get_current_span().get_span_context()
    if given is None or (here.is_valid and trace.format_trace_id(here.trace_id) in given):
        return otel.get_current()
    return _W3C.extract({"traceparent": given}, context=otel.get_current())


def _origin(event: StoredEvent) -> SpanContext | None:
    """The span that appended an event, if that is known."""
    try:
        given = parse_metadata(event.metadata).traceparent
    except ValueError:  # whoever handles the event says so; a trace must not be what fails
        return None
    if given is None:
        return None
    found = trace.get_current_span(_W3C.extract({"traceparent": given}, context=Context())).get_span_context()
    return found if found.is_valid else None


def _parent(events: Sequence[StoredEvent], origins: Sequence[SpanContext]) -> Context:
    oldest = min(event.recorded_at for event in events)
    one = len(origins) == len(events) and len({origin.trace_id for origin in origins}) == 1
    if one and datetime.now(UTC) - oldest < SAME_TRACE_FOR:
        return trace.set_span_in_context(trace.NonRecordingSpan(origins[-1]), Context())
    return Context()


def _links(spans: Iterable[SpanContext]) -> list[Link]:
    return [Link(span) for span in {(span.trace_id, span.span_id): span for span in spans}.values()]
