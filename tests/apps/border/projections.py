from __future__ import annotations

import asyncio
from collections.abc import Sequence

from apps.border.events import Shown, Well
from apps.border.raising import misbehave
from uno_workflows import Projection, Recorded, Retry, Transaction, on

TWICE = Retry(attempts=2, initial="10ms")


class InProjection(Projection, retry=TWICE):
    @on(Shown)
    async def show(self, events: Sequence[Recorded[Shown]], tx: Transaction) -> None:
        if events[0].event.how == "cancel_task" and (task := asyncio.current_task()):
            task.cancel()
            await asyncio.sleep(0)
        misbehave(events[0].event.how)


class InInit(Projection, retry=TWICE):
    def __init__(self) -> None:
        misbehave("exit")

    @on(Well)
    async def show(self, events: Sequence[Recorded[Well]], tx: Transaction) -> None: ...


class Fine(Projection):
    @on(Well)
    async def show(self, events: Sequence[Recorded[Well]], tx: Transaction) -> None: ...
