"""The activity that hosts a pump, without a server."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from uno_workflows.dispatch.hosting import PumpHost
from uno_workflows.dispatch.subscription import SubscriptionInput
from uno_workflows.processing.pump import Pump


class EndlessPump:
    """Pumps until it is told to leave."""

    def __init__(self) -> None:
        self.leaving, self.position = asyncio.Event(), 0

    async def run(self, *, renewal: bool) -> None:
        await self.leaving.wait()


def host(leaving: asyncio.Event) -> PumpHost:
    return PumpHost({"saga:Order": lambda: cast(Pump, EndlessPump())}, leaving=leaving)


async def hosted(leaving: asyncio.Event, name: str = "saga:Order") -> Any:
    async with asyncio.timeout(5):
        return await ActivityEnvironment().run(host(leaving).pump, SubscriptionInput(name=name))


async def test_a_pump_that_begins_while_its_worker_stops_is_handed_over_at_once() -> None:
    """The SDK gives no sign of the shutdown to the first activity of a worker if it begins after the shutdown did."""
    leaving = asyncio.Event()
    leaving.set()
    with pytest.raises(ApplicationError, match="handed over") as error:
        await hosted(leaving)
    assert error.value.next_retry_delay is not None
    assert 0 < error.value.next_retry_delay.total_seconds() < 0.1


async def test_a_subscription_that_no_module_declares_says_so() -> None:
    with pytest.raises(ApplicationError, match="no loaded module declares saga:Other"):
        await hosted(asyncio.Event(), "saga:Other")
