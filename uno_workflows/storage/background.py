"""Work that goes on beside a block and ends with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from contextvars import Context
from typing import Any


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None], *, name: str) -> AsyncIterator[asyncio.Task[None]]:
    """Run `work` as a task until the block ends; then cancel it and wait for it. It has a context of its own: it serves others
    than the caller that started it, whose span and tenant are not theirs.

    A TaskGroup would do the same, but would wrap every error of the block into an ExceptionGroup.

    Raises:
        Exception: what `work` itself raised, at the end of a block that did not fail: it is a bug, never an outage.
    """
    task = asyncio.create_task(work, name=name, context=Context())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled():
        task.result()
