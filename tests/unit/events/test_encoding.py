"""Rows of the log from events and back: context, versions, positions."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from uno_workflows.events.base import Event
from uno_workflows.events.context import EventContext, Principal
from uno_workflows.events.encoding import decode, metadata_bytes, parse_metadata, to_new_events
from uno_workflows.events.errors import InvalidEvent, UndecodableEvent, UnknownEventType
from uno_workflows.events.names import EventType, GlobalPosition, StreamId, Version
from uno_workflows.events.recorded import Metadata, StoredEvent
from uno_workflows.events.registry import EventRegistry

ID = UUID("01890000-0000-7000-8000-000000000001")
LATER = UUID("01890000-0000-7000-8000-000000000002")
WHOLE = EventContext("c-1", "e-0", Principal("u-7", "service"), "acme", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")


class OrderPlaced(Event, schema_version=2):
    order_id: str


def to_new_event(event, event_id, context):
    return to_new_events([event], [event_id], context)[0]


def stored(**changes):
    new = to_new_event(OrderPlaced(order_id="1"), ID, WHOLE)
    fields = {
        "position": GlobalPosition(42),
        "tenant": "acme",
        "stream_id": StreamId("order-1"),
        "version": Version(3),
        "id": new.id,
        "type": new.type,
        "schema_version": new.schema_version,
        "payload": new.payload,
        "metadata": new.metadata,
        "recorded_at": datetime(2026, 1, 1, tzinfo=UTC),
    }
    return StoredEvent(**(fields | changes))


def test_a_new_event_is_complete_and_exact():
    new = to_new_event(OrderPlaced(order_id="1"), ID, EventContext(correlation_id="c-1"))
    assert (new.id, new.type, new.schema_version, new.payload) == (ID, "OrderPlaced", 2, b'{"order_id":"1"}')
    assert new.metadata == b'{"correlation_id":"c-1"}'


def test_an_event_without_a_conversation_begins_one():
    new = to_new_event(OrderPlaced(order_id="1"), ID, EventContext())
    assert parse_metadata(new.metadata) == Metadata(str(ID))


def test_a_batch_is_one_conversation_which_its_first_event_begins():
    batch = [OrderPlaced(order_id="1"), OrderPlaced(order_id="2")]
    first, second = to_new_events(batch, [ID, LATER], EventContext())
    assert (first.id, second.id) == (ID, LATER)
    assert (first.payload, second.payload) == (b'{"order_id":"1"}', b'{"order_id":"2"}')
    assert parse_metadata(first.metadata) == parse_metadata(second.metadata) == Metadata(str(ID))
    assert to_new_events([], [], EventContext()) == []


def test_metadata_comes_back_whole():
    assert parse_metadata(metadata_bytes(WHOLE)) == Metadata("c-1", "e-0", Principal("u-7", "service"), WHOLE.traceparent)


@pytest.mark.parametrize(
    ("stored_before", "read"),
    [
        (b'{"correlation_id":"c","principal":{"id":42,"kind":"user"}}', Metadata("c", None, Principal("42"))),
        (b'{"correlation_id":"c","causation_id":5}', Metadata("c", "5")),
    ],
)
def test_metadata_that_an_earlier_version_stored_with_numbers_is_read(stored_before, read):
    assert parse_metadata(stored_before) == read


def test_metadata_is_read_back_before_it_is_stored():
    context = EventContext("c-1", causation_id="e-0")
    object.__setattr__(context, "causation_id", 5)
    with pytest.raises(ValueError, match="come back as something else"):
        metadata_bytes(context)


def test_metadata_of_a_later_version_is_read():
    assert parse_metadata(b'{"correlation_id":"c","new":{"a":1}}') == Metadata("c")


@pytest.mark.parametrize(
    "context",
    [
        EventContext("c\0"),
        EventContext("\ud800"),
        EventContext("c", causation_id="\0"),
        EventContext("c", principal=Principal("a\0")),
        EventContext("c" * 20_000),
    ],
    ids=range(5),
)
def test_a_context_that_cannot_be_stored_is_refused(context):
    with pytest.raises(ValueError, match="metadata"):
        metadata_bytes(context)
    with pytest.raises(InvalidEvent, match="its context cannot be stored"):
        to_new_event(OrderPlaced(order_id="1"), ID, context)


def test_the_correlation_id_is_decided_before_metadata_is_written():
    with pytest.raises(ValueError, match="correlation id"):
        metadata_bytes(EventContext())


@pytest.mark.parametrize(
    "spoilt", [b"", b"[]", b"{}", b'{"correlation_id":1}', b'{"correlation_id":"c","principal":"u"}', b"\xff"]
)
def test_spoilt_metadata_is_named_with_its_position(spoilt):
    with pytest.raises(ValueError, match=r"."):
        parse_metadata(spoilt)
    with pytest.raises(UndecodableEvent, match="OrderPlaced at position 42"):
        EventRegistry([OrderPlaced]).decode(stored(metadata=spoilt))


def test_a_row_is_decoded_by_its_type():
    recorded = EventRegistry([OrderPlaced]).decode(stored())
    assert recorded.event == OrderPlaced(order_id="1")
    assert (recorded.id, recorded.type, recorded.schema_version) == (ID, "OrderPlaced", 2)
    assert (recorded.stream_id, recorded.version, recorded.position, recorded.tenant) == ("order-1", 3, 42, "acme")
    assert recorded.metadata.principal == Principal("u-7", "service")
    assert recorded.recorded_at == datetime(2026, 1, 1, tzinfo=UTC)


def test_newer_and_older_schema_versions_say_what_is_missing():
    registry = EventRegistry([OrderPlaced])
    with pytest.raises(UndecodableEvent, match=r"position 42.*newer code, as schema version 3; this code knows up to 2"):
        registry.decode(stored(schema_version=3))
    with pytest.raises(UndecodableEvent, match=r"position 42.*upcaster from 1 to 2"):
        registry.decode(stored(schema_version=1))


def test_a_payload_that_does_not_fit_names_position_and_field():
    with pytest.raises(UndecodableEvent) as caught:
        EventRegistry([OrderPlaced]).decode(stored(payload=b'{"order_id":"secret","x":1,"order_id":7}'))
    assert (caught.value.event_type, caught.value.position) == ("OrderPlaced", 42)
    assert caught.value.reason.startswith("order_id: ")


def test_an_unknown_type_names_its_position_and_a_likely_one():
    with pytest.raises(UnknownEventType, match=r"'OrderPlacd' at position 42 .*did you mean 'OrderPlaced'"):
        EventRegistry([OrderPlaced]).decode(stored(type=EventType("OrderPlacd")))


def test_without_a_position_none_is_named():
    with pytest.raises(UndecodableEvent, match="event OrderPlaced cannot be decoded"):
        decode(OrderPlaced, b"{}", schema_version=2)
