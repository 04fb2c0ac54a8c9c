"""A batch whose handler raised is folded again, as often and as patiently as its projection says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from apps.running import until
from patience import LIMIT

from uno_workflows import Event, Projection, Recorded, Retry, Transaction, on
from uno_workflows.events.errors import LostLease, StoreUnavailable, SubscriptionHalted
from uno_workflows.events.names import EventType, GlobalPosition, StreamId, Version
from uno_workflows.events.protocols import Subscriptions
from uno_workflows.events.recorded import StoredEvent
from uno_workflows.events.registry import EventRegistry
from uno_workflows.events.subscriptions import Delivered, Lease, Page
from uno_workflows.projections import folder
from uno_workflows.projections.folder import FolderSession, ProjectionFolder


class Paid(Event):
    cents: int


class Cancelled(Event):
    cents: int


class Checkpoints:
    """One row, and what was tried on it."""

    def __init__(self) -> None:
        self.attempts: list[int] = []
        """How many events each attempt was to fold."""
        self.open = self.looks = 0
        self.away = False
        self.check_lease: Callable[[], bool] = lambda: True

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        if self.away:
            raise StoreUnavailable("nobody there")
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1

    async def advance(self, lease: Lease, to: GlobalPosition, *, delivered: Delivered, tx: object) -> Lease:
        self.attempts.append(len(delivered.events))
        return replace(lease, position=to)

    async def check(self, lease: Lease) -> bool:
        assert not self.open, "a transaction is open while it waits"
        self.looks += 1
        return self.check_lease()


class Broken:
    """What handlers do: fail so often, whichever of them it is."""

    def __init__(self, times: int) -> None:
        self.times = times

    def meet(self) -> None:
        self.times -= 1
        if self.times >= 0:
            raise ZeroDivisionError("not yet")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits before jitter; none of them is waited."""
    seen: list[float] = []
    monkeypatch.setattr(folder, "jittered", lambda seconds: seen.append(seconds) or 0.0)
    return seen


def revenue(broken: Broken, **options: Any) -> type[Projection]:
    class Revenue(Projection, **options):
        @on(Paid)
        async def add(self, events: Sequence[Recorded[Paid]], tx: Transaction) -> None:
            broken.meet()

        @on(Cancelled)
        async def subtract(self, events: Sequence[Recorded[Cancelled]], tx: Transaction) -> None:
            broken.meet()

    return Revenue


@asynccontextmanager
async def folding(
    projection: type[Projection], checkpoints: Checkpoints, leaving: asyncio.Event | None = None
) -> AsyncIterator[FolderSession]:
    registry = EventRegistry()
    registry.add(Paid)
    registry.add(Cancelled)
    made = ProjectionFolder(projection, registry, cast("Subscriptions", checkpoints))
    lease = Lease("projection:Revenue", GlobalPosition(0), 1, UUID(int=0))
    async with asyncio.timeout(LIMIT), made.open(lease, leaving or asyncio.Event()) as session:
        yield session


def page(*kinds: str) -> Page:
    return Page([_stored(n, kind) for n, kind in enumerate(kinds, start=1)], GlobalPosition(len(kinds)))


def _stored(n: int, kind: str) -> StoredEvent:
    return StoredEvent(
        GlobalPosition(n), "", StreamId("bill-1"), Version(n), uuid4(), EventType(kind), 1,
        b'{"cents": 5}', b'{"correlation_id": "c"}', datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "waits"),
    [
        ({}, [0.4, 0.8]),
        ({"retry": Retry(attempts=5, initial="200ms")}, [0.2, 0.4, 0.8, 1.6]),
        ({"retry": Retry(attempts=4, initial="1s", factor=3, maximum="2s")}, [1, 2, 2]),
        ({"retry": Retry(attempts=1)}, []),
    ],
    ids=["by default", "declared", "with a maximum", "once"],
)
async def test_a_batch_and_then_its_first_event_have_all_attempts_before_it_halts(
    options: dict[str, Retry], waits: list[float], drawn: list[float]
):
    checkpoints, each = Checkpoints(), len(waits) + 1
    async with folding(revenue(Broken(10**9), **options), checkpoints) as session:
        with pytest.raises(SubscriptionHalted, match="add: ZeroDivisionError: not yet") as halted:
            await session.take(page("Paid", "Paid"))
    assert halted.value.position == 1
    assert checkpoints.attempts == [2] * each + [1] * each
    assert drawn == pytest.approx(waits * 2)


async def test_the_last_attempt_may_succeed_and_the_next_batch_has_all_of_them_again(drawn: list[float]):
    checkpoints, broken = Checkpoints(), Broken(3)
    async with folding(revenue(broken, retry=Retry(attempts=4)), checkpoints) as session:
        await session.take(page("Paid"))
        broken.times = 3
        await session.take(Page([_stored(2, "Paid")], GlobalPosition(2)))
        assert session.read == 2
    assert checkpoints.attempts == [1] * 8


