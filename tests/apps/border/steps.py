from __future__ import annotations

import asyncio
import time

from apps.border.events import Changed, StepCalled, Well
from apps.border.raising import misbehave, misbehave_in_task
from uno_workflows import Retry, Transaction, step

TWICE = Retry(attempts=2, initial="10ms")


@step(retry=TWICE)
async def plain(event: StepCalled) -> None:
    misbehave(event.how)


@step(retry=TWICE)
async def in_task(event: StepCalled) -> None:
    await misbehave_in_task(event.how)


@step(retry=TWICE)
async def in_transaction(event: StepCalled, tx: Transaction) -> None:
    misbehave(event.how)


@step
async def good(event: Well) -> None: ...


@step
async def one(event: Changed) -> None: ...


@step
async def two(event: Changed) -> None: ...


@step(timeout="1 hour", heartbeat="1 hour")
async def cancel_everything(event: Well) -> None:
    for task in asyncio.all_tasks():
        if "polls" in task.get_name():
            task.cancel()


@step(timeout="1 hour", heartbeat="1 hour")
async def never_end(event: Well) -> None:
    while True:
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            continue


@step(timeout="1 hour", heartbeat="1 hour")
async def block(event: Well) -> None:
    time.sleep(3600)  # noqa: ASYNC251 (the crime itself)
