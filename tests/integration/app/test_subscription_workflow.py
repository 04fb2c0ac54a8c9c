"""The workflow of a subscription on a real server, with workers that the test can take its activities from."""

from __future__ import annotations

import asyncio
import secrets
from datetime import timedelta
from typing import Any

import pytest
from apps.running import until
from patience import LIMIT
from temporalio import activity
from temporalio.api.enums.v1 import EventType, TimeoutType
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from uno_workflows.devstack.temporal import TemporalServer
from uno_workflows.dispatch import subscription
from uno_workflows.dispatch.hosting import ensure_subscription
from uno_workflows.dispatch.subscription import PUMP, SubscriptionInput, SubscriptionWorkflow
from uno_workflows.sagas.converter import data_converter

SCHEDULED, TIMED_OUT = EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT


@pytest.mark.parametrize("failed", [False, True])
async def test_a_lease_that_no_worker_was_given_is_offered_anew(
    temporal: TemporalServer, monkeypatch: pytest.MonkeyPatch, failed: bool
):
    """As when the server loses it on its way, at the first attempt or a later one: no other time-out would end it then."""
    monkeypatch.setattr(subscription, "START_LIMIT", timedelta(seconds=1))
    client, app = await Client.connect(temporal.address, data_converter=data_converter), f"app-{secrets.token_hex(4)}"
    pumped, broken = asyncio.Event(), asyncio.Event()

    @activity.defn(name=PUMP)
    async def pump(_: SubscriptionInput) -> None:
        pumped.set()
        await asyncio.Event().wait()

    @activity.defn(name=PUMP)
    async def fail(_: SubscriptionInput) -> None:
        broken.set()
        raise ApplicationError("of the test", next_retry_delay=timedelta(seconds=2))

    def worker(**options: Any) -> Worker:
        return Worker(
            client,
            task_queue=app,
            workflows=[SubscriptionWorkflow],
            workflow_runner=UnsandboxedWorkflowRunner(),  # in the sandbox the module would be loaded anew, with its own limit
            max_cached_workflows=0,  # else its workflow task would wait for the worker before
            **options,
        )

    await ensure_subscription(client, app=app, store="", task_queue=app, name="saga:Order", task_timeout=timedelta(seconds=5))
    workflow = client.get_workflow_handle(f"uno/{app}/saga:Order")
    if failed:
        async with worker(activities=[fail]):
            await asyncio.wait_for(broken.wait(), LIMIT)
    last = (await workflow.describe()).run_id

    async def goes_on() -> bool:
        return (await workflow.describe()).run_id != last

    async with worker():  # takes no activities
        await until(goes_on)
    async with worker(activities=[pump]):
        await asyncio.wait_for(pumped.wait(), LIMIT)
    await workflow.terminate()
    ended = await client.get_workflow_handle(f"uno/{app}/saga:Order", run_id=last).fetch_history()
    scheduled, timed_out = (next(event for event in ended.events if event.event_type == kind) for kind in (SCHEDULED, TIMED_OUT))
    failure = timed_out.activity_task_timed_out_event_attributes.failure
    assert failure.timeout_failure_info.timeout_type == TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_START
    assert ("of the test" in str(failure)) is failed
    lasted = timed_out.event_time.ToDatetime() - scheduled.event_time.ToDatetime()
    assert lasted >= timedelta(seconds=3 if failed else 1)  # the second attempt has its limit from when it is due
