"""A part of the worker in a thread with an event loop of its own: user code that blocks it stalls nobody else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any


@asynccontextmanager
async def in_thread(
    part: Callable[[], AbstractAsyncContextManager[asyncio.Future[Any]]], *, name: str
) -> AsyncIterator[asyncio.Future[None]]:
    """Run a part in its own thread; entering returns when it is ready, leaving when it has stopped.

    Args:
        part: A context whose value is a future that ends if the part dies.

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
        async with part() as running:
            here.call_soon_threadsafe(tell, ready, None)
            stopping = asyncio.create_task(asyncio.to_thread(stop.wait))
            await asyncio.wait([running, stopping], return_when=asyncio.FIRST_COMPLETED)
            stop.set()
            if running.done():
                running.result()

    def run() -> None:
        error: BaseException | None = None
        try:
            asyncio.run(live())
        except BaseException as err:
            error = err
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
        await asyncio.wait([died])
        if not died.cancelled():
            died.exception()
