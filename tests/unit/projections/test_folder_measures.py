"""What a folder tells: events once their batch was committed, and attempts that failed, by the user's error."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import cast
from uuid import UUID, uuid4

import pytest
from prometheus_client import CollectorRegistry

from uno_workflows import Event, Projection, Recorded, Transaction, on
from uno_workflows.events.errors import LostLease, SubscriptionHalted
from uno_workflows.events.names import EventType, GlobalPosition, StreamId, Version
from uno_workflows.events.protocols import Subscriptions
from uno_workflows.events.recorded import StoredEvent
from uno_workflows.events.registry import EventRegistry
from uno_workflows.events.subscriptions import Lease, Page
from uno_workflows.observability.metrics import Metrics
from uno_workflows.projections import folder
from uno_workflows.projections.folder import ProjectionFolder

METADATA = b'{"correlation_id": "c"}'
LABELS = {"subscription": "projection:Weighed"}


class Parcel(Event):
    grams: int


class Weighed(Projection):
    @on(Parcel)
    async def weigh(self, events: Sequence[Recorded[Parcel]], tx: Transaction) -> None:
        if any(recorded.event.grams < 0 for recorded in events):
            raise ZeroDivisionError("lighter than air")


class Checkpoints:
    """Moves a checkpoint; perhaps somebody else has it when the transaction commits."""

    lost = False

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        yield
        if self.lost:
            raise LostLease("it is another's")

    async def advance(self, lease: Lease, to: GlobalPosition, *, delivered: object, tx: object) -> Lease:
        return replace(lease, position=to)


async def fold(checkpoints: Checkpoints, *grams: int) -> CollectorRegistry:
    registry, events, now = CollectorRegistry(), EventRegistry(), datetime.now(UTC)
    events.add(Parcel)
    made = ProjectionFolder(Weighed, events, cast(Subscriptions, checkpoints), measures=Metrics(registry))
    page = [
        StoredEvent(
            GlobalPosition(n),
            "",
            StreamId("p-1"),
            Version(n),
            uuid4(),
            EventType("Parcel"),
            1,
            b'{"grams": %d}' % g,
            METADATA,
            now,
        )
        for n, g in enumerate(grams, start=1)
    ]
    lease = Lease("projection:Weighed", GlobalPosition(0), 1, UUID(int=0))
    async with made.open(lease, asyncio.Event()) as session:
        with suppress(LostLease, SubscriptionHalted):
            await session.take(Page(page, GlobalPosition(len(grams))))
    return registry


def handled(registry: CollectorRegistry) -> float | None:
    return registry.get_sample_value("uno_events_processed_total", {**LABELS, "outcome": "handled"})


async def test_a_batch_that_was_committed_is_handled():
    assert handled(await fold(Checkpoints(), 1, 2, 3)) == 3


async def test_a_batch_that_lost_its_lease_is_not():
    checkpoints = Checkpoints()
    checkpoints.lost = True
    assert handled(await fold(checkpoints, 1, 2, 3)) is None


async def test_an_attempt_that_another_follows_is_a_retry_by_the_users_error(monkeypatch: pytest.MonkeyPatch):
    """Three attempts of the batch, two of them followed by another; then one by one, and again three of the second event."""
    monkeypatch.setattr(folder, "jittered", lambda _: 0.0)
    registry = await fold(Checkpoints(), 1, -2, 3)
    assert registry.get_sample_value("uno_handler_retries_total", {**LABELS, "error_type": "ZeroDivisionError"}) == 4
    assert handled(registry) == 1


async def test_a_handler_whose_error_has_no_text_halts_the_projection(monkeypatch: pytest.MonkeyPatch):
    class Speechless(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    async def weigh(*_: object) -> None:
        raise Speechless

    monkeypatch.setattr(folder, "jittered", lambda _: 0.0)
    monkeypatch.setattr(Weighed, "weigh", weigh)
    registry = await fold(Checkpoints(), 1)
    assert registry.get_sample_value("uno_handler_retries_total", {**LABELS, "error_type": "Speechless"}) == 4
