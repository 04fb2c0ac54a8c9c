"""What the last look finds in the log for a run, without a server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from uno_workflows import Event, Saga
from uno_workflows.dispatch import missed as module
from uno_workflows.dispatch.missed import MissedEvents
from uno_workflows.events.context import EventContext
from uno_workflows.events.encoding import to_new_events
from uno_workflows.events.recorded import StoredEvent
from uno_workflows.sagas.envelope import Delivery, LookRequest
from uno_workflows.sagas.inbox import Inbox

EPOCH = UUID(int=1)


class Placed(Event):
    order_id: str


class Shipped(Event):
    order_id: str
    note: str = ""


class Order(Saga, starts_on=Placed, expects=Shipped, key="order_id"):
    async def run(self, order: Placed) -> None: ...


class Log:
    """Events at their positions."""

    def __init__(self, *events: tuple[int, str, Event]) -> None:
        self.events = [_stored(position, tenant, event) for position, tenant, event in events]
        self.asked: list[tuple[Any, ...]] = []

    async def epoch(self) -> UUID:
        return EPOCH

    async def read_all(self, *, after: int, upto: int, types: list[str]) -> AsyncIterator[StoredEvent]:
        self.asked.append((after, upto, types))
        for event in self.events:
            if after < event.position <= upto and event.type in types:
                yield event


def _stored(position: int, tenant: str, event: Event) -> StoredEvent:
    (made,) = to_new_events([event], [uuid4()], EventContext(correlation_id="talk"))
    at = datetime.now(UTC)
    values: Any = (position, tenant, "order-1", position, made.id, made.type, 1, made.payload, made.metadata, at)
    return StoredEvent._make(values)


async def look(log: Log, key: str = "1", tenant: str = "") -> list[Delivery]:
    assert Order.__uno_saga__ is not None
    request = LookRequest(subscription="saga:Order", types=("Shipped",), saga="Order", tenant=tenant, key=key, since=10)
    found = await MissedEvents(cast("Any", log), {"Order": Order.__uno_saga__})(request, "Shipped", 20)
    return [Delivery.model_validate(one) for one in found]


async def test_only_events_of_the_run_behind_its_start_are_found() -> None:
    log = Log(
        (9, "", Shipped(order_id="1")),
        (11, "", Shipped(order_id="2")),
        (12, "", Placed(order_id="1")),
        (13, "", Shipped(order_id="1", note="this")),
        (14, "acme", Shipped(order_id="1")),
        (20, "", Shipped(order_id="1", note="and this")),
        (21, "", Shipped(order_id="1")),
    )
    found = await look(log)
    assert [(one.position, one.data["note"], one.redelivered, one.epoch) for one in found] == [
        (13, "this", True, EPOCH),
        (20, "and this", True, EPOCH),
    ]
    assert log.asked == [(10, 20, ["Shipped"])]
    assert [one.position for one in await look(log, tenant="acme")] == [14]


async def test_an_event_that_the_run_had_already_is_not_taken_twice() -> None:
    """The type was taken away and given back: a part of what lies before was delivered."""
    log = Log((13, "", Shipped(order_id="1")), (14, "", Shipped(order_id="1")))
    had, other = await look(log)
    inbox = Inbox(frozenset(), frozenset({"Shipped"}))
    assert inbox.accept(had.model_copy(update={"redelivered": False}))
    later = had.model_copy(update={"redelivered": False, "event_id": uuid4(), "version": 99})
    assert inbox.accept(later), "of a stream that is further by its mark than what was missed"
    assert not inbox.accept(had)
    assert inbox.accept(other), "by its id it is new, though the mark of its stream has passed it"


async def test_what_is_large_together_travels_as_a_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "INLINE_BYTES", 1_000)
    found = await look(Log(*((position, "", Shipped(order_id="1", note="x" * 300)) for position in (11, 12, 13))))
    assert [one.data is None for one in found] == [False, True, True]


async def test_one_look_finds_so_many_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    found = await look(Log(*((position, "", Shipped(order_id="1")) for position in (11, 12, 13))))
    assert [one.position for one in found] == [11, 12]
