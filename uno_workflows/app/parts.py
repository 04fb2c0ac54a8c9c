"""The parts of a worker: what each is made of, and the Temporal Worker that it runs on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from temporalio.client import Client

from uno_workflows.app.catalogue import Catalogue
from uno_workflows.app.connecting import connect_temporal
from uno_workflows.app.monitoring import Monitoring
from uno_workflows.app.profiles import PROFILES, Profile
from uno_workflows.app.sandbox import workflow_runner
from uno_workflows.app.sdk_worker import StepTimes, cancel, make_worker, running_worker, threads_for
from uno_workflows.app.tracing import traced_client, worker_interceptors
from uno_workflows.app.uno import open_store
from uno_workflows.config import Settings
from uno_workflows.dispatch.dispatcher import Dispatcher, DispatchSettings
from uno_workflows.dispatch.hosting import PumpHost, keep_subscriptions
from uno_workflows.dispatch.reconciler import Reconciler
from uno_workflows.dispatch.search_attributes import ensure_search_attributes
from uno_workflows.dispatch.subscription import SubscriptionWorkflow
from uno_workflows.dispatch.temporal import SagaClient
from uno_workflows.events.protocols import Measures, Tail
from uno_workflows.observability.outages import Outages
from uno_workflows.processing.pump import Consumer, Pump, PumpSettings
from uno_workflows.projections.folder import ProjectionFolder
from uno_workflows.sagas.activities import FrameworkActivities, step_activity
from uno_workflows.sagas.saga import Saga
from uno_workflows.storage.store import PostgresStore

Watched = Sequence[asyncio.Future[Any]]
"""What a part of the worker consists of: one that ends, ends the worker."""


@asynccontextmanager
async def sagas_part(
    settings: Settings,
    catalogue: Catalogue,
    store: PostgresStore,
    client: Client,
    identity: str,
    stop: asyncio.Event,
    seen: Monitoring,
) -> AsyncIterator[Watched]:
    """Sagas, steps, plain workflows and activities."""
    threads, profile = threads_for(catalogue, settings.steps), PROFILES[settings.profile]
    worker = make_worker(
        catalogue,
        client,
        task_queue=settings.app,
        identity=f"{identity}/sagas",
        workflows=[*catalogue.sagas.values(), *catalogue.workflows.values()],
        activities=[
            *(step_activity(step, store.steps) for step in catalogue.steps.values()),
            *FrameworkActivities(store.events, store.runs, store.subscriptions).all(),
            *catalogue.activities.values(),
        ],
        activity_executor=threads,
        interceptors=[*worker_interceptors(), StepTimes(profile.step_heartbeat), *seen.interceptors],
        workflow_runner=workflow_runner(catalogue, sandbox=settings.sandbox),
        max_concurrent_activities=settings.steps,
        graceful_shutdown_timeout=settings.grace,
        **_times(profile),
    )
    try:
        async with running_worker(worker, stop) as running:
            yield [running]
    finally:
        if threads is not None:
            threads.shutdown(wait=False)  # the worker has waited for what ran in them


@asynccontextmanager
async def dispatch_part(
    settings: Settings,
    catalogue: Catalogue,
    store: PostgresStore,
    client: Client,
    identity: str,
    stop: asyncio.Event,
    outages: Outages,
    seen: Monitoring,
) -> AsyncIterator[Watched]:
    """The pumps of the sagas."""
    searchable, task_timeout = await ensure_search_attributes(client), PROFILES[settings.profile].workflow_task
    temporal = SagaClient(traced_client(client), settings.app, searchable=searchable, task_timeout=task_timeout)
    consumers = [_dispatcher(settings, saga, temporal, store, outages, seen.measures) for saga in catalogue.sagas.values()]
    pumps = partial(_pumps, settings, client, store, outages=outages, measures=seen.measures)
    async with store.tail() as tail, pumps(tail, consumers, f"{identity}/dispatch", stop) as running:
        reconcilers = [
            asyncio.create_task(reconciler.run(), name=f"reconciler of {reconciler.saga}")
            for reconciler in (Reconciler(temporal, store.runs, c.saga.name, outages=outages) for c in consumers)
        ]
        try:
            yield [*running, *reconcilers, *tail.tasks]
        finally:
            await cancel(reconcilers)


def _dispatcher(
    settings: Settings,
    saga: type[Saga],
    temporal: SagaClient,
    store: PostgresStore,
    outages: Outages,
    measures: Measures,
) -> Dispatcher:
    definition = saga.__uno_saga__
    assert definition is not None
    return Dispatcher(
        definition,
        temporal,
        events=store.events,
        runs=store.runs,
        subscriptions=store.subscriptions,
        settings=DispatchSettings(
            window=settings.window, max_open=settings.max_open, longest_pause=PROFILES[settings.profile].longest_pause
        ),
        outages=outages,
        measures=measures,
    )


@asynccontextmanager
async def projections_part(
    settings: Settings, catalogue: Catalogue, identity: str, outages: Outages, seen: Monitoring
) -> AsyncIterator[Watched]:
    """The pumps of the projections, with connections of their own: they run in another thread's event loop."""
    client, measures = await connect_temporal(runtime=seen.runtime), seen.measures
    async with open_store(settings, outages=outages, measures=measures) as store, store.tail() as tail:
        folder = partial(ProjectionFolder, registry=catalogue.events, subscriptions=store.subscriptions, measures=measures)
        consumers = [folder(projection) for projection in catalogue.projections.values()]
        owner, stop = f"{identity}/projections", asyncio.Event()
        pumps = partial(_pumps, settings, client, store, outages=outages, measures=measures)
        async with pumps(tail, consumers, owner, stop) as running:
            try:
                yield [*running, *tail.tasks]
            finally:
                stop.set()