async def test_handlers_of_one_projection_share_its_policy(drawn: list[float]):
    checkpoints = Checkpoints()
    async with folding(revenue(Broken(10**9), retry=Retry(attempts=2)), checkpoints) as session:
        with pytest.raises(SubscriptionHalted, match="subtract"):
            await session.take(page("Cancelled"))
    assert checkpoints.attempts == [1] * 4


async def test_an_outage_of_postgres_is_no_attempt(drawn: list[float]):
    checkpoints = Checkpoints()
    checkpoints.away = True
    async with folding(revenue(Broken(0), retry=Retry(attempts=5)), checkpoints) as session:
        with pytest.raises(StoreUnavailable):
            await session.take(page("Paid"))
        assert session.read == 0
    assert drawn == []


PATIENT = Retry(attempts=3, initial="1 min", factor=1)


async def test_a_pump_that_leaves_waits_for_no_attempt_and_leaves_the_batch_to_the_next_lease():
    checkpoints, leaving = Checkpoints(), asyncio.Event()
    async with folding(revenue(Broken(1), retry=PATIENT), checkpoints, leaving) as session:
        taking = asyncio.create_task(session.take(page("Paid", "Paid")))
        await until(lambda: checkpoints.attempts)
        leaving.set()
        await taking
        assert (session.read, checkpoints.attempts) == (0, [2])


async def test_a_pump_that_leaves_does_not_wait_for_the_attempt_of_one_event_either(monkeypatch: pytest.MonkeyPatch):
    checkpoints, leaving = Checkpoints(), asyncio.Event()
    monkeypatch.setattr(folder, "jittered", lambda seconds: seconds if len(checkpoints.attempts) > 3 else 0.0)
    async with folding(revenue(Broken(4), retry=PATIENT), checkpoints, leaving) as session:
        taking = asyncio.create_task(session.take(page("Paid", "Paid")))
        await until(lambda: len(checkpoints.attempts) == 4)
        leaving.set()
        await taking
        assert (session.read, checkpoints.attempts) == (0, [2, 2, 2, 1])


async def test_a_pause_is_seen_while_it_waits_and_the_batch_is_folded_after_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(folder, "LOOK_AT_LEASE", 0.001)
    checkpoints = Checkpoints()
    checkpoints.check_lease = lambda: checkpoints.looks < 3
    async with folding(revenue(Broken(1), retry=PATIENT), checkpoints) as session:
        await session.take(page("Paid", "Paid"))
        assert (session.read, checkpoints.attempts, checkpoints.looks) == (0, [2], 3)
        await session.take(page("Paid", "Paid"))
        assert (session.read, checkpoints.attempts) == (2, [2, 2])


async def test_a_batch_that_is_given_back_is_not_passed(monkeypatch: pytest.MonkeyPatch):
    """The checkpoint is one number: what comes behind would move it over what was not folded."""
    monkeypatch.setattr(folder, "LOOK_AT_LEASE", 0.001)
    checkpoints = Checkpoints()
    checkpoints.check_lease = lambda: False
    async with folding(revenue(Broken(1), retry=PATIENT, batch=1), checkpoints) as session:
        await session.take(page("Paid", "Paid"))
        assert (session.read, checkpoints.attempts) == (0, [1])


async def test_an_event_that_is_given_back_is_not_passed_either(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(folder, "LOOK_AT_LEASE", 0.001)
    checkpoints = Checkpoints()
    checkpoints.check_lease = lambda: len(checkpoints.attempts) < 4
    monkeypatch.setattr(folder, "jittered", lambda seconds: seconds if len(checkpoints.attempts) > 3 else 0.0)
    async with folding(revenue(Broken(4), retry=PATIENT), checkpoints) as session:
        await session.take(page("Paid", "Paid"))
        assert (session.read, checkpoints.attempts) == (0, [2, 2, 2, 1])


async def test_a_lease_that_is_lost_while_it_waits_is_noticed(monkeypatch: pytest.MonkeyPatch):
    def taken_over() -> bool:
        raise LostLease("another has it")

    monkeypatch.setattr(folder, "LOOK_AT_LEASE", 0.001)
    checkpoints = Checkpoints()
    checkpoints.check_lease = taken_over
    async with folding(revenue(Broken(1), retry=PATIENT), checkpoints) as session:
        with pytest.raises(LostLease, match="another has it"):
            await session.take(page("Paid"))
    assert checkpoints.attempts == [1]


async def test_a_wait_that_is_over_is_followed_by_an_attempt(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(folder, "jittered", lambda _: 0.02)
    monkeypatch.setattr(folder, "LOOK_AT_LEASE", 0.001)
    checkpoints = Checkpoints()
    async with folding(revenue(Broken(2), retry=PATIENT), checkpoints) as session:
        await session.take(page("Paid"))
        assert (session.read, checkpoints.attempts) == (1, [1, 1, 1])
    assert checkpoints.looks >= 2, "it looks in each wait"
