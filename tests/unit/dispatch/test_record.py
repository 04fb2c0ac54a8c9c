"""What a dispatcher's session reports as delivered, without Postgres or Temporal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from patience import LIMIT
from prometheus_client import CollectorRegistry

from uno_workflows.dispatch import dispatcher as module
from uno_workflows.dispatch.dispatcher import DispatchSession, DispatchSettings
from uno_workflows.events.errors import SubscriptionHalted, UnoError
from uno_workflows.events.names import EventType, GlobalPosition, StreamId, Version
from uno_workflows.events.recorded import StoredEvent
from uno_workflows.events.runs import RunKey
from uno_workflows.events.subscriptions import Delivered, Lease, Page
from uno_workflows.observability.metrics import Metrics
from uno_workflows.observability.outages import Outages
from uno_workflows.observability.unmeasured import UNMEASURED


class Checkpoints:
    """Remembers each move: to where, and what was reported."""

    def __init__(self) -> None:
        self.moves: list[tuple[int, list[int]]] = []

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        yield

    async def advance(self, lease: Lease, to: GlobalPosition, *, delivered: Delivered, tx: object) -> Lease:
        self.moves.append((to, [position for position, _ in delivered.events]))
        return replace(lease, position=to)

    async def check(self, lease: Lease) -> bool:
        return True


def stored(position: int) -> StoredEvent:
    return StoredEvent(
        GlobalPosition(position), "", StreamId("s-1"), Version(1), UUID(int=position), EventType("Told"), 1, b"{}", b"{}",
        datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip


def page(*positions: int, upto: int) -> Page:
    return Page([stored(position) for position in positions], GlobalPosition(upto))


@pytest.fixture
def gates() -> dict[int, asyncio.Event]:
    """Deliveries of these positions wait."""
    return {}


@pytest.fixture
def session(gates: dict[int, asyncio.Event], monkeypatch: pytest.MonkeyPatch) -> DispatchSession:
    """Positions are for one run, every third for nobody, those above 90 cannot be routed."""

    def keys(_: object, event: StoredEvent) -> list[RunKey]:
        if event.position > 90:
            raise UnoError("no key")
        return [] if event.position % 3 == 0 else [RunKey("S", "", str(event.position))]

    async def deliver(event: StoredEvent, key: RunKey) -> str:
        if event.position in gates:
            await gates[event.position].wait()
        return "delivered"

    async def nothing(*_: Any) -> None: ...

    monkeypatch.setattr(module, "run_keys", keys)
    feeder = SimpleNamespace(started=[], look_up=nothing, deliver=deliver)
    monkeypatch.setattr(module, "Feeder", lambda *_: feeder)
    saga = SimpleNamespace(name="S", starts_on=())
    owner: Any = SimpleNamespace(
        saga=saga, temporal=None, events=None, runs=None, subscriptions=Checkpoints(), settings=DispatchSettings(),
        handles={"Told": "start:key"}, subscription="saga:S", outages=Outages(), measures=UNMEASURED,
    )  # fmt: skip
    return DispatchSession(owner, Lease("saga:S", GlobalPosition(0), 1, UUID(int=0)), asyncio.Event())


def moves(session: DispatchSession) -> list[tuple[int, list[int]]]:
    made: list[tuple[int, list[int]]] = session._dispatcher.subscriptions.moves  # type: ignore[attr-defined]  (the fake's)
    return made


async def recorded(session: DispatchSession, number: int) -> None:
    async with asyncio.timeout(LIMIT):
        while len(session._record) < number:
            await asyncio.sleep(0)


async def test_a_checkpoint_reports_what_ended_and_what_was_for_nobody(session: DispatchSession):
    await session.take(page(1, 2, 3, 4, upto=9))
    await session.drain()
    await session.write_checkpoint()
    assert moves(session) == [(9, [1, 2, 3, 4])]


async def test_what_ended_behind_an_unfinished_event_is_reported_with_it(
    session: DispatchSession, gates: dict[int, asyncio.Event]
):
    gates[4] = asyncio.Event()
    await session.take(page(1, 2, 4, 5, 6, 7, upto=9))
    await recorded(session, 5)
    await session.write_checkpoint()
    gates[4].set()
    await session.drain()
    await session.write_checkpoint()
    assert moves(session) == [(3, [1, 2]), (9, [4, 5, 6, 7])]


async def test_what_ended_behind_an_unfinished_event_is_counted_with_it_and_not_before(
    session: DispatchSession, gates: dict[int, asyncio.Event]
):
    """The next lease may deliver it again, and then counts it."""
    registry = CollectorRegistry()
    session._dispatcher.measures = Metrics(registry)
    labels = {"subscription": "saga:S", "outcome": "delivered"}
    gates[5] = asyncio.Event()
    await session.take(page(1, 2, 4, 5, 7, upto=9))
    await recorded(session, 4)
    await session.write_checkpoint()
    assert registry.get_sample_value("uno_events_processed_total", labels) == 3
    gates[5].set()
    await session.drain()
    await session.write_checkpoint()
    assert registry.get_sample_value("uno_events_processed_total", labels) == 5


async def test_an_event_that_cannot_be_routed_and_what_follows_it_are_not_reported(session: DispatchSession):
    with pytest.raises(SubscriptionHalted):
        await session.take(page(88, 90, 91, 93, upto=95))
    assert moves(session) == [(90, [88, 90])]


async def test_a_page_waits_while_too_much_is_delivered_ahead_of_the_checkpoint(
    session: DispatchSession, gates: dict[int, asyncio.Event], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "AHEAD", 3)
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.0)
    gates[1] = asyncio.Event()
    await session.take(page(1, 2, 4, 5, upto=5))
    await recorded(session, 3)
    second = asyncio.create_task(session.take(page(7, 8, upto=8)))
    for _ in range(20):
        await asyncio.sleep(0)
    assert session.read == 5, "it read on"
    gates[1].set()
    await session.drain()
    await session.write_checkpoint()
    await second
    assert session.read == 8
    await session.drain()
