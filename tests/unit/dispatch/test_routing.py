"""Which runs an event belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import pytest
from pydantic import Field

from uno_workflows import Event
from uno_workflows.dispatch.routing import run_keys
from uno_workflows.events.errors import InvalidKey, UndecodableEvent
from uno_workflows.events.ids import new_event_id
from uno_workflows.events.names import EventType, GlobalPosition, StreamId, Version
from uno_workflows.events.recorded import StoredEvent
from uno_workflows.sagas.definition import KeyOf, SagaDefinition


class Placed(Event):
    order_id: str
    region: str = "eu"
    day: date = date(2026, 1, 31)
    made: str = Field(default_factory=lambda: "made")
    none: str | None = None
    number: int = 0
    share: float = 0
    orders: tuple[str, ...] = ()


def stored(payload: bytes, *, tenant: str = "") -> StoredEvent:
    return StoredEvent(
        GlobalPosition(1), tenant, StreamId("order-1"), Version(1), new_event_id(), EventType("Placed"), 1, payload, b"{}",
        datetime.now(UTC),
    )  # fmt: skip


def keys(rule: KeyOf, payload: bytes = b'{"order_id":"a"}', *, tenant: str = "") -> list[str]:
    saga = SagaDefinition("Fulfil", {"Placed": Placed}, {}, {}, {"Placed": rule}, None, None)
    return [key.key for key in run_keys(saga, stored(payload, tenant=tenant))]


@pytest.mark.parametrize(
    ("payload", "key"),
    [
        (b'{"order_id":"a b/c@1"}', "a b/c@1"),
        (b'{"order_id":17}', "17"),
        (b'{"order_id":true}', "True"),
        (b'{"order_id":"a","unknown":[]}', "a"),
    ],
)
def test_field_names_the_key(payload: bytes, key: str):
    assert keys("order_id", payload) == [key]


@pytest.mark.parametrize(("field", "key"), [("region", "eu"), ("number", "0"), ("day", "2026-01-31")])
def test_field_that_an_old_event_lacks_has_its_default_as_a_function_would_see_it(field: str, key: str):
    assert keys(field) == keys(lambda event: str(getattr(event, field))) == [key]
    assert keys(field, b'{"order_id":"a","region":"us","number":7,"day":"2026-02-01"}') != [key]


@pytest.mark.parametrize("field", ["made", "none"])
def test_field_whose_default_is_no_key_or_another_at_each_reading_is_refused(field: str):
    with pytest.raises(InvalidKey, match="missing or null"):
        keys(field)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b'{"order_id":null}', "missing or null"),
        (b"{}", "missing or null"),
        (b'{"order_id":1.5}', "no key"),
        (b'{"order_id":["a"]}', "no key"),
        (b'{"order_id":""}', "empty"),
        (b'{"order_id":" a"}', "blanks at an edge"),
        (b'{"order_id":"a\\u0000"}', "control"),
        (b'{"order_id":"%s"}' % (b"x" * 2001), "at most 2000"),
    ],
)
def test_unusable_field_is_refused_with_the_reason(payload: bytes, reason: str):
    with pytest.raises(InvalidKey, match=reason):
        keys("order_id", payload)


def test_function_may_name_several_runs_each_once_or_none():
    def orders(event: Placed) -> Sequence[str]:
        return event.orders

    assert keys(orders, b'{"order_id":"a","orders":["x","y","x"]}') == ["x", "y"]
    assert keys(orders) == []
    assert keys(lambda event: event.order_id) == ["a"]


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (lambda event: event.nothing, "AttributeError"),
        (lambda event: 1 / 0, "ZeroDivisionError"),
        (lambda event: None, "TypeError"),
        (lambda event: [event.order_id, 7], "returned int; a key is a string"),
        (lambda event: ["a", ""], "empty"),
    ],
)
def test_function_that_fails_is_refused_with_the_reason(rule: Any, reason: str):
    with pytest.raises(InvalidKey, match=reason):
        keys(rule)


def test_event_that_a_function_cannot_read_is_refused():
    with pytest.raises(UndecodableEvent):
        keys(lambda event: event.order_id, b'{"order_id":1}')


def test_event_whose_bytes_are_no_json_is_refused_with_its_position():
    """A plain INSERT may write anything."""
    with pytest.raises(UndecodableEvent, match="Placed at position 1 cannot be decoded"):
        keys("order_id", b"")
    with pytest.raises(InvalidKey, match="missing or null"):
        keys("order_id", b'["order_id"]')


def test_tenant_is_part_of_the_run():
    saga = SagaDefinition("Fulfil", {"Placed": Placed}, {}, {}, {"Placed": "order_id"}, None, None)
    assert run_keys(saga, stored(b'{"order_id":"a"}', tenant="acme"))[0].tenant == "acme"
