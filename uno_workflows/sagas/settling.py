"""Waiting for tasks to end, whatever is cancelled meanwhile: undo never overtakes a step in flight."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Sequence
from typing import Any

from temporalio import workflow

from uno_workflows.sagas.failures import is_failure


async def settle(*tasks: asyncio.Future[Any]) -> None:
    """Return when all have ended; a cancellation of the run does not interrupt it (it is remembered by the driver)."""
    while waiting := [task for task in tasks if not task.done()]:
        try:
            await workflow.wait(waiting)  # asyncio.wait iterates a set: not deterministic
        except asyncio.CancelledError:
            continue


async def shielded(work: Coroutine[Any, Any, None]) -> None:
    """Run work to its end, whatever is cancelled meanwhile."""
    task = asyncio.create_task(work)
    await settle(task)
    task.result()


async def in_parallel(awaitables: Sequence[Awaitable[Any]]) -> tuple[Any, ...]:
    """All results in order; on the first failure the others are cancelled, and it is raised once they have settled.

    A bug is raised at once: a cancel that was commanded for it would stay in the history, where the repaired code makes none.
    """
    tasks = [asyncio.ensure_future(one) for one in awaitables]
    try:
        return tuple(await asyncio.gather(*tasks))
    except BaseException as err:
        if is_failure(err):
            for task in tasks:
                task.cancel()
            await settle(*tasks)
            for task in tasks:
                if not task.cancelled():
                    task.exception()  # seen: the first failure is the one that is raised
        raise