@asynccontextmanager
async def _pumps(
    settings: Settings,
    client: Client,
    store: PostgresStore,
    tail: Tail,
    consumers: Sequence[Consumer],
    owner: str,
    stop: asyncio.Event,
    *,
    outages: Outages,
    measures: Measures,
) -> AsyncIterator[Watched]:
    """A Worker for pumps, with a slot for each: on shared slots, pumps that last minutes would keep steps from running."""
    queue = f"{settings.app}.{owner.rpartition('/')[2]}"
    profile = PROFILES[settings.profile]
    options = PumpSettings(lease=settings.lease, poll=settings.poll, page=settings.page, longest_pause=profile.longest_pause)
    make_pump = partial(Pump, store.subscriptions, tail, owner=owner, settings=options, outages=outages, measures=measures)
    pumps = {consumer.subscription: partial(make_pump, consumer) for consumer in consumers}
    host = PumpHost(pumps, leaving=stop, times=profile.pump_times)
    worker = make_worker(
        Catalogue(),
        client,
        task_queue=queue,
        identity=owner,
        workflows=[SubscriptionWorkflow],
        activities=[host.pump],
        workflow_runner=workflow_runner(Catalogue(), sandbox=settings.sandbox),
        max_concurrent_activities=max(len(consumers), 1),
        graceful_shutdown_timeout=settings.grace,
        **_times(profile),
    )
    names = [consumer.subscription for consumer in consumers]
    keeper = keep_subscriptions(client, app=settings.app, task_queue=queue, names=names, outages=outages)
    keeping = asyncio.create_task(keeper, name=f"subscriptions of {queue}")
    try:
        async with running_worker(worker, stop) as running:
            yield [running, keeping]
    finally:
        await cancel([keeping])


def _times(profile: Profile) -> dict[str, Any]:
    return {
        "max_heartbeat_throttle_interval": profile.throttle,
        "sticky_queue_schedule_to_start_timeout": profile.sticky,
    }
