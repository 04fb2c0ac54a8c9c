"""What hosts pumps on Temporal: the activity that lends one a lease, and the caller that keeps the workflows alive."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Final, Literal, get_args

from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.service import RPCError, RPCStatusCode

from uno_workflows.dispatch.subscription import PUMP, SUBSCRIPTION, PumpTimes, SubscriptionInput, SubscriptionWorkflow
from uno_workflows.events.errors import LostLease, TemporalUnavailable, UnoError
from uno_workflows.events.retry import jittered
from uno_workflows.events.subscriptions import Unfit
from uno_workflows.observability.logs import get_logger
from uno_workflows.observability.outages import Outages
from uno_workflows.observability.traces import outside_spans
from uno_workflows.processing.pump import Pump

log = get_logger("uno_workflows.dispatch")

STORE: Final = "uno_store"
"""The memo of a subscription's workflow that names the store it reads; workflows of older code have none."""
BEAT_SECONDS: Final = 1.0
BEATS_A_HEARTBEAT: Final = 4
"""A pump beats at least so often within its time-out, whichever profile gave that."""
ENSURE_SECONDS: Final = 60.0
AGAIN_SECONDS: Final = 5.0
POLLS_END_SECONDS: Final = 0.1
"""After how long the server has noticed that a worker which stops has cut off its polls; there is no sign of it."""
UNFIT_SECONDS: Final = 0.3
UNFIT_LONGEST: Final = 3.0
"""After how long Temporal offers a lease again that this process cannot use: a worker of the right version may wait for it."""
UNLOADED_DELAY: Final = timedelta(seconds=1)
Part = Literal["dispatch", "projections"]
PARTS: Final = get_args(Part)
LISTED: Final = 1_000
"""Subscriptions of an app whose stores are compared at most."""


