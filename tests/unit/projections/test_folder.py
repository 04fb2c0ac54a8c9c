"""How far the folder goes before it gives the pump the word back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import cast
from uuid import UUID, uuid4

import pytest

from uno_workflows import Event, Projection, Recorded, Transaction, on
from uno_workflows.events.names import EventType, GlobalPosition, StreamId, Version
from uno_workflows.events.protocols import Subscriptions
from uno_workflows.events.recorded import StoredEvent
from uno_workflows.events.registry import EventRegistry
from uno_workflows.events.subscriptions import Delivered, Lease, Page
from uno_workflows.projections import folder
from uno_workflows.projections.folder import FolderSession, ProjectionFolder
from uno_workflows.projections.projection import DEFAULT_RETRY


class Counted(Event):
    n: int


class Counts(Projection, batch=2):
    batches: list[list[int]]
    leaving: asyncio.Event
    leave_after = 1_000
    broken_at: int | None = None
    attempts = 0

    @on(Counted)
    async def add(self, events: Sequence[Recorded[Counted]], tx: Transaction) -> None:
        numbers = [recorded.event.n for recorded in events]
        Counts.attempts += 1
        if self.broken_at in numbers:
            raise RuntimeError("broken")
        Counts.batches.append(numbers)
        if len(Counts.batches) >= self.leave_after:
            self.leaving.set()


class Checkpoints:
    """Moves a checkpoint, and nothing else."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        yield

    async def advance(self, lease: Lease, to: GlobalPosition, *, delivered: Delivered, tx: object) -> Lease:
        return replace(lease, position=to)

    async def check(self, lease: Lease) -> bool:
        return True


def stored(n: int) -> StoredEvent:
    return StoredEvent(
        GlobalPosition(n), "", StreamId("count-1"), Version(n), uuid4(), EventType("Counted"), 1,
        b'{"n": %d}' % n, b'{"correlation_id": "c"}', datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip


PAGE = Page([stored(n) for n in range(1, 7)], GlobalPosition(9))


@pytest.fixture
async def session(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FolderSession]:
    for name, value in {"batches": [], "leaving": asyncio.Event(), "attempts": 0}.items():
        monkeypatch.setattr(Counts, name, value, raising=False)
    monkeypatch.setattr(folder, "jittered", lambda _: 0.0)
    registry = EventRegistry()
    registry.add(Counted)
    lease = Lease("projection:Counts", GlobalPosition(0), 1, UUID(int=0))
    made = ProjectionFolder(Counts, registry, cast("Subscriptions", Checkpoints()))
    async with made.open(lease, Counts.leaving) as opened:
        yield opened


async def test_a_fast_page_is_folded_in_one_turn(session: FolderSession):
    await session.take(PAGE)
    assert Counts.batches == [[1, 2], [3, 4], [5, 6]]
    assert session.read == PAGE.upto


async def test_leaving_ends_a_page_after_the_batch_at_hand(session: FolderSession, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Counts, "leave_after", 1)
    await session.take(PAGE)
    assert Counts.batches == [[1, 2]]
    assert session.read == 2


async def test_leaving_before_a_page_folds_nothing(session: FolderSession):
    Counts.leaving.set()
    await session.take(PAGE)
    assert (Counts.batches, session.read) == ([], 0)


async def test_slow_batches_give_the_pump_the_word_after_each_and_go_on_where_they_stopped(
    session: FolderSession, monkeypatch: pytest.MonkeyPatch
):
    """Only the pump sees a pause, a halt or the end of the lease."""
    monkeypatch.setattr(folder, "TURN_SECONDS", 0.0)
    await session.take(PAGE)
    assert (Counts.batches, session.read) == ([[1, 2]], 2)
    while session.read < PAGE.upto:
        await session.take(Page([e for e in PAGE.events if e.position > session.read], PAGE.upto))
    assert Counts.batches == [[1, 2], [3, 4], [5, 6]]


async def test_leaving_ends_the_search_for_a_bad_event_too(session: FolderSession, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Counts, "broken_at", 2)
    monkeypatch.setattr(Counts, "leave_after", 1)
    await session.take(PAGE)
    assert Counts.batches == [[1]]
    assert (session.read, Counts.attempts) == (1, DEFAULT_RETRY.attempts + 1)
