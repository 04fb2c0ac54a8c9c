"""The parts of a worker: what each is made of, and the Temporal Worker that it runs on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from temporalio.worker import Worker

from uno_workflows.app.catalogue import Catalogue
from uno_workflows.app.connecting import connect_temporal
from uno_workflows.app.guarded import Border
from uno_workflows.app.guarding import SagaGuard
from uno_workflows.app.heartbeats import StepHeartbeats
from uno_workflows.app.instances import activity_name
from uno_workflows.app.not_loaded import LocalsAreLoaded, not_loaded_activity, with_not_loaded
from uno_workflows.app.problem_notes import StepProblems
from uno_workflows.app.process import WorkerProcess
from uno_workflows.app.profiles import Profile
from uno_workflows.app.sandbox import workflow_runner
from uno_workflows.app.sdk_worker import WORKFLOW_TASKS, StepTimes, cancel, make_worker, running_worker, threads_for
from uno_workflows.app.tracing import traced_client, worker_interceptors
from uno_workflows.app.uno import open_store
from uno_workflows.dispatch.dispatcher import Dispatcher, DispatchSettings
from uno_workflows.dispatch.hosting import Part, PumpHost, keep_subscriptions, pump_queue
from uno_workflows.dispatch.missed import MissedEvents
from uno_workflows.dispatch.reconciler import Reconciler
from uno_workflows.dispatch.search_attributes import ensure_search_attributes
from uno_workflows.dispatch.signing import Signing
from uno_workflows.dispatch.subscription import SubscriptionWorkflow
from uno_workflows.dispatch.temporal import SagaClient, namespace_id_of
from uno_workflows.events.protocols import Tail
from uno_workflows.processing.pump import Consumer, Pump, PumpSettings
from uno_workflows.projections.folder import ProjectionFolder
from uno_workflows.sagas.activities import FrameworkActivities, step_activity
from uno_workflows.sagas.envelope import subscription_name as saga_subscription
from uno_workflows.sagas.result_room import ResultRoom
from uno_workflows.sagas.saga import Saga

Watched = Sequence[asyncio.Future[Any]]
"""What a part of the worker consists of: one that ends, ends the worker."""


@asynccontextmanager
async def sagas_part(process: WorkerProcess) -> AsyncIterator[Watched]:
    """Sagas, steps, plain workflows and activities: on the app's task queue, and on those of the apps that it was before.

    Temporal keeps a run on the task queue of its start, so the runs of a renamed app would stand still there (ADR 0025).
    """
    app, names = process.settings.app, [saga_subscription(name) for name in process.catalogue.sagas]
    threads, room, parts = threads_for(process.catalogue, process.settings.steps), ResultRoom(), list[asyncio.Future[Any]]()
    try:
        async with AsyncExitStack() as stack:
            for queue in [app, *await process.store.definitions.former_apps(names, app=app)]:
                worker = _saga_worker(process, queue, threads, room)
                before = process.starts.end if queue == app else None
                running = running_worker(worker, process.stop, before=before, watch=process.seen.expect)
                parts += await stack.enter_async_context(running)
            yield parts
    finally:
        if threads is not None:
            threads.shutdown(wait=False)  # the worker has waited for what ran in them


def _saga_worker(process: WorkerProcess, queue: str, threads: ThreadPoolExecutor | None, room: ResultRoom) -> Worker:
    settings, catalogue, store, profile = process.settings, process.catalogue, process.store, process.profile
    activities = [
        *(step_activity(step, store.steps, store.runs, room) for step in catalogue.steps.values()),
        *FrameworkActivities(store.events, store.runs, store.subscriptions, _missed(process)).all(),
        *catalogue.activities.values(),
    ]
    return make_worker(
        catalogue,
        process.client,
        task_queue=queue,
        identity=f"{process.identity}/sagas",
        workflows=with_not_loaded([*catalogue.sagas.values(), *catalogue.workflows.values()]),
        activities=[*activities, not_loaded_activity],
        activity_executor=threads,
        interceptors=[
            *worker_interceptors(),
            SagaGuard(),
            StepTimes(profile.step_heartbeat),
            *process.seen.interceptors,
            StepProblems(frozenset(catalogue.sagas), process.notes),
            StepHeartbeats(frozenset(catalogue.sagas)),
            LocalsAreLoaded([name for each in activities if (name := activity_name(each))]),
            Border(),
        ],
        workflow_runner=workflow_runner(catalogue, sandbox=settings.sandbox, failures=process.failures),
        max_concurrent_workflow_tasks=WORKFLOW_TASKS,
        max_concurrent_activities=settings.steps,
        graceful_shutdown_timeout=settings.grace,
        **_times(profile),
    )


def _missed(process: WorkerProcess) -> MissedEvents:
    definitions = (saga.__uno_saga__ for saga in process.catalogue.sagas.values())
    return MissedEvents(process.store.events, {saga.name: saga for saga in definitions if saga is not None})


@asynccontextmanager
async def dispatch_part(process: WorkerProcess) -> AsyncIterator[Watched]:
    """The pumps of the sagas."""
    searchable = await ensure_search_attributes(process.client)
    temporal = SagaClient(
        traced_client(process.client),
        process.settings.app,
        searchable=searchable,
        task_timeout=process.profile.workflow_task,
        eager=process.starts,
        namespace_id=await namespace_id_of(process.client),
    )
    consumers = [_dispatcher(process, saga, temporal) for saga in process.catalogue.sagas.values()]
    async with process.store.tail() as tail, _pumps(process, "dispatch", tail, consumers) as running:
        reconcilers = [
            asyncio.create_task(reconciler.run(), name=f"reconciler of {reconciler.saga}")
            for reconciler in (
                Reconciler(temporal, process.store.runs, consumer.saga.name, outages=process.outages) for consumer in consumers
            )
        ]
        try:
            yield [*running, *reconcilers, *tail.tasks]
        finally:
            await cancel(reconcilers)


def _dispatcher(process: WorkerProcess, saga: type[Saga], temporal: SagaClient) -> Dispatcher:
    definition, store, settings = saga.__uno_saga__, process.store, process.settings
    assert definition is not None
    return Dispatcher(
        definition,
        temporal,
        events=store.events,
        runs=store.runs,
        subscriptions=store.subscriptions,
        settings=DispatchSettings(
            window=settings.window, max_open=settings.max_open, longest_pause=process.profile.longest_pause
        ),
        outages=process.outages,
        measures=process.measures,
    )


@asynccontextmanager
async def projections_part(process: WorkerProcess) -> AsyncIterator[Watched]:
    """The pumps of the projections, with connections of their own: they run in another thread's event loop."""
    client, stop = await connect_temporal(runtime=process.seen.runtime), asyncio.Event()
    opened = open_store(process.settings, outages=process.outages, measures=process.measures)
    async with opened as store, store.tail() as tail:
        here = replace(process, store=store, client=client, stop=stop)
        consumers = [
            ProjectionFolder(
                projection, registry=here.catalogue.events, subscriptions=store.subscriptions, measures=here.measures
            )
            for projection in here.catalogue.projections.values()
        ]
        async with _pumps(here, "projections", tail, consumers) as running:
            try:
                yield [*running, *tail.tasks]
            finally:
                stop.set()