class PumpHost:
    """The activity `uno.pump` of one worker.

    Args:
        pumps: Makes a pump for a subscription, by its name.
        leaving: Set when the worker stops. The SDK's own sign is not enough: an activity that begins while the worker shuts
            down, as the first one of its worker, never sees it, and would hold the worker for its whole grace.
        times: What its pumps tell the workflow: the times of the lease that follows.
    """

    def __init__(self, pumps: Mapping[str, Callable[[], Pump]], *, leaving: asyncio.Event, times: PumpTimes) -> None:
        self._pumps, self._leaving, self._times = pumps, leaving, times
        self._terms: dict[str, int | None] = {}  # of the last lease that was ours
        self._unfit: dict[str, Unfit] = {}  # where our code stopped, at an event that it does not handle
        self._unloaded: set[str] = set()  # no module declares them
        self._stops: dict[str, int] = {}  # how often Temporal offered us the lease there
        self.at_work: set[str] = set()
        """The subscriptions that it hosts a pump for now."""

    @activity.defn(name=PUMP)
    async def pump(self, subscription: SubscriptionInput) -> PumpTimes:
        """Pump one lease long. On shutdown the page at hand is finished and the lease handed over at once.

        A lease whose heartbeat time-out is longer than ours ends before it begins, so that ours holds at once: an attempt
        after a hand-over still has the old one. A shorter one is served: workers of two profiles would else send a lease to
        and fro.
        """
        if (make := self._pumps.get(subscription.name)) is None:
            self._tell_unloaded(subscription.name)
            raise ApplicationError(
                f"no module of this worker declares {subscription.name}; a worker with the module must go on",
                type="Unloaded",
                next_retry_delay=UNLOADED_DELAY,
                category=ApplicationErrorCategory.BENIGN,  # the SDK would log each offer, with a stack
            )
        heartbeat = activity.info().heartbeat_timeout or self._times.heartbeat
        if heartbeat > self._times.heartbeat:
            return self._times
        if task := asyncio.current_task():
            task.set_name(subscription.name)  # whoever finds its event loop blocked reads this name
        self.at_work.add(subscription.name)
        try:
            pump, last_term = make(), self._terms.get(subscription.name)
            with outside_spans():
                handed_over = await _lend(
                    pump,
                    subscription.name,
                    self._leaving,
                    last_term=last_term,
                    unfit=self._unfit.get(subscription.name),
                    every=beat_seconds(heartbeat),
                )
            self._terms[subscription.name] = pump.term
        except LostLease as err:
            self._tell_lost(subscription.name, str(err))
            raise _quietly(str(err), timedelta(seconds=1)) from err
        except asyncio.CancelledError as err:
            if (lost := _lost_by_cancel()) is None:
                if activity.is_cancelled() or task is None:
                    raise
                task.uncancel()
                with suppress(UnoError):  # Postgres is down, or another pump has the lease: the next lease finds the same
                    await pump.halt("its handler cancelled the task of its own pump, which no code of yours owns")
                raise _quietly("a handler cancelled it", timedelta(seconds=1)) from err
            self._tell_lost(subscription.name, lost)
            raise _quietly(lost, timedelta(milliseconds=1)) from err
        finally:
            self.at_work.discard(subscription.name)
        if (unfit := pump.unfit) is not None and not self._leaving.is_set():
            raise _quietly(f"another version of the code must go on: {unfit.reason}", self._unfit_delay(subscription.name, unfit))
        self._unfit.pop(subscription.name, None)
        if handed_over:
            log.info("lease_handed_over", subscription=subscription.name)
            with suppress(asyncio.CancelledError):  # the grace is over: say it without the wait
                await asyncio.sleep(POLLS_END_SECONDS)  # sooner it might be given to us again, and be lost with us (ADR 0019)
            # zero would mean "not set": one millisecond starts it at once on another worker
            raise _quietly("handed over", timedelta(milliseconds=1))
        return self._times

    def _unfit_delay(self, name: str, unfit: Unfit) -> timedelta:
        """Remember where our code stopped; the longer it stays there, the less often Temporal offers us the lease."""
        known = self._unfit.get(name)
        self._stops[name] = self._stops.get(name, 0) + 1 if known == unfit else 0
        self._unfit[name] = unfit
        return timedelta(seconds=jittered(min(UNFIT_SECONDS * 2 ** self._stops[name], UNFIT_LONGEST)))

    def _tell_unloaded(self, name: str) -> None:
        """Report it once, although Temporal offers the lease again and again."""
        if name not in self._unloaded:
            log.warning("subscription_not_loaded", subscription=name)
        self._unloaded.add(name)

    def _tell_lost(self, name: str, reason: str) -> None:
        self._terms.pop(name, None)
        log.warning("lease_lost", subscription=name, reason=reason)


def beat_seconds(heartbeat: timedelta) -> float:
    """How often a pump beats under this time-out."""
    return min(BEAT_SECONDS, heartbeat.total_seconds() / BEATS_A_HEARTBEAT)


async def _lend(
    pump: Pump, name: str, leaving: asyncio.Event, *, last_term: int | None, unfit: Unfit | None, every: float
) -> bool:
    """Have it pump for one lease; True if the lease is to be handed over before its time."""
    beating = asyncio.create_task(_beat(pump, every), name=f"heartbeat of {name}")
    watching = asyncio.create_task(_watch(pump, leaving), name=f"shutdown of {name}")
    try:
        await pump.run(last_term=last_term, unfit=unfit)
    finally:
        for task in (beating, watching):
            task.cancel()
        await asyncio.wait([beating, watching])
    return pump.leaving.is_set()


