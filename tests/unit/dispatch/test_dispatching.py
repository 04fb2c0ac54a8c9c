"""A dispatcher at work under one lease, without servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from patience import LIMIT

from uno_workflows import Event, Saga
from uno_workflows.dispatch import dispatcher as module
from uno_workflows.dispatch.dispatcher import Dispatcher, DispatchSettings
from uno_workflows.dispatch.temporal import Begun
from uno_workflows.events.errors import LostLease, StoreUnavailable, SubscriptionHalted, TemporalUnavailable, UnoError
from uno_workflows.events.ids import new_event_id
from uno_workflows.events.names import EventType, GlobalPosition, StreamId, Version
from uno_workflows.events.recorded import StoredEvent
from uno_workflows.events.runs import RunKey
from uno_workflows.events.subscriptions import Lease, Page
from uno_workflows.observability.outages import Outages
from uno_workflows.observability.unmeasured import Unmeasured


class Wanted(Event):
    key: str


class Fulfil(Saga, starts_on=Wanted, key="key"):
    async def run(self, wanted: Wanted) -> None: ...


@dataclass
class Subscriptions:
    """One row in Postgres; a commit can be held before its writer hears of it."""

    position: int = 0
    lost: bool = False
    away: int = 0
    """How many more transactions fail."""
    told: Outages = field(default_factory=Outages)
    outages: list[bool] = field(default_factory=list)
    """Whether an outage was known when each of them failed."""
    committed: asyncio.Event = field(default_factory=asyncio.Event)
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    async def check(self, lease: Lease) -> bool:
        if self.lost:
            raise LostLease("taken over")
        return True

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        if self.away:
            self.away -= 1
            self.outages.append(self.told.any)
            raise StoreUnavailable("nobody there")
        yield
        self.committed.set()
        await self.heard.wait()

    async def advance(self, lease: Lease, to: int, *, delivered: object, tx: Any) -> Lease:
        if lease.position != self.position:
            raise LostLease(f"it is at {self.position}, not at {lease.position}")
        self.position = to
        return replace(lease, position=GlobalPosition(to))


@dataclass
class Runs:
    """A table of runs, with as many open ones as it is told."""

    open: int = 0
    looks: int = 0

    async def latest(self, keys: Any) -> dict[RunKey, Any]:
        return {}

    async def pending(self, key: RunKey) -> list[int]:
        return []

    async def record_started(self, started: Any, *, epoch: UUID, tx: Any) -> None:
        pass

    async def count_open(self, saga: str) -> int:
        self.looks += 1
        return self.open


@dataclass
class Temporal:
    """A Temporal that starts runs once it may."""

    searchable: bool = False
    namespace: str = "default"
    namespace_id: str | None = None
    answers: asyncio.Event = field(default_factory=asyncio.Event)
    refusals: list[Exception] = field(default_factory=list)
    """What the next starts fail of."""
    started: list[str] = field(default_factory=list)

    async def start(self, saga: str, workflow_id: str, *_: Any, **__: Any) -> Begun:
        await self.answers.wait()
        if self.refusals:
            raise self.refusals.pop(0)
        self.started.append(workflow_id)
        return Begun("run", datetime.now(UTC))

    async def signal(self, workflow_id: str, *_: Any) -> bool:
        self.started.append(f"{workflow_id} once more")
        return True


def page(count: int) -> Page:
    return Page([_event(number) for number in range(1, count + 1)], GlobalPosition(count))


def _event(position: int, *, key: int | None = None) -> StoredEvent:
    payload, metadata = b'{"key":"%d"}' % (key or position), b'{"correlation_id":"c"}'
    at, event_id, stream = GlobalPosition(position), new_event_id(), StreamId(f"order-{position}")
    return StoredEvent(at, "", stream, Version(1), event_id, EventType("Wanted"), 1, payload, metadata, datetime.now(UTC))


def dispatcher(temporal: Any, runs: Any, subscriptions: Any, *, measures: Any = None, **settings: Any) -> Dispatcher:
    saga, nothing = Fulfil.__uno_saga__, None
    assert saga is not None
    events: Any = nothing
    return Dispatcher(
        saga, temporal, events=events, runs=runs, subscriptions=subscriptions, settings=DispatchSettings(**settings),
        outages=subscriptions.told, measures=measures or Unmeasured(),
    )  # fmt: skip


class Counted(Unmeasured):
    """Remembers what a dispatcher tells."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []

    def retried(self, subscription: str, error_type: str) -> None:
        self.told.append((subscription, error_type))

    def runs_started(self, saga: str, number: int) -> None:
        self.told.append((saga, number))


LEASE = Lease("saga:Fulfil", GlobalPosition(0), 1, UUID(int=1))


async def test_a_page_is_held_back_once_and_then_goes_on_however_many_runs_are_open() -> None:
    """The open runs may be waiting for events in it or behind it."""
    temporal, runs, subscriptions = Temporal(), Runs(open=10), Subscriptions()
    temporal.answers.set()
    subscriptions.heard.set()
    dispatching = dispatcher(temporal, runs, subscriptions, max_open=10, patience=timedelta(milliseconds=150))
    async with asyncio.timeout(LIMIT), dispatching.open(LEASE, asyncio.Event()) as session:
        await session.take(page(20))
    assert subscriptions.position == 20
    assert 1 < runs.looks < 20  # some for the page, not some for each event


