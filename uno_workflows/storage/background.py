"""Work that goes on beside a block and ends with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from contextvars import Context
from typing import Any


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None], *, name: str) -> AsyncIterator[asyncio.Task[None]]:
    """Run `work` as a task until the block ends; then cancel it and wait for it. It has a context of its own, because it serves
    callers with other spans and tenants than the one that started it.

    A TaskGroup would do the same, but would wrap every error of the block into an ExceptionGroup.

    Raises:
        Exception: `work` itself raised it; it leaves a block that did not fail. It is a bug, never an outage.
    """
    task = asyncio.create_task(work, name=name, context=Context())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled():
        task.result()
