"""CloudEvents 1.0, both ways."""

import base64
import json
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from uno_workflows.events.base import Event
from uno_workflows.events.context import EventContext, Principal
from uno_workflows.events.errors import InvalidEvent, UnknownEventType
from uno_workflows.events.names import EventType, GlobalPosition, StreamId, Version
from uno_workflows.events.recorded import Metadata, Recorded
from uno_workflows.events.registry import EventRegistry
from uno_workflows.events.standards import from_cloudevent, to_cloudevent

ID = UUID("01890000-0000-7000-8000-000000000001")


class OrderPlaced(Event, schema_version=2):
    order_id: str
    total: Decimal


REGISTRY = EventRegistry([OrderPlaced])
RECORDED = Recorded(
    event=OrderPlaced(order_id="1", total=Decimal("1.10")),
    id=ID,
    type=EventType("OrderPlaced"),
    schema_version=2,
    stream_id=StreamId("order-1"),
    version=Version(1),
    position=GlobalPosition(7),
    recorded_at=datetime(2026, 1, 1, 12, 0, 0, 5, tzinfo=UTC),
    tenant="acme",
    metadata=Metadata("c-1", "e-0", Principal("u-7"), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
)
MINIMAL = {"specversion": "1.0", "id": "7", "source": "/shop", "type": "OrderPlaced", "data": {"order_id": "1", "total": "2.50"}}


def test_a_recorded_event_becomes_a_cloudevent_and_comes_back():
    sent = json.loads(json.dumps(to_cloudevent(RECORDED, source="/shop")))
    assert sent == {
        "specversion": "1.0",
        "id": str(ID),
        "source": "/shop",
        "type": "OrderPlaced",
        "subject": "order-1",
        "time": "2026-01-01T12:00:00.000005Z",
        "datacontenttype": "application/json",
        "schemaversion": 2,
        "correlationid": "c-1",
        "causationid": "e-0",
        "principalid": "u-7",
        "principalkind": "user",
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "tenant": "acme",
        "data": {"order_id": "1", "total": "1.10"},
    }
    received = from_cloudevent(sent, REGISTRY)
    assert received.event == RECORDED.event
    assert (received.id, received.event_id, received.source, received.subject) == (str(ID), ID, "/shop", "order-1")
    assert received.time == RECORDED.recorded_at
    assert received.context == EventContext("c-1", "e-0", Principal("u-7"), "acme", RECORDED.metadata.traceparent)


def test_names_of_attributes_are_lower_case_letters_and_digits():
    assert all(name.isalnum() and name == name.lower() and len(name) <= 20 for name in to_cloudevent(RECORDED, source="/s"))


def test_the_least_that_a_cloudevent_needs():
    received = from_cloudevent(MINIMAL, REGISTRY)
    assert received.event.total == Decimal("2.50")
    assert (received.subject, received.time, received.context) == (None, None, EventContext())


def test_a_foreign_id_always_gives_the_same_event_id():
    first, again = from_cloudevent(MINIMAL, REGISTRY), from_cloudevent(dict(MINIMAL), REGISTRY)
    other = from_cloudevent(MINIMAL | {"source": "/billing"}, REGISTRY)
    assert first.event_id == again.event_id != other.event_id
    assert first.event_id.version == 7


def test_binary_data_is_read():
    body = base64.b64encode(b'{"order_id":"1","total":"2.50"}').decode()
    sent = {name: value for name, value in MINIMAL.items() if name != "data"} | {"data_base64": body}
    assert from_cloudevent(sent, REGISTRY).event.order_id == "1"
    with pytest.raises(InvalidEvent, match="only one of"):
        from_cloudevent(MINIMAL | {"data_base64": body}, REGISTRY)
    with pytest.raises(InvalidEvent, match="not JSON"):
        from_cloudevent(sent | {"data_base64": "%%"}, REGISTRY)


@pytest.mark.parametrize("name", ["specversion", "id", "source", "type"])
@pytest.mark.parametrize("value", [None, "", 7])
def test_required_attributes_are_named(name, value):
    with pytest.raises(InvalidEvent) as caught:
        from_cloudevent(MINIMAL | {name: value}, REGISTRY)
    assert caught.value.path == name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("specversion", "0.3"),
        ("datacontenttype", "text/xml"),
        ("time", "yesterday"),
        ("time", "2026-01-01"),
        ("time", "2026-01-01T00:00:00"),
        ("time", "\ud800"),
        ("schemaversion", "2"),
        ("schemaversion", True),
        ("subject", ""),
        ("tenant", " acme"),
        ("correlationid", 7),
        ("data", None),
        ("data", "{}"),
        ("data", {"order_id": "1", "total": 2.5}),
        ("data", {"order_id": object()}),
    ],
)
def test_wrong_attributes_are_named(name, value):
    with pytest.raises(InvalidEvent) as caught:
        from_cloudevent(MINIMAL | {name: value}, REGISTRY)
    assert caught.value.path == name


def test_an_unknown_type_and_another_version_are_said():
    with pytest.raises(UnknownEventType):
        from_cloudevent(MINIMAL | {"type": "Other"}, REGISTRY)
    with pytest.raises(InvalidEvent, match="upcaster"):
        from_cloudevent(MINIMAL | {"schemaversion": 1}, REGISTRY)
    with pytest.raises(ValueError, match="source"):
        to_cloudevent(RECORDED, source="")