async def test_stopping_waits_until_a_checkpoint_that_is_committed_is_known() -> None:
    """Cut off in between, the session would move the checkpoint from where it no longer is, and call its lease lost."""
    temporal, subscriptions = Temporal(), Subscriptions()
    temporal.answers.set()
    async with asyncio.timeout(LIMIT):
        async with dispatcher(temporal, Runs(), subscriptions).open(LEASE, asyncio.Event()) as session:
            await session.take(page(1))
            await subscriptions.committed.wait()
            asyncio.get_running_loop().call_later(0.05, subscriptions.heard.set)
    assert (subscriptions.position, session.lease.position) == (1, 1)


async def test_a_lost_lease_is_noticed_while_every_place_in_the_window_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """While Temporal is away nothing is finished, and nothing else would look."""
    monkeypatch.setattr(module, "LOOK_AT_LEASE", 0.01)
    temporal, subscriptions = Temporal(), Subscriptions(lost=True)
    one_by_one = dispatcher(temporal, Runs(), subscriptions, window=1)
    with pytest.raises(LostLease, match="taken over"):
        async with asyncio.timeout(LIMIT), one_by_one.open(LEASE, asyncio.Event()) as one:
            await one.take(page(2))


@pytest.mark.parametrize(
    ("broken", "reason"), [({"payload": b""}, "EOF"), ({"metadata": b"{}"}, "metadata.correlation_id is not text")]
)
async def test_an_event_that_append_did_not_write_halts_by_name_and_is_not_passed(broken: dict[str, bytes], reason: str) -> None:
    temporal, subscriptions = Temporal(), Subscriptions()
    temporal.answers.set()
    subscriptions.heard.set()
    events = [_event(1), _event(2)._replace(**broken), _event(3)]
    with pytest.raises(SubscriptionHalted, match=f"(?s)Wanted in order-2: .* at position 2 cannot be decoded: .*{reason}"):
        async with asyncio.timeout(LIMIT), dispatcher(temporal, Runs(), subscriptions).open(LEASE, asyncio.Event()) as session:
            await session.take(Page(events, GlobalPosition(3)))
    assert subscriptions.position <= 1


async def test_a_start_that_fails_for_a_while_is_made_again_ever_more_patiently(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
    drawn: list[float] = []
    monkeypatch.setattr(module, "jittered", lambda seconds: drawn.append(seconds) or seconds / 2)
    temporal, subscriptions, measures = Temporal(), Subscriptions(), Counted()
    temporal.answers.set()
    subscriptions.heard.set()
    temporal.refusals = [TemporalUnavailable("nobody there")] * 4
    settings = {"longest_pause": timedelta(seconds=0.05), "measures": measures}
    paused: list[tuple[float, bool]] = []
    patient = dispatcher(temporal, Runs(), subscriptions, **settings)
    async with asyncio.timeout(LIMIT), patient.open(LEASE, asyncio.Event()) as one:
        rest = one._rest

        async def noted(seconds: float) -> None:
            paused.append((seconds, subscriptions.told.any))
            await rest(seconds)

        monkeypatch.setattr(one, "_rest", noted)
        await one.take(page(1))
    assert drawn == [0.01, 0.02, 0.04, 0.05]
    assert paused == [(0.005, True), (0.01, True), (0.02, True), (0.025, True)], "jitter shortens a pause, not those that follow"
    assert not subscriptions.told.any, "the outage is over"
    assert temporal.started == ["Fulfil/1"]
    assert measures.told == [("saga:Fulfil", "TemporalUnavailable")] * 4 + [("Fulfil", 1)]


async def test_nothing_overtakes_an_event_of_the_same_key_that_halted() -> None:
    temporal, subscriptions = Temporal(refusals=[UnoError("never")]), Subscriptions()
    temporal.answers.set()
    subscriptions.heard.set()
    events = [_event(1, key=7), _event(2, key=7), _event(3)]
    with pytest.raises(SubscriptionHalted, match=r"(?s)order-1.*never"):
        async with asyncio.timeout(LIMIT), dispatcher(temporal, Runs(), subscriptions).open(LEASE, asyncio.Event()) as session:
            await session.take(Page(events, GlobalPosition(3)))
    assert [made for made in temporal.started if "/7" in made] == []
    assert subscriptions.position == 0


async def test_a_checkpoint_that_fails_for_a_while_is_written_again_and_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
    temporal, subscriptions = Temporal(), Subscriptions(away=3)
    temporal.answers.set()
    subscriptions.heard.set()
    async with asyncio.timeout(LIMIT), dispatcher(temporal, Runs(), subscriptions).open(LEASE, asyncio.Event()) as session:
        await session.take(page(1))
        await subscriptions.committed.wait()
        while session.lease.position < 1:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not subscriptions.told.any, "the outage is over"
    assert subscriptions.outages == [False, True, True]


async def test_a_session_that_ends_in_an_outage_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is answered next ends the outage, although the one who met it never was."""
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
    temporal, subscriptions = Temporal(), Subscriptions(away=10**9)
    temporal.answers.set()

    async def until_the_outage_is_known() -> None:
        async with dispatcher(temporal, Runs(), subscriptions).open(LEASE, asyncio.Event()) as session:
            await session.take(page(1))
            while not subscriptions.told.any:
                await asyncio.sleep(0)

    with pytest.raises(StoreUnavailable):
        await asyncio.wait_for(until_the_outage_is_known(), LIMIT)
    assert subscriptions.told.any
    subscriptions.told.part("somebody").over("postgres")
    assert not subscriptions.told.any
