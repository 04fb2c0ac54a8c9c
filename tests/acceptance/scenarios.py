"""Scenarios that run side by side: most of each is waiting for a heartbeat to time out, and they may all wait at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from acceptance.shop import Shop

Scenario = Callable[[Shop], Coroutine[Any, Any, None]]
OpenShop = Callable[[str], AbstractAsyncContextManager[Shop]]
AT_ONCE = 5


class Scenarios:
    """Those of one module. `@scenarios` adds one; its name is the sentence that it proves."""

    def __init__(self) -> None:
        self._all: dict[str, Scenario] = {}

    def __call__(self, scenario: Scenario) -> Scenario:
        self._all[scenario.__name__] = scenario
        return scenario

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    @asynccontextmanager
    async def running(self, names: Collection[str], open_shop: OpenShop) -> AsyncIterator[dict[str, asyncio.Task[None]]]:
        """Run the named ones, a few at once, each in a shop of its own."""
        places = asyncio.Semaphore(AT_ONCE)

        async def run(name: str) -> None:
            async with places, open_shop(name) as shop:
                await self._all[name](shop)

        tasks = {name: asyncio.create_task(run(name), name=name) for name in self._all if name in names}
        try:
            yield tasks
        finally:
            for task in tasks.values():
                task.cancel()
            if tasks:
                await asyncio.wait(tasks.values())
