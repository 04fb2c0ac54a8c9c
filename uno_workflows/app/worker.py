"""The worker: runs what the user's modules declare, until it is told to stop.

One process has up to three parts, each a Temporal Worker on its own task queue: sagas and steps; dispatch, whose pumps share
the sagas' client so that starts can be eager (append to first step in a third of the time); and projections, whose user code
runs in a thread with an event loop of its own, because one blocked loop would stall every saga of the process (ADR 0008).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from enum import StrEnum
from functools import partial
from typing import Any

from uno_workflows.app.catalogue import Catalogue
from uno_workflows.app.connecting import connect_temporal, process_identity
from uno_workflows.app.monitoring import monitored, observing
from uno_workflows.app.parts import dispatch_part, projections_part, sagas_part
from uno_workflows.app.problem_notes import ProblemNotes
from uno_workflows.app.process import WorkerProcess
from uno_workflows.app.refusals import Refusals
from uno_workflows.app.registering import begin_subscriptions
from uno_workflows.app.sdk_worker import build_id, cancel
from uno_workflows.app.task_failures import TaskFailures
from uno_workflows.app.threads import in_thread
from uno_workflows.app.uno import open_store
from uno_workflows.app.watchdog import watched
from uno_workflows.config import Settings
from uno_workflows.events.errors import UnoError
from uno_workflows.observability.logs import get_logger
from uno_workflows.observability.outages import Outages
from uno_workflows.processing.auditor import Auditor
from uno_workflows.storage.silent import SilentSessions

log = get_logger("uno_workflows.worker")


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
    outages = Outages()
    async with AsyncExitStack() as stack:
        seen = await stack.enter_async_context(monitored(settings, catalogue, role=role, stop=stop))
        seen.watch("main", stack.enter_context(watched(asyncio.get_running_loop())))
        store = await stack.enter_async_context(open_store(settings, outages=outages, measures=seen.measures))
        notes = ProblemNotes(store.problems, outages=outages)
        await notes.load()
        client = await connect_temporal(runtime=seen.runtime)
        refusals = Refusals(client)
        process = WorkerProcess(
            settings=settings,
            catalogue=catalogue,
            store=store,
            client=client,
            identity=f"{process_identity()}-{secrets.token_hex(2)}",
            stop=stop,
            outages=outages,
            seen=seen,
            failures=stack.enter_context(_listening(TaskFailures(catalogue.sagas, note=notes.note, ask=refusals.ask))),
            notes=notes,
        )
        log.info("worker_started", **_described(process, role))
        for sentence in catalogue.missed:
            log.warning("declared_and_not_run", reason=sentence)
        await begin_subscriptions(store, process.client, catalogue, app=settings.app)
        watch: list[asyncio.Future[Any]] = [*await stack.enter_async_context(observing(seen, store, process.client))]
        if role in (Role.ALL, Role.SAGAS):
            watch.extend(await stack.enter_async_context(sagas_part(process)))
        if role in (Role.ALL, Role.DISPATCH):
            watch.extend(await stack.enter_async_context(dispatch_part(process)))
        if role in (Role.ALL, Role.PROJECTIONS) and catalogue.projections:
            alone = partial(projections_part, process)
            thread = in_thread(alone, name="projections", grace=settings.grace, watch=seen.watch)
            watch.append(await stack.enter_async_context(thread))
        watch.extend(await stack.enter_async_context(_common_work(process, refusals)))
        log.info("worker_ready", app=settings.app, role=str(role))
        seen.start()
        ready()
        try:
            await _until(stop, watch)
        except BaseException as error:
            seen.die(error)
            if not stop.is_set():
                log.error("worker_part_died", error=error)  # noqa: TRY400 (the catalogue has its level)
            stop.set()  # all parts leave at once, and within the time that a stop has
            raise
    log.info("worker_stopped", app=settings.app, role=str(role))


def _described(process: WorkerProcess, role: Role) -> dict[str, Any]:
    """What a worker is, for its first line."""
    catalogue = process.catalogue
    return {
        "app": process.settings.app,
        "role": str(role),
        "task_queue": process.settings.app,
        "modules": " ".join(sorted(module.__name__ for module in catalogue.modules)),
        "declares": catalogue.summary(),
        "build_id": build_id(catalogue.modules),
        "identity": process.identity,
        "namespace": process.client.namespace,
    }


@contextmanager
def _listening(failures: TaskFailures) -> Iterator[TaskFailures]:
    with failures.listening():
        yield failures


@asynccontextmanager
async def _common_work(process: WorkerProcess, refusals: Refusals) -> AsyncIterator[Sequence[asyncio.Future[Any]]]:
    """What every worker does, whatever its role, because somebody must."""
    store, outages = process.store, process.outages
    auditor = Auditor(store.audits, found=process.measures.differed, outages=outages)
    tasks = [
        asyncio.create_task(auditor.run(), name="auditor of deliveries"),
        asyncio.create_task(process.notes.run(), name="notes of runs that cannot go on"),
        asyncio.create_task(refusals.run(), name="reasons of refused workflow tasks"),
        asyncio.create_task(SilentSessions(store.database, outages=outages).run(), name="end of silent sessions"),
    ]
    try:
        yield tasks
    finally:
        await cancel(tasks)


async def _until(stop: asyncio.Event, watch: Sequence[asyncio.Future[Any]]) -> None:
    """Wait for the stop; a part that dies before stops its owner, with its error."""
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait([stopping, *watch], return_when=asyncio.FIRST_COMPLETED)
        for part in watch:
            if part.done() and not stop.is_set():
                _raise_death(part)
    finally:
        stopping.cancel()


def _raise_death(part: asyncio.Future[Any]) -> None:
    if not part.cancelled() and (error := part.exception()) is not None:
        raise error
    name = part.get_name() if isinstance(part, asyncio.Task) else "a part"
    raise UnoError(f"{name} has ended before the worker was told to stop: does code of the modules cancel tasks of others?")