async def keep_subscriptions(
    client: Client, *, app: str, store: str, task_queue: str, names: Iterable[str], task_timeout: timedelta, outages: Outages
) -> None:
    """Start the subscriptions' workflows, and check every minute that they are still open. Runs until cancelled.

    Args:
        store: The id of the store that they read.
        task_timeout: After how long a workflow task of one counts as lost with its worker; pumps pass it to workflows that
            run already.
    """
    names, outage = list(names), outages.part(f"start of the subscriptions of {task_queue}")
    while True:
        try:
            for name in names:
                await ensure_subscription(
                    client, app=app, store=store, task_queue=task_queue, name=name, task_timeout=task_timeout
                )
            outage.over("temporal")
            pause = ENSURE_SECONDS
        except RPCError as err:
            outage.met(err, server="temporal")
            pause = jittered(AGAIN_SECONDS)
        await asyncio.sleep(pause)


async def ensure_subscription(
    client: Client, *, app: str, store: str, task_queue: str, name: str, task_timeout: timedelta
) -> None:
    """Start one subscription's workflow unless it runs."""
    await client.start_workflow(
        SubscriptionWorkflow.run,
        SubscriptionInput(name=name),
        id=_workflow_id(app, name),
        task_queue=task_queue,
        task_timeout=task_timeout,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        static_summary=f"reads the log for {name}",
        memo={STORE: store},
    )


async def store_of_subscription(client: Client, *, app: str, name: str) -> str | None:
    """The id of the store that an open workflow of this subscription reads; `None` without one, or if it does not say.

    Raises:
        TemporalUnavailable: it may work later.
    """
    try:
        found = await client.get_workflow_handle(_workflow_id(app, name)).describe()
    except RPCError as err:
        if err.status is RPCStatusCode.NOT_FOUND:
            return None
        raise TemporalUnavailable(f"description of {_workflow_id(app, name)}: {err.status.name}: {err.message}") from err
    if found.status is not WorkflowExecutionStatus.RUNNING:
        return None
    store: str | None = await found.memo_value(STORE, None)
    return store


async def stores_of_app(client: Client, *, app: str) -> dict[str, str]:
    """The stores that the app's open subscriptions in this namespace read, by subscription, as Temporal's lists show them.

    A list lags behind, and some servers or permissions give none; then this finds nothing.
    """
    quoted = (pump_queue(app, part).replace("'", "''") for part in PARTS)
    queues, found = ", ".join(f"'{queue}'" for queue in quoted), dict[str, str]()
    query = f"WorkflowType = '{SUBSCRIPTION}' AND TaskQueue IN ({queues}) AND ExecutionStatus = 'Running'"
    with suppress(RPCError):
        async for run in client.list_workflows(query, limit=LISTED):
            if store := await run.memo_value(STORE, None):
                found[run.id.removeprefix(f"uno/{app}/")] = store
    return found


def pump_queue(app: str, part: Part) -> str:
    """The task queue of an app's subscriptions, by the part of the worker that pumps them."""
    return f"{app}.{part}"


def _workflow_id(app: str, name: str) -> str:
    return f"uno/{app}/{name}"


async def _beat(pump: Pump, every: float) -> None:
    while True:
        activity.heartbeat(pump.position)  # for liveness and display only: the SDK throttles it, Postgres has the truth
        await asyncio.sleep(every)


def _lost_by_cancel() -> str | None:
    """Why an activity that nobody asked to cancel was cancelled, in words; the SDK has a stack for it in the log."""
    details = activity.cancellation_details()
    if details is not None and (details.not_found or details.timed_out):
        return "its heartbeats came too late and another has it, or its workflow has ended in Temporal"
    if details is not None and details.worker_shutdown:
        return "the page at hand took longer than the grace of this worker"
    return None


async def _watch(pump: Pump, leaving: asyncio.Event) -> None:
    signs = [asyncio.ensure_future(leaving.wait()), asyncio.ensure_future(activity.wait_for_worker_shutdown())]
    try:
        await asyncio.wait(signs, return_when=asyncio.FIRST_COMPLETED)
        pump.leaving.set()
    finally:
        for sign in signs:
            sign.cancel()


def _quietly(message: str, delay: timedelta) -> ApplicationError:
    return ApplicationError(message, next_retry_delay=delay, category=ApplicationErrorCategory.BENIGN)
