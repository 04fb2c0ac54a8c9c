"""A part of the worker in a thread with an event loop of its own: user code that blocks it stalls nobody else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, Final

from uno_workflows.app.steady import run_steadily
from uno_workflows.app.watchdog import watched
from uno_workflows.observability.logs import get_logger

log = get_logger("uno_workflows.worker")

MARGIN: Final = timedelta(seconds=5)
"""What a part gets beyond its grace to close its connections; after that, user code must have blocked its loop."""

Part = AbstractAsyncContextManager[Sequence[asyncio.Future[Any]]]


@asynccontextmanager
async def in_thread(
    part: Callable[[], Part],
    *,
    name: str,
    grace: timedelta,
    watch: Callable[[str, Callable[[], float]], None] = lambda *_: None,
) -> AsyncIterator[asyncio.Future[None]]:
    """Run a part in its own thread; entering returns when it is ready, leaving when it has stopped.

    Args:
        part: A context whose value are futures; one that ends, ends the part.
        grace: How long leaving waits, and a little more. Then the thread is left behind, to die with the process.
        watch: Told, with the part's name, how to ask for how many seconds its loop has not turned.

    Yields:
        A future of the caller's loop that ends, with its error, if the part dies before it is told to stop.
    """
    here, stop = asyncio.get_running_loop(), threading.Event()
    ready: asyncio.Future[None] = here.create_future()
    died: asyncio.Future[None] = here.create_future()

    def tell(future: asyncio.Future[None], error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)

    async def live() -> None:
        with watched(asyncio.get_running_loop()) as still:
            watch(name, still)
            async with part() as running:
                here.call_soon_threadsafe(tell, ready, None)
                stopping = asyncio.create_task(asyncio.to_thread(stop.wait))
                await asyncio.wait([*running, stopping], return_when=asyncio.FIRST_COMPLETED)
                stop.set()
                for future in running:
                    if future.done():
                        future.result()

    def run() -> None:
        error: BaseException | None = None
        try:
            run_steadily(live)
        except BaseException as err:
            error = err
        with suppress(RuntimeError):  # left behind, and the caller's loop is closed
            here.call_soon_threadsafe(tell, died, error)

    thread = threading.Thread(target=run, name=f"uno {name}", daemon=True)
    thread.start()
    try:
        await asyncio.wait([ready, died], return_when=asyncio.FIRST_COMPLETED)
        if died.done():
            died.result()
        yield died
    finally:
        stop.set()
        await asyncio.wait([died], timeout=(grace + MARGIN).total_seconds())
        if not died.done():
            log.error("worker_part_stuck", part=name)
        elif not died.cancelled():
            died.exception()
