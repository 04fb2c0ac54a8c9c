"""The pump's turns, without servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from apps.running import until
from patience import LIMIT

from uno_workflows.events.errors import LostLease, StoreUnavailable, SubscriptionHalted
from uno_workflows.events.names import GlobalPosition
from uno_workflows.events.subscriptions import Halt, Lease, Page, Standing, Unfit
from uno_workflows.observability.outages import Outages
from uno_workflows.processing import pump as module
from uno_workflows.processing.pump import Pump, PumpSettings


@dataclass
class Subscriptions:
    """One row, and the pages that were read."""

    paused: bool = False
    pages: list[int] = field(default_factory=list)
    looked: asyncio.Event = field(default_factory=asyncio.Event)

    async def standing(self, name: str) -> Standing:
        return Standing(GlobalPosition(0), 1, paused=False, halt=None)

    async def take_over(self, name: str, *, owner: str, after: Lease | None = None) -> Lease:
        return Lease(name, GlobalPosition(0), 1, UUID(int=1))

    async def release(self, lease: Lease) -> None:
        pass

    async def check(self, lease: Lease) -> bool:
        self.looked.set()
        return not self.paused

    async def page(self, lease: Lease, *, bound: int, handles: Any, limit: int) -> Page:
        self.pages.append(bound)
        return Page((), GlobalPosition(bound))


@dataclass
class Tail:
    """A log that stands still until it is told to grow."""

    waiting: asyncio.Event = field(default_factory=asyncio.Event)
    grown: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait_beyond(self, position: int, *, seconds: float) -> GlobalPosition:
        self.waiting.set()
        await self.grown.wait()
        return GlobalPosition(5)


class Growing(Tail):
    """A log that has grown whenever it is asked."""

    async def wait_beyond(self, position: int, *, seconds: float) -> GlobalPosition:
        return GlobalPosition(5)


@dataclass
class Session:
    """A consumer that takes everything."""

    lease: Lease
    taken: asyncio.Event
    read: int = 0
    at_rest: bool = True

    def verify(self) -> None:
        pass

    async def take(self, page: Page) -> None:
        self.read = page.upto
        self.taken.set()


class Consumer:
    """Opens such sessions."""

    subscription, handles = "saga:Order", {"Placed": ""}

    def __init__(self) -> None:
        self.taken = asyncio.Event()

    @asynccontextmanager
    async def open(self, lease: Lease, leaving: asyncio.Event) -> AsyncIterator[Session]:
        yield Session(lease, self.taken)


async def test_a_pause_that_came_while_it_waited_holds_before_the_next_page() -> None:
    subscriptions, tail, consumer = Subscriptions(), Tail(), Consumer()
    made: tuple[Any, Any, Any] = (subscriptions, tail, consumer)
    pump = Pump(*made, owner="one", settings=PumpSettings(poll=timedelta(milliseconds=1)))
    running = asyncio.create_task(pump.run())
    async with asyncio.timeout(LIMIT):
        await tail.waiting.wait()
        subscriptions.paused = True
        subscriptions.looked.clear()
        tail.grown.set()
        await subscriptions.looked.wait()
        assert subscriptions.pages == []
        subscriptions.paused = False
        await consumer.taken.wait()
        assert subscriptions.pages[0] == 5
        pump.leaving.set()
        await running


async def test_an_outage_does_not_wait_for_a_pump_that_was_cancelled_in_it(caplog: pytest.LogCaptureFixture) -> None:
    """Its heartbeats came too late, while Postgres was away as well; somebody else goes on."""

    class Away(Subscriptions):
        async def take_over(self, name: str, *, owner: str, after: Lease | None = None) -> Lease:
            raise StoreUnavailable("it is away")

    outages, made = Outages(), (Away(), Tail(), Consumer())
    given: tuple[Any, Any, Any] = made
    running = asyncio.create_task(Pump(*given, owner="one", settings=PumpSettings(), outages=outages).run())
    await until(lambda: outages.any)
    running.cancel()
    await asyncio.wait([running])
    outages.part("another").over("postgres")
    assert not outages.any


class Halting(Subscriptions):
    """A row that a take-over halts, until an operator resumes it; Postgres is away at first."""

    def __init__(self) -> None:
        super().__init__()
        self.halt: Halt | None = None
        self.looks = self.terms = 0

    async def standing(self, name: str) -> Standing:
        self.looks += 1
        return Standing(GlobalPosition(50), 1, paused=False, halt=self.halt)

    async def take_over(self, name: str, *, owner: str, after: Lease | None = None) -> Lease:
        self.terms += 1
        if self.terms == 1:
            raise StoreUnavailable("it is away")
        self.halt = Halt(None, "the log was restored", datetime.now(UTC))
        lease = Lease(name, GlobalPosition(0), self.terms, UUID(int=1))
        raise SubscriptionHalted(name, None, "the log was restored", lease=lease)


async def test_an_outage_is_over_once_postgres_takes_a_halt() -> None:
    """As after a restore: what answers again is a log that no checkpoint fits."""
    outages, subscriptions = Outages(), Halting()
    made: tuple[Any, Any, Any] = (subscriptions, Tail(), Consumer())
    pump = Pump(*made, owner="one", settings=PumpSettings(poll=timedelta(milliseconds=1)), outages=outages)
    running = asyncio.create_task(pump.run())
    await until(lambda: outages.any)
    await until(lambda: not outages.any)
    assert subscriptions.looks > 1
    pump.leaving.set()
    await running


async def test_what_is_halted_is_looked_at_and_not_taken_over_again(caplog: pytest.LogCaptureFixture) -> None:
    """Each take-over would raise the term, for as long as it is halted."""
    subscriptions = Halting()
    made: tuple[Any, Any, Any] = (subscriptions, Tail(), Consumer())
    pump = Pump(*made, owner="one", settings=PumpSettings(poll=timedelta(milliseconds=1)))
    running = asyncio.create_task(pump.run())
    await until(lambda: subscriptions.looks > 20)
    assert subscriptions.terms == 2
    subscriptions.halt = None  # resumed, and not mended
    await until(lambda: subscriptions.terms == 3)
    seen = subscriptions.looks
    await until(lambda: subscriptions.looks > seen + 20)
    assert subscriptions.terms == 3
    pump.leaving.set()
    await running
    assert [message.split()[0] for message in caplog.messages if "halted" in message] == ["subscription_halted"] * 2


class NewerTypes(Subscriptions):
    """A log whose event at 4 only newer code handles."""

    def __init__(self) -> None:
        super().__init__()
        self.position, self.terms, self.handed_over = GlobalPosition(0), 0, list[Unfit]()

    async def standing(self, name: str) -> Standing:
        return Standing(self.position, 7, paused=False, halt=None)

    async def take_over(self, name: str, *, owner: str, after: Lease | None = None) -> Lease:
        self.terms += 1
        return Lease(name, self.position, self.terms, UUID(int=1), 7)

    async def page(self, lease: Lease, *, bound: int, handles: Any, limit: int) -> Page:
        if lease.position == 3:
            return Page((), lease.position, Unfit(GlobalPosition(4), 7, "Shipped is wanted"))
        self.position = GlobalPosition(3)
        return Page((), GlobalPosition(3))

    async def hand_over(self, lease: Lease, unfit: Unfit) -> None:
        self.handed_over.append(unfit)


async def test_code_that_meets_an_event_which_it_does_not_handle_hands_over_by_name(caplog: pytest.LogCaptureFixture) -> None:
    subscriptions, consumer = NewerTypes(), Consumer()
    made: tuple[Any, Any, Any] = (subscriptions, Growing(), consumer)
    pump = Pump(*made, owner="one", settings=PumpSettings())
    async with asyncio.timeout(LIMIT):
        await pump.run()
    assert consumer.taken.is_set(), "what lies before the event is handled"
    assert pump.unfit is not None
    assert subscriptions.handed_over == [pump.unfit]
    assert [message for message in caplog.messages if message.startswith("event_not_handled")] == [
        "event_not_handled subscription=saga:Order position=4 reason='Shipped is wanted'"
    ]


async def test_code_that_stopped_at_an_event_takes_no_lease_while_the_subscription_stands_there() -> None:
    """Two versions that share a subscription would else raise the term in turns, for ever."""
    subscriptions = NewerTypes()
    made: tuple[Any, Any, Any] = (subscriptions, Growing(), Consumer())

    def pump() -> Pump:
        return Pump(*made, owner="one", settings=PumpSettings())

    first = pump()
    async with asyncio.timeout(LIMIT):
        await first.run()
        for _ in range(3):
            again = pump()
            await again.run(unfit=first.unfit)
            assert again.unfit == first.unfit
        assert subscriptions.terms == 1
        subscriptions.position = GlobalPosition(4)  # newer code went on
        going = asyncio.create_task((again := pump()).run(unfit=first.unfit))
        await until(lambda: subscriptions.terms == 2)
        again.leaving.set()
        await going


async def test_an_outage_is_waited_out_ever_more_patiently_and_not_by_all_at_one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[float] = []
    monkeypatch.setattr(module, "jittered", lambda seconds: drawn.append(seconds) or 0.0)

    class Away(Subscriptions):
        async def take_over(self, name: str, *, owner: str, after: Lease | None = None) -> Lease:
            if len(drawn) == 5:
                raise LostLease("another has it")
            raise StoreUnavailable("it is away")

    given: tuple[Any, Any, Any] = (Away(), Tail(), Consumer())
    with pytest.raises(LostLease):
        await Pump(*given, owner="one", settings=PumpSettings(longest_pause=timedelta(seconds=1))).run()
    assert drawn == [0.1, 0.2, 0.4, 0.8, 1]


async def test_after_an_outage_it_goes_on_only_if_nobody_came_since() -> None:
    """A process that froze wakes up to connections that broke, while its heir is at work."""
    terms: list[int | None] = []

    class Broken(Subscriptions):
        async def take_over(self, name: str, *, owner: str, after: Lease | None = None) -> Lease:
            terms.append(after and after.term)
            if len(terms) == 4:
                raise LostLease("another has it")
            if len(terms) == 2:
                raise StoreUnavailable("the connection broke")
            return Lease(name, GlobalPosition(0), len(terms), UUID(int=1))

        async def check(self, lease: Lease) -> bool:
            raise StoreUnavailable("the connection broke")

    given: tuple[Any, Any, Any] = (Broken(), Growing(), Consumer())
    with pytest.raises(LostLease):
        await Pump(*given, owner="one", settings=PumpSettings(longest_pause=timedelta(milliseconds=1))).run()
    assert terms == [None, 1, 1, 3]


async def test_after_a_halt_it_goes_on_only_if_nobody_came_since() -> None:
    """Also after one that the take-over wrote, which is under a newer term than the lease before."""
    terms: list[int | None] = []

    class Broken(Subscriptions):
        async def take_over(self, name: str, *, owner: str, after: Lease | None = None) -> Lease:
            terms.append(after and after.term)
            lease = Lease(name, GlobalPosition(0), len(terms), UUID(int=1))
            match len(terms):
                case 2:
                    raise StoreUnavailable("the connection broke")
                case 3:
                    raise SubscriptionHalted(name, None, "the log was restored", lease=lease)
                case 5:
                    raise LostLease("another has it")
            return lease

        async def check(self, lease: Lease) -> bool:
            raise SubscriptionHalted("saga:Order", 5, "a bug")

        async def halt(self, lease: Lease, *, position: int | None, reason: str) -> None:
            assert lease.term == len(terms)

    given: tuple[Any, Any, Any] = (Broken(), Growing(), Consumer())
    soon = timedelta(milliseconds=1)
    with pytest.raises(LostLease):
        await Pump(*given, owner="one", settings=PumpSettings(poll=soon, longest_pause=soon)).run()
    assert terms == [None, 1, 1, 3, 4]


@pytest.mark.parametrize(
    ("last_term", "code"),
    [(None, "lease_taken"), (0, "lease_renewed"), (-1, "lease_taken")],
    ids=["the first", "the next", "one after another process's"],
)
async def test_a_lease_is_renewed_only_if_nobody_had_it_in_between(
    caplog: pytest.LogCaptureFixture, last_term: int | None, code: str
) -> None:
    caplog.set_level("DEBUG", logger="uno_workflows.pump")
    made: tuple[Any, Any, Any] = (Subscriptions(), Tail(), Consumer())
    pump = Pump(*made, owner="one", settings=PumpSettings())
    running = asyncio.create_task(pump.run(last_term=last_term))
    await until(lambda: caplog.messages)
    pump.leaving.set()
    await running
    assert caplog.messages[0].split()[0] == code
