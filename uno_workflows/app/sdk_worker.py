"""The SDK's Worker as we use it: refusals in words, a build id that costs nothing, and a stop that begins for all at once."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from temporalio.client import Client
from temporalio.worker import Interceptor, Worker, WorkflowInboundInterceptor, WorkflowInterceptorClassInput

from uno_workflows.app.catalogue import Catalogue
from uno_workflows.app.connecting import short
from uno_workflows.app.importing import where
from uno_workflows.events.border import UserCodeExit, user_code
from uno_workflows.events.errors import ConfigurationError, UnoError
from uno_workflows.events.raised import cause_of
from uno_workflows.events.telling import error_type, message_of
from uno_workflows.sagas.calls import HEARTBEAT_FUNCTION

LOOK_SECONDS: Final = 0.005
"""How often a worker that starts is looked at: before it polls, it asks the server about the namespace."""

WORKFLOW_TASKS: Final = 20
"""Workflow tasks of sagas that a worker takes at once; the SDK's own number is 100.

A process runs Python on one core, however many there are, and its tasks take turns: each waits for all others. What a worker has
taken it must end within the SDK's two seconds and the server's time-out, or the task is begun anew, which on a loaded machine
makes it later still. Enough that a core is busy while others talk with a server that is 50 ms away."""


def threads_for(catalogue: Catalogue, number: int) -> ThreadPoolExecutor | None:
    """Where plain activities run that are not async; `None` if there are none."""
    if all(_is_async(activity) for activity in catalogue.activities.values()):
        return None
    return ThreadPoolExecutor(number, thread_name_prefix="activity")


def _is_async(activity: Any) -> bool:
    return inspect.iscoroutinefunction(activity) or inspect.iscoroutinefunction(getattr(activity, "__call__", None))  # noqa: B004


def make_worker(catalogue: Catalogue, client: Client, **options: Any) -> Worker:
    """A Temporal Worker; the SDK loads every workflow in the sandbox here.

    Raises:
        ConfigurationError: it refuses what a module does when it is loaded, or declares.
    """
    try:
        with user_code("a module"):
            return Worker(client, build_id=build_id(catalogue.modules), **options)
    except (RuntimeError, ValueError, TypeError, UserCodeExit) as err:
        name = message_of(err).removeprefix("Failed validating workflow ")
        workflow = catalogue.sagas.get(name) or catalogue.workflows.get(name)
        if workflow is None or (cause := cause_of(err)) is None:
            raise ConfigurationError([f"Temporal's worker refuses what the modules declare: {message_of(err)}"]) from err
        # the SDK goes on to advise what is not in the user's hands here
        reason = f"{where(cause)}{error_type(cause)}: {message_of(cause).partition('. If this is code from')[0]}"
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


class StepTimes(Interceptor):
    """Tells workflows the heartbeat time-out of the worker they are on.

    A function of the worker's and not a module's variable: a process may run workers of several profiles, and a workflow goes
    from one worker to another. Replay does not compare time-outs, so a run may meet another answer at any time.
    """

    def __init__(self, heartbeat: timedelta) -> None:
        self._heartbeat = heartbeat

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor] | None:
        """Add the function to what workflows of this worker may call; intercept nothing."""
        functions: dict[str, Any] = {HEARTBEAT_FUNCTION: lambda: self._heartbeat}
        input.unsafe_extern_functions.update(functions)
        return None


@asynccontextmanager
async def running_worker(
    worker: Worker,
    stop: asyncio.Event,
    *,
    before: Callable[[], Awaitable[None]] | None = None,
    watch: Callable[[str, asyncio.Future[Any]], None] = lambda *_: None,
) -> AsyncIterator[Sequence[asyncio.Future[Any]]]:
    """A Temporal Worker at work, and the tasks by which it polls: one that ends before the stop has died.

    It begins to stop as soon as `stop` is set: all parts stop side by side, within one grace and not one after the other.

    Args:
        before: Awaited before it stops.
        watch: Called with each task and its name.
    """
    pollers = _Pollers(worker)
    running = asyncio.create_task(_run(worker), name=f"worker of {worker.task_queue}")
    stopping = asyncio.create_task(_stop(worker, running, stop, before), name=f"stop of {worker.task_queue}")
    try:
        while not (worker.is_running or running.done()):  # noqa: ASYNC110 (the SDK sets no event when it begins to poll)
            await asyncio.sleep(LOOK_SECONDS)
        if running.done():
            running.result()
        parts = [running, *pollers.tasks]
        for part in parts:
            watch(part.get_name(), part)
        yield parts
    finally:
        if not stop.is_set():  # another part died
            await cancel([stopping])
            await _shut_down(worker, running)
        await asyncio.wait([stopping, running])


class _Pollers:
    """The tasks by which a Worker takes its work from the server.

    The SDK waits for the first task that raises. It does not notice a task that was cancelled, as by user code that cancels every
    task it finds: the Worker runs on, and takes no work any more. The SDK does not report this, so we look at its parts.
    """

    def __init__(self, worker: Worker) -> None:
        self.tasks: list[asyncio.Task[Any]] = []
        for what in ("workflow", "activity"):
            part = getattr(worker, f"_{what}_worker", None)
            if part is not None:
                part.run = self._named(part.run, f"polls of {worker.task_queue} for {what} tasks")

    def _named(self, run: Callable[[], Awaitable[None]], name: str) -> Callable[[], Awaitable[None]]:
        async def polling() -> None:
            if (task := asyncio.current_task()) is not None:
                task.set_name(name)
                self.tasks.append(task)
            await run()

        return polling


async def _run(worker: Worker) -> None:
    try:
        await worker.run()
    except Exception as err:  # the SDK's own have no common type
        raise UnoError(f"the worker of task queue {worker.task_queue!r} died: {short(err)}") from err


async def _stop(
    worker: Worker, running: asyncio.Task[None], stop: asyncio.Event, before: Callable[[], Awaitable[None]] | None
) -> None:
    await stop.wait()
    try:
        if before is not None:
            await before()
    finally:
        await _shut_down(worker, running)


async def _shut_down(worker: Worker, running: asyncio.Task[None]) -> None:
    """The SDK's own shutdown waits forever for a Worker whose poller was cancelled."""
    shutting = asyncio.create_task(worker.shutdown(), name=f"shutdown of {worker.task_queue}")
    try:
        await asyncio.wait([shutting, running], return_when=asyncio.FIRST_COMPLETED)
    finally:
        shutting.cancel()


async def cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel tasks, and wait until they have ended."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