@asynccontextmanager
async def _pumps(process: WorkerProcess, part: Part, tail: Tail, consumers: Sequence[Consumer]) -> AsyncIterator[Watched]:
    """A Worker for pumps, with a slot for each: on shared slots, pumps that last minutes would keep steps from running."""
    settings, profile = process.settings, process.profile
    queue, owner = pump_queue(settings.app, part), f"{process.identity}/{part}"
    make_pump = partial(
        Pump,
        process.store.subscriptions,
        tail,
        owner=owner,
        settings=PumpSettings(lease=settings.lease, poll=settings.poll, page=settings.page, longest_pause=profile.longest_pause),
        outages=process.outages,
        measures=process.measures,
    )
    pumps = {consumer.subscription: partial(make_pump, consumer) for consumer in consumers}
    host = PumpHost(pumps, leaving=process.stop, times=profile.pump_times)
    worker = make_worker(
        Catalogue(),
        process.client,
        task_queue=queue,
        identity=owner,
        workflows=[SubscriptionWorkflow],
        activities=[host.pump],
        interceptors=[Border()],
        workflow_runner=workflow_runner(Catalogue(), sandbox=settings.sandbox, failures=process.failures),
        max_concurrent_activities=max(len(consumers), 1),
        graceful_shutdown_timeout=settings.grace,
        **_times(profile),
    )
    keeper = keep_subscriptions(
        process.client,
        app=settings.app,
        store=str(await process.store.definitions.store_id()),
        task_queue=queue,
        names=pumps,
        task_timeout=profile.workflow_task,
        outages=process.outages,
    )
    keeping = asyncio.create_task(keeper, name=f"subscriptions of {queue}")
    signs = Signing(host, process.store.signs, owner=owner, heartbeat=profile.pump_heartbeat, outages=process.outages)
    signing = asyncio.create_task(signs.run(), name=f"signs of life of {queue}")
    try:
        async with running_worker(worker, process.stop, watch=process.seen.expect) as running:
            yield [*running, keeping, signing]
    finally:
        await cancel([keeping, signing])
        await signs.leave(pumps)


def _times(profile: Profile) -> dict[str, Any]:
    return {
        "max_heartbeat_throttle_interval": profile.throttle,
        "sticky_queue_schedule_to_start_timeout": profile.sticky,
    }
