"""The worker: runs what the user's modules declare, until it is told to stop.

One process has up to three parts, each a Temporal Worker on its own task queue: sagas and steps; dispatch, whose pumps share
the sagas' client so that starts can be eager (append to first step in a third of the time); and projections, whose user code
runs in a thread with an event loop of its own, because one blocked loop would stall every saga of the process (ADR 0008).
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import logging
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from enum import StrEnum
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from temporalio.client import Client
from temporalio.worker import Worker

from uno_workflows.app.catalogue import Catalogue, where
from uno_workflows.app.connecting import connect_temporal, short
from uno_workflows.app.sandbox import workflow_runner
from uno_workflows.app.threads import in_thread
from uno_workflows.app.uno import open_store
from uno_workflows.config import Settings
from uno_workflows.dispatch.dispatcher import Dispatcher, DispatchSettings
from uno_workflows.dispatch.hosting import PumpHost, keep_subscriptions
from uno_workflows.dispatch.reconciler import Reconciler
from uno_workflows.dispatch.search_attributes import ensure_search_attributes
from uno_workflows.dispatch.subscription import SubscriptionWorkflow
from uno_workflows.dispatch.temporal import SagaClient
from uno_workflows.events.errors import ConfigurationError, UnoError
from uno_workflows.events.protocols import Tail
from uno_workflows.events.subscriptions import Start
from uno_workflows.processing.pump import Consumer, Pump, PumpSettings
from uno_workflows.projections.folder import ProjectionFolder
from uno_workflows.projections.projection import subscription_name as projection_subscription
from uno_workflows.sagas.activities import FrameworkActivities, step_activity
from uno_workflows.sagas.envelope import subscription_name as saga_subscription
from uno_workflows.sagas.saga import Saga
from uno_workflows.storage.store import PostgresStore

logger = logging.getLogger("uno_workflows.worker")

THROTTLE: Final = timedelta(seconds=2)
"""How often heartbeats reach the server at most: bounds how long a cancel takes to arrive."""
STICKY: Final = timedelta(seconds=1)
"""How long a workflow task waits for a dead worker's cache before another takes it (10 s by default: 13.5 s to recover)."""

LOOK_SECONDS: Final = 0.005
"""How often a worker that starts is looked at: before it polls, it asks the server about the namespace."""

Watched = Sequence[asyncio.Future[Any]]
"""What a part of the worker consists of: one that ends, ends the worker."""


class Role(StrEnum):
    """What a worker process does."""

    ALL = "all"
    SAGAS = "sagas"
    DISPATCH = "dispatch"
    PROJECTIONS = "projections"


