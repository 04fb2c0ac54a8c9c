"""The two that sagas are measured on: our app, and the same by hand. Each starts sagas its own way, and knows when they end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import count
from types import MappingProxyType
from typing import Final, Protocol

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError, RPCStatusCode

from uno_workflows import NO_STREAM, Settings, Uno, UnoError
from uno_workflows.app.catalogue import discover
from uno_workflows.app.registering import define_subscriptions
from uno_workflows.sagas.envelope import STATE_QUERY
from workers.bench.children import Child, child
from workers.bench.events import order
from workers.bench.plain import PlainFulfil
from workers.bench.surroundings import Surroundings
from workers.bench.worker_process import MODULES, PLAIN

LOOK: Final = 0.02
LIMIT: Final = 900.0
"""Seconds after which sagas that have not ended are given up."""
APART: Final = 10**9
"""Between the orders of two apps, for their sagas share a namespace."""
AT_ONCE: Final = 20
"""Starts by hand in flight, as many as a dispatcher has."""


class Subject(Protocol):
    """What sagas are measured on.

    Attributes:
        workers: Its processes; the one that runs the sagas comes first.
    """

    workers: Sequence[Child]

    async def run(self, number: int) -> float:
        """Start sagas and wait for the end of all; the seconds of CPU that starting them took in this process."""
        ...

    async def wait(self, number: int) -> None:
        """Start sagas that stay open, and wait until all of them are at their last wait."""
        ...

    async def first_step(self) -> float:
        """Start one saga; the seconds until its first step began."""
        ...


class Ours:
    """Our app: sagas start because an event is appended."""

    def __init__(self, uno: Uno, client: Client, workers: Sequence[Child], *, first: int) -> None:
        self.workers, self.url = workers, uno.settings.database_url
        self._uno, self._client, self._numbers = uno, client, count(first)
        self._ended = 0

    async def run(self, number: int) -> float:
        """See `Subject`; starting them is the dispatcher's work, whose CPU is counted where it runs."""
        self._ended += number
        await _at_once(number, self._append)
        await _until(self._all_done)
        return 0.0

    async def wait(self, number: int) -> None:
        """See `Subject`."""
        for order_id in [await self._append("wait") for _ in range(number)]:
            await _until(partial(self._waits, f"Fulfil/{order_id}"))

    async def first_step(self) -> float:
        """See `Subject`."""
        began = time.monotonic_ns()
        return await _stamped(self.workers[0], await self._append("stamp"), began)

    async def _append(self, mode: str = "") -> str:
        event = order(next(self._numbers), mode=mode)
        await self._uno.append(f"order-{event.order_id}", event, expected_version=NO_STREAM)
        return event.order_id

    async def _all_done(self) -> bool:
        if halted := next((s for s in await self._uno.store.subscriptions.statuses() if s.halt), None):
            raise UnoError(f"{halted.name} has halted: {halted.halt and halted.halt.reason}")
        async with self._uno.transaction() as tx:
            found = await tx.execute("select count(*) from uno.saga_runs where state = 'done' and reason = ''")
            return int(found.scalar_one()) >= self._ended

    async def _waits(self, workflow_id: str) -> bool:
        try:
            state = await self._client.get_workflow_handle(workflow_id).query(STATE_QUERY)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return False
        return bool(state["waiting_for"] == ["expect Delivered"])


class Plain:
    """The plain SDK: sagas start because a client says so."""

    def __init__(self, client: Client, queue: str, workers: Sequence[Child]) -> None:
        self.workers = workers
        self._client, self._queue, self._numbers = client, queue, count(1)

    async def run(self, number: int) -> float:
        """See `Subject`."""
        cpu = time.process_time()
        begun = await _at_once(number, self._start)
        cpu = time.process_time() - cpu
        for order_id in begun:
            await self._client.get_workflow_handle(f"{self._queue}/{order_id}").result()
        return cpu

    async def wait(self, number: int) -> None:
        """See `Subject`."""
        for order_id in [await self._start("wait") for _ in range(number)]:
            await _until(partial(self._client.get_workflow_handle(f"{self._queue}/{order_id}").query, PlainFulfil.waiting))

    async def first_step(self) -> float:
        """See `Subject`."""
        began = time.monotonic_ns()
        return await _stamped(self.workers[0], await self._start("stamp"), began)

    async def _start(self, mode: str = "") -> str:
        event = order(next(self._numbers), mode=mode)
        await self._client.start_workflow(PlainFulfil.run, event, id=f"{self._queue}/{event.order_id}", task_queue=self._queue)
        return event.order_id


@asynccontextmanager
async def ours(around: Surroundings, *roles: str, environment: Mapping[str, str] = MappingProxyType({})) -> AsyncIterator[Ours]:
    """Our app, its worker in as many processes as roles are given.

    Args:
        environment: Settings of the worker, besides those by which it finds its servers.
    """
    async with AsyncExitStack() as stack:
        url, address, app = await stack.enter_async_context(around.database()), await around.temporal(), around.name()
        uno = await stack.enter_async_context(Uno.connect(Settings(database_url=url, app=app), modules=MODULES))
        await define_subscriptions(uno.store, discover(MODULES), app=app)
        environment = {**environment, "UNO_DATABASE_URL": url, "UNO_APP": app, "TEMPORAL_ADDRESS": address}
        workers = [
            await stack.enter_async_context(
                child("worker_process", role, environment=environment, log=around.folder / f"{app}-{role}.log")
            )
            for role in roles
        ]
        yield Ours(uno, await Client.connect(address), workers, first=around.number() * APART)


@asynccontextmanager
async def plain(around: Surroundings) -> AsyncIterator[Plain]:
    """The plain SDK's worker in a process."""
    address, queue = await around.temporal(), around.name()
    log = around.folder / f"{queue}-plain.log"
    async with child("worker_process", PLAIN, queue, address, environment={}, log=log) as worker:
        yield Plain(await Client.connect(address, data_converter=pydantic_data_converter), queue, [worker])


async def _at_once(number: int, start: Callable[[], Awaitable[str]]) -> list[str]:
    """Start so many, a few at a time."""
    begun, left = list[str](), iter(range(number))

    async def some() -> None:
        for _ in left:
            begun.append(await start())

    async with asyncio.TaskGroup() as group:
        for _ in range(min(AT_ONCE, number)):
            group.create_task(some())
    return begun


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(LIMIT):
        while not await condition():  # noqa: ASYNC110 (another process does not set our events)
            await asyncio.sleep(LOOK)


async def _stamped(worker: Child, order_id: str, since: int) -> float:
    """The seconds from a moment to the first step of an order, as its worker says."""
    async with asyncio.timeout(LIMIT):
        while True:
            match (await worker.line()).split():
                case ["began", named, moment] if named == order_id:
                    return (int(moment) - since) / 1e9
