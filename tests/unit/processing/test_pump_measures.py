"""What a pump tells of itself: whose the lease is, how long a page takes, that it halted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Literal, cast
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry

from uno_workflows.events.errors import LostLease, SubscriptionHalted
from uno_workflows.events.names import GlobalPosition
from uno_workflows.events.protocols import Subscriptions, Tail
from uno_workflows.events.subscriptions import Halt, Lease, Page, Standing
from uno_workflows.observability.metrics import Metrics
from uno_workflows.processing.pump import Consumer, Pump, PumpSettings

NAME = "saga:Order"
LEASE = Lease(NAME, GlobalPosition(0), 1, UUID(int=0))
LABELS = {"subscription": NAME}
Halts = Literal["never", "in a page", "leaving"]
"""When a handler halts."""


class Log:
    """A subscription with one page, and the end of its log."""

    def __init__(self, *, lost: bool = False) -> None:
        self.lost, self.halts = lost, list[tuple[int | None, str]]()

    async def standing(self, name: str) -> Standing:
        halt = Halt(*self.halts[-1], at=datetime.now(UTC)) if self.halts else None
        return Standing(GlobalPosition(0), 1, paused=False, halt=halt)

    async def release(self, lease: Lease) -> None: ...

    async def take_over(self, name: str, *, owner: str, after: Lease | None = None) -> Lease:
        return LEASE

    async def check(self, lease: Lease) -> bool:
        return not self.halts

    async def page(self, lease: Lease, **_: Any) -> Page:
        return Page((), GlobalPosition(5))

    async def halt(self, lease: Lease, *, position: int | None, reason: str) -> None:
        if self.lost:
            raise LostLease("another has it")
        self.halts.append((position, reason))

    async def wait_beyond(self, position: int, *, seconds: float) -> GlobalPosition:
        return GlobalPosition(5)


class Handler:
    """A consumer that looks who owns the lease while it works, and leaves; or halts."""

    subscription, handles, at_rest = NAME, dict[str, str](), True
    lease, read = LEASE, GlobalPosition(0)

    def __init__(self, registry: CollectorRegistry, *, halts: Halts) -> None:
        self.registry, self.halts = registry, halts
        self.owned_meanwhile: float | None = None
        self.leaving = asyncio.Event()

    @asynccontextmanager
    async def open(self, lease: Lease, leaving: asyncio.Event) -> AsyncIterator[Handler]:
        self.leaving = leaving
        yield self
        if self.halts == "leaving":
            raise SubscriptionHalted(NAME, 3, "no key")

    def verify(self) -> None: ...

    async def take(self, page: Page) -> None:
        self.owned_meanwhile = self.registry.get_sample_value("uno_subscription_owned", LABELS)
        self.leaving.set()
        if self.halts == "in a page":
            raise SubscriptionHalted(NAME, 3, "no key")


async def pumped(log: Log, *, halts: Halts = "never") -> tuple[CollectorRegistry, Handler]:
    registry = CollectorRegistry()
    handler = Handler(registry, halts=halts)
    subscriptions, tail, consumer = cast(Subscriptions, log), cast(Tail, log), cast(Consumer, handler)
    pump = Pump(subscriptions, tail, consumer, owner="me", settings=PumpSettings(), measures=Metrics(registry))
    await pump.run()
    return registry, handler


async def test_the_lease_is_owned_until_it_is_left():
    registry, handler = await pumped(Log())
    assert handler.owned_meanwhile == 1
    assert registry.get_sample_value("uno_subscription_owned", LABELS) == 0
    assert registry.get_sample_value("uno_page_duration_seconds_count", LABELS) == 1
    assert registry.get_sample_value("uno_subscription_halts_total", LABELS) is None


@pytest.mark.parametrize("when", ["in a page", "leaving"])
async def test_a_halt_is_written_down_and_counted_once_and_ends_the_lease(when: Halts):
    log = Log()
    registry, _ = await pumped(log, halts=when)
    assert log.halts == [(3, "no key")]
    assert registry.get_sample_value("uno_subscription_halts_total", LABELS) == 1
    assert registry.get_sample_value("uno_subscription_owned", LABELS) == 0


@pytest.mark.parametrize("when", ["in a page", "leaving"])
async def test_a_halt_under_a_lease_that_was_lost_is_nothing_but_that(when: Halts, caplog: pytest.LogCaptureFixture):
    with pytest.raises(LostLease, match="another has it"):
        await pumped(Log(lost=True), halts=when)
    assert "subscription_halted" not in caplog.text
