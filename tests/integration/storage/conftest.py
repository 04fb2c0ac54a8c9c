"""Raw material for tests of the store: events as bytes, connections, and a checker of what readers saw."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import asyncpg
import pytest

from uno_workflows.events.ids import new_event_id
from uno_workflows.events.names import ANY, EventType, StreamId
from uno_workflows.events.recorded import NewEvent, StreamAppend

Write = Callable[..., StreamAppend]


def new_event(type_: str = "Happened", payload: bytes = b'{"n":1}') -> NewEvent:
    return NewEvent(new_event_id(), EventType(type_), 1, payload, b"{}")


@pytest.fixture
def event() -> Callable[..., NewEvent]:
    """Makes an event that is ready to be stored."""
    return new_event


@pytest.fixture
def write() -> Write:
    """Makes an append: `write("order-1", 3, expected=NO_STREAM)`."""

    def make(
        stream: str, events: int | list[NewEvent] = 1, *, expected: int = ANY, tenant: str = "", type_: str = "Happened"
    ) -> StreamAppend:
        made = [new_event(type_) for _ in range(events)] if isinstance(events, int) else events
        return StreamAppend(tenant, StreamId(stream), expected, made, "conversation")

    return make


@pytest.fixture
async def connect(database: str) -> AsyncIterator[Callable[[], Awaitable[asyncpg.Connection]]]:
    """Opens further connections to the test's database and closes them at its end."""
    async with AsyncExitStack() as stack:

        async def open_one() -> asyncpg.Connection:
            connection = await asyncpg.connect(database)
            stack.callback(connection.terminate)
            return connection

        yield open_one


@pytest.fixture
def until() -> Callable[..., Awaitable[None]]:
    """Waits for a condition, with a limit: `await until(lambda: …)`; the condition may be a coroutine function."""

    async def wait(condition: Callable[[], object], *, seconds: float = 10) -> None:
        async with asyncio.timeout(seconds):
            while True:
                answer = condition()
                if await answer if isinstance(answer, Awaitable) else answer:
                    return
                await asyncio.sleep(0.01)

    return wait


@pytest.fixture
def blocked(
    connect: Callable[[], Awaitable[asyncpg.Connection]], until: Callable[..., Awaitable[None]]
) -> Callable[..., Awaitable[None]]:
    """Waits until so many sessions of the test's database wait for a lock."""

    async def wait(count: int = 1) -> None:
        watcher = await connect()

        async def so_many() -> bool:
            waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
            return bool(await watcher.fetchval(waiting) >= count)

        await until(so_many)

    return wait
