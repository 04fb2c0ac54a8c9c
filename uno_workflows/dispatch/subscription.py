"""A subscription as a Temporal workflow: leader election, failover and visibility for nothing.

Its activity, the pump, is a lease of a few minutes that returns and is taken again: an eternal activity can neither be
deployed past nor rebalanced, and its attempts never reset (dispatch.md P1, P7, P10). No versioning behaviour is set here: on
an unversioned worker it would fail every workflow task; the Worker's default decides (P2).

The time-outs of a lease are what the pump of the lease before told. So a new profile reaches a workflow that has run for
months, whichever worker has its workflow tasks, and what was told stands in the history (ADR 0018).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from pydantic import BaseModel, ConfigDict
from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, TimeoutError, TimeoutType

SUBSCRIPTION: Final = "uno.subscription"
PUMP: Final = "uno.pump"
LEASES_A_RUN: Final = 400  # six history events a lease: far from every limit; a new run about every 33 hours
LEASE_LIMIT: Final = timedelta(minutes=10)
START_LIMIT: Final = timedelta(seconds=30)
"""After how long an attempt that no worker was given is offered anew: what the server lost on its way to them has no other end.
Each attempt has it from the moment that it is due (`UpdateActivityInfoForRetries` in the server; ADR 0022)."""


class PumpTimes(BaseModel):
    """The times of a pump's lease.

    Attributes:
        heartbeat: After how long of silence the pump counts as dead.
        retry: How long after that another takes over.
        task: After how long a workflow task of the next run counts as lost with its worker; `None` is as in this run.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    heartbeat: timedelta = timedelta(seconds=8)
    retry: timedelta = timedelta(seconds=1)
    task: timedelta | None = None


class SubscriptionInput(BaseModel):
    """Only the name, for a running workflow ignores changed input; the times are carried from run to run."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    times: PumpTimes = PumpTimes()


@workflow.defn(name=SUBSCRIPTION)
class SubscriptionWorkflow:
    """Has one pump at a time read for a subscription, for ever."""

    @workflow.run
    async def run(self, subscription: SubscriptionInput) -> None:
        workflow.set_current_details(f"Reads the log for **{subscription.name}**, one lease after another.")
        times = subscription.times
        for _ in range(LEASES_A_RUN):
            try:
                told = await workflow.execute_activity(
                    PUMP,
                    subscription,
                    summary=subscription.name,
                    schedule_to_start_timeout=START_LIMIT,
                    start_to_close_timeout=LEASE_LIMIT,
                    heartbeat_timeout=times.heartbeat,
                    retry_policy=RetryPolicy(initial_interval=times.retry, backoff_coefficient=1.0),
                )
            except ActivityError as err:
                if not _never_started(err.cause):
                    raise
                break  # into a new run: older code, after a rollback, could not replay one that went on
            if isinstance(told, dict):  # a pump of older code tells nothing
                times = PumpTimes.model_validate(told)
        workflow.continue_as_new(subscription.model_copy(update={"times": times}), task_timeout=times.task)


def _never_started(error: BaseException | None) -> bool:
    return isinstance(error, TimeoutError) and error.type == TimeoutType.SCHEDULE_TO_START