async def run_worker(
    settings: Settings,
    catalogue: Catalogue,
    *,
    role: Role = Role.ALL,
    stop: asyncio.Event,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Run until `stop` is set; then what is at hand is finished or handed over.

    Args:
        ready: Called once everything polls.

    Raises:
        ConfigurationError: a module does, or declares, what Temporal's worker refuses.
        UnoError: a server is missing or refuses us, or the schema is not ours.
    """
    catalogue.events.freeze()
    identity = f"{os.getpid()}@{socket.gethostname()}-{secrets.token_hex(2)}"
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store(settings))
        client = await connect_temporal()
        await register_subscriptions(store, catalogue)
        watch: list[asyncio.Future[Any]] = []
        if role in (Role.ALL, Role.SAGAS):
            watch.extend(await stack.enter_async_context(_sagas(settings, catalogue, store, client, identity, stop)))
        if role in (Role.ALL, Role.DISPATCH):
            watch.extend(await stack.enter_async_context(_dispatch(settings, catalogue, store, client, identity, stop)))
        if role in (Role.ALL, Role.PROJECTIONS) and catalogue.projections:
            part = partial(_projections_alone, settings, catalogue, identity)
            watch.append(await stack.enter_async_context(in_thread(part, name="projections", grace=settings.grace)))
        ready()
        await _until(stop, watch)


async def register_subscriptions(store: PostgresStore, catalogue: Catalogue) -> None:
    """Make the rows of all subscriptions: a saga that begins "now" begins at this moment, the first time."""
    for name, start in subscription_starts(catalogue).items():
        await store.subscriptions.register(name, start=start)


def subscription_starts(catalogue: Catalogue) -> dict[str, Start]:
    """Every subscription that the modules need, and where it begins."""
    sagas = (saga.__uno_saga__ for saga in catalogue.sagas.values())
    projections = (projection.__uno_projection__ for projection in catalogue.projections.values())
    return {
        **{saga_subscription(saga.name): saga.since or "now" for saga in sagas if saga},
        **{projection_subscription(projection.name): projection.start for projection in projections if projection},
    }


async def _until(stop: asyncio.Event, watch: Sequence[asyncio.Future[Any]]) -> None:
    """Wait for the stop; a part that dies before stops its owner, with its error."""
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait([stopping, *watch], return_when=asyncio.FIRST_COMPLETED)
        for part in watch:
            if part.done():
                part.result()
    finally:
        stopping.cancel()


@asynccontextmanager
async def _sagas(
    settings: Settings, catalogue: Catalogue, store: PostgresStore, client: Client, identity: str, stop: asyncio.Event
) -> AsyncIterator[Watched]:
    """Sagas, steps, plain workflows and activities."""
    threads = threads_for(catalogue, settings.steps)
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
        workflow_runner=workflow_runner(catalogue, sandbox=settings.sandbox),
        max_concurrent_activities=settings.steps,
        graceful_shutdown_timeout=settings.grace,
        max_heartbeat_throttle_interval=THROTTLE,
        sticky_queue_schedule_to_start_timeout=STICKY,
    )
    try:
        async with _running(worker, stop) as running:
            yield [running]
    finally:
        if threads is not None:
            threads.shutdown(wait=False)  # the worker has waited for what ran in them


def threads_for(catalogue: Catalogue, number: int) -> ThreadPoolExecutor | None:
    """Where plain activities run that are not async; `None` if there are none."""
    if all(inspect.iscoroutinefunction(activity) for activity in catalogue.activities.values()):
        return None
    return ThreadPoolExecutor(number, thread_name_prefix="activity")


def make_worker(catalogue: Catalogue, client: Client, **options: Any) -> Worker:
    """A Temporal Worker; the SDK loads every workflow in the sandbox here.

    Raises:
        ConfigurationError: it refuses what a module does when it is loaded, or declares.
    """
    try:
        return Worker(client, build_id=build_id(catalogue.modules), **options)
    except (RuntimeError, ValueError, TypeError) as err:
        name = str(err).removeprefix("Failed validating workflow ")
        workflow = catalogue.sagas.get(name) or catalogue.workflows.get(name)
        if workflow is None or (cause := err.__cause__) is None:
            raise ConfigurationError([f"Temporal's worker refuses what the modules declare: {err}"]) from err
        # the SDK goes on to advise what is not in the user's hands here
        reason = f"{where(cause)}{type(cause).__name__}: {str(cause).partition('. If this is code from')[0]}"
        raise ConfigurationError(
            [f"module {workflow.__module__!r} is refused by the sandbox of sagas: {reason}; a module of steps may do it"]
        ) from err


def build_id(modules: Sequence[ModuleType]) -> str:
    """What Temporal shows of the code that a worker ran. The SDK's own hashes every module there is, for half a second.

    It is a label and no more, because worker versioning stays off.
    """
    made = hashlib.sha256(version("uno-workflows").encode())
    for module in sorted(modules, key=lambda module: module.__name__):
        file = getattr(module, "__file__", None)
        made.update(module.__name__.encode())
        made.update(Path(file).read_bytes() if file and Path(file).is_file() else b"")
    return made.hexdigest()[:16]


@asynccontextmanager
async def _dispatch(
    settings: Settings, catalogue: Catalogue, store: PostgresStore, client: Client, identity: str, stop: asyncio.Event
) -> AsyncIterator[Watched]:
    """The pumps of the sagas."""
    temporal = SagaClient(client, settings.app, searchable=await ensure_search_attributes(client))
    consumers = [_dispatcher(settings, saga, temporal, store) for saga in catalogue.sagas.values()]
    async with store.tail() as tail, _pumps(settings, client, store, tail, consumers, f"{identity}/dispatch", stop) as running:
        reconcilers = [
            asyncio.create_task(Reconciler(client, store.runs, c.saga.name).run(), name=f"reconciler of {c.saga.name}")
            for c in consumers
        ]
        try:
            yield [*running, *reconcilers, *tail.tasks]
        finally:
            await _cancel(reconcilers)


def _dispatcher(settings: Settings, saga: type[Saga], temporal: SagaClient, store: PostgresStore) -> Dispatcher:
    definition = saga.__uno_saga__
    assert definition is not None
    return Dispatcher(
        definition,
        temporal,
        events=store.events,
        runs=store.runs,
        subscriptions=store.subscriptions,
        settings=DispatchSettings(window=settings.window, max_open=settings.max_open),
    )


@asynccontextmanager
async def _projections_alone(settings: Settings, catalogue: Catalogue, identity: str) -> AsyncIterator[Watched]:
    """The pumps of the projections, with connections of their own: they run in another thread's event loop."""
    client = await connect_temporal()
    async with open_store(settings) as store, store.tail() as tail:
        consumers = [ProjectionFolder(p, catalogue.events, store.subscriptions) for p in catalogue.projections.values()]
        owner, stop = f"{identity}/projections", asyncio.Event()
        async with _pumps(settings, client, store, tail, consumers, owner, stop) as running:
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
) -> AsyncIterator[Watched]:
    """A Worker for pumps, with a slot for each: on shared slots, pumps that last minutes would keep steps from running."""
    queue = f"{settings.app}.{owner.rpartition('/')[2]}"
    options = PumpSettings(lease=settings.lease, poll=settings.poll, page=settings.page)
    make_pump = partial(Pump, store.subscriptions, tail, owner=owner, settings=options)
    host = PumpHost({consumer.subscription: partial(make_pump, consumer) for consumer in consumers}, leaving=stop)
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
        max_heartbeat_throttle_interval=THROTTLE,
        sticky_queue_schedule_to_start_timeout=STICKY,
    )
    names = [consumer.subscription for consumer in consumers]
    keeping = asyncio.create_task(keep_subscriptions(client, app=settings.app, task_queue=queue, names=names))
    try:
        async with _running(worker, stop) as running:
            yield [running, keeping]
    finally:
        await _cancel([keeping])


@asynccontextmanager
async def _running(worker: Worker, stop: asyncio.Event) -> AsyncIterator[asyncio.Future[None]]:
    """A Temporal Worker at work; the future ends with its error if it dies.

    It begins to stop as soon as `stop` is set: all parts stop side by side, within one grace and not one after the other.
    """
    running = asyncio.create_task(_run(worker), name=f"worker of {worker.task_queue}")
    stopping = asyncio.create_task(_stop(worker, stop), name=f"stop of {worker.task_queue}")
    try:
        while not (worker.is_running or running.done()):  # noqa: ASYNC110 (the SDK sets no event when it begins to poll)
            await asyncio.sleep(LOOK_SECONDS)
        if running.done():
            running.result()
        yield running
    finally:
        await _cancel([stopping])
        if not running.done():
            await worker.shutdown()
        await asyncio.wait([running])


async def _run(worker: Worker) -> None:
    try:
        await worker.run()
    except Exception as err:  # the SDK's own have no common type
        raise UnoError(f"the worker of task queue {worker.task_queue!r} died: {short(err)}") from err


async def _stop(worker: Worker, stop: asyncio.Event) -> None:
    await stop.wait()
    await worker.shutdown()


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
