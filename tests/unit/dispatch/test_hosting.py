"""The activity that hosts a pump, without a server."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import timedelta
from typing import Any, cast

import pytest
from apps.traced import request, traced
from opentelemetry import trace
from patience import LIMIT
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.testing import ActivityEnvironment

from uno_workflows.dispatch.hosting import PumpHost, beat_seconds
from uno_workflows.dispatch.subscription import PumpTimes, SubscriptionInput
from uno_workflows.events.names import GlobalPosition
from uno_workflows.events.subscriptions import Unfit
from uno_workflows.processing.pump import Pump

OURS = PumpTimes(heartbeat=timedelta(seconds=3), retry=timedelta(seconds=0.2))


class EndlessPump:
    """Pumps until it is told to leave."""

    unfit: Unfit | None = None

    def __init__(self) -> None:
        self.leaving, self.position, self.term = asyncio.Event(), 0, 7

    async def run(self, *, last_term: int | None, unfit: Unfit | None = None) -> None:
        await self.leaving.wait()


def host(leaving: asyncio.Event) -> PumpHost:
    return PumpHost({"saga:Order": lambda: cast(Pump, EndlessPump())}, leaving=leaving, times=OURS)


async def hosted(leaving: asyncio.Event, name: str = "saga:Order", heartbeat: timedelta = timedelta(seconds=3)) -> Any:
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(environment.info, heartbeat_timeout=heartbeat)
    async with asyncio.timeout(LIMIT):
        return await environment.run(host(leaving).pump, SubscriptionInput(name=name))


async def test_a_pump_that_begins_while_its_worker_stops_is_handed_over_at_once() -> None:
    """The SDK gives no sign of the shutdown to the first activity of a worker if it begins after the shutdown did."""
    leaving = asyncio.Event()
    leaving.set()
    with pytest.raises(ApplicationError, match="handed over") as error:
        await hosted(leaving)
    assert error.value.next_retry_delay is not None
    assert 0 < error.value.next_retry_delay.total_seconds() < 0.1


async def test_a_pump_works_outside_of_the_span_that_its_worker_was_started_in() -> None:
    found: list[bool] = []

    class SeeingPump(EndlessPump):
        async def run(self, *, last_term: int | None, unfit: Unfit | None = None) -> None:
            found.append(trace.get_current_span().get_span_context().is_valid)

    seeing = PumpHost({"saga:Order": lambda: cast(Pump, SeeingPump())}, leaving=asyncio.Event(), times=OURS)
    with traced(), request("main"):
        assert trace.get_current_span().get_span_context().is_valid
        await ActivityEnvironment().run(seeing.pump, SubscriptionInput(name="saga:Order"))
    assert found == [False]


async def test_a_pump_is_told_the_term_of_the_last_lease_that_its_process_had() -> None:
    told: list[int | None] = []

    class ShortPump(EndlessPump):
        async def run(self, *, last_term: int | None, unfit: Unfit | None = None) -> None:
            told.append(last_term)

    short = PumpHost({"saga:Order": lambda: cast(Pump, ShortPump())}, leaving=asyncio.Event(), times=OURS)
    for _ in range(2):
        await ActivityEnvironment().run(short.pump, SubscriptionInput(name="saga:Order"))
    assert told == [None, 7]


async def test_a_lease_that_its_code_cannot_use_is_offered_to_others_soon_and_then_ever_more_seldom() -> None:
    """Of several versions of the code another one must go on; a moment later, if it is there."""
    known: list[Unfit | None] = []
    at = Unfit(GlobalPosition(4), 7, "Shipped is wanted, and this worker's code does not handle it")

    class OlderPump(EndlessPump):
        unfit = at

        async def run(self, *, last_term: int | None, unfit: Unfit | None = None) -> None:
            known.append(unfit)
            self.leaving.set()

    older, delays = PumpHost({"saga:Order": lambda: cast(Pump, OlderPump())}, leaving=asyncio.Event(), times=OURS), []
    for _ in range(6):
        with pytest.raises(ApplicationError, match="another version of the code must go on: Shipped is wanted") as error:
            await ActivityEnvironment().run(older.pump, SubscriptionInput(name="saga:Order"))
        assert error.value.next_retry_delay is not None
        delays.append(error.value.next_retry_delay.total_seconds())
    assert known == [None, *[at] * 5]
    assert delays[0] < 0.5
    assert 0.5 < delays[-1] < 5


async def test_a_subscription_that_no_module_declares_says_so_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    host = PumpHost({}, leaving=asyncio.Event(), times=OURS)
    for _ in range(3):
        with pytest.raises(ApplicationError, match="no module of this worker declares saga:Other") as error:
            await ActivityEnvironment().run(host.pump, SubscriptionInput(name="saga:Other"))
        assert error.value.category is ApplicationErrorCategory.BENIGN
    assert [record.getMessage() for record in caplog.records] == ["subscription_not_loaded subscription=saga:Other"]


async def test_a_lease_with_a_longer_time_out_than_ours_ends_before_it_begins_and_tells_ours() -> None:
    assert await hosted(asyncio.Event(), heartbeat=timedelta(seconds=10)) == OURS


@pytest.mark.parametrize("seconds", [1, 3])
async def test_a_lease_with_ours_or_a_shorter_one_is_served(seconds: int) -> None:
    leaving = asyncio.Event()
    leaving.set()
    with pytest.raises(ApplicationError, match="handed over"):
        await hosted(leaving, heartbeat=timedelta(seconds=seconds))


def test_a_pump_beats_by_the_time_out_that_it_was_given() -> None:
    assert beat_seconds(timedelta(seconds=10)) == 1.0
    assert beat_seconds(timedelta(seconds=3)) == 0.75
