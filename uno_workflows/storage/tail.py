"""The end of the log, watched by one task for all subscriptions of a process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Final, Self

from uno_workflows.events.errors import UnoError
from uno_workflows.events.names import GlobalPosition
from uno_workflows.storage.background import running
from uno_workflows.storage.errors import translate
from uno_workflows.storage.pool import Database, connect

_log = logging.getLogger(__name__)

_HELD: Final = (0.002, 0.005, 0.01, 0.02, 0.05)  # seconds between looks while an open append holds the bound back
_AWAY: Final = (0.05, 0.1, 0.2, 0.5, 1.0)  # seconds between attempts while Postgres is away


class PostgresTail:
    """See the port `Tail`. `async with store.tail() as tail:` returns when the bound is known.

    It looks when it is woken (an append in this process, a NOTIFY from another) and at every poll, and costs one short
    statement each time. While Postgres is away it keeps trying, and waiters wait on until their own time is up.
    """

    def __init__(self, database: Database, dsn: str, *, forget: Callable[[PostgresTail], None]) -> None:
        self._database = database
        self._listen_dsn = database.settings.listen_dsn or dsn
        self._forget = forget
        self._bound = GlobalPosition(0)
        self._woken = asyncio.Event()
        self._moved = asyncio.Event()
        self._watcher: asyncio.Task[None] | None = None
        self._running = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._bound = GlobalPosition((await self._database.fetch_row("bound"))["bound"])
        schema = self._database.schema
        self._running.callback(self._forget, self)
        await self._running.enter_async_context(running(self._listen(), name=f"uno listener ({schema})"))
        self._watcher = await self._running.enter_async_context(running(self._watch(), name=f"uno tail ({schema})"))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._running.aclose()

    async def wait_beyond(self, position: int, *, seconds: float) -> GlobalPosition:
        """Return the bound as soon as it is greater than `position`, or whatever it is after `seconds`."""
        assert self._watcher is not None, "the tail is not running: use `async with`"
        try:
            async with asyncio.timeout(seconds):
                while self._bound <= position:
                    if self._watcher.done():
                        self._watcher.result()
                    await self._moved.wait()
        except TimeoutError:
            pass
        return self._bound

    def wake(self) -> None:
        """Say that something was appended in this process."""
        self._woken.set()

    async def _watch(self) -> None:
        held = away = 0
        try:
            while True:
                self._woken.clear()
                try:
                    row = await self._database.fetch_row("bound_from", known=self._bound)
                except UnoError as error:  # even a refusal may pass: a replica is promoted, a database restored
                    pause, away = _AWAY[min(away, len(_AWAY) - 1)], away + 1
                    _log.log(logging.DEBUG if error.retryable else logging.WARNING, "the log cannot be watched: %s", error)
                    await asyncio.sleep(pause)
                    continue
                away = 0
                held = held + 1 if row["bound"] <= self._bound else 0
                self._move(row["bound"])
                if row["bound"] < row["head"]:
                    if held:
                        await asyncio.sleep(_HELD[min(held - 1, len(_HELD) - 1)])
                    continue
                held = 0
                await self._wait_to_be_woken()
        finally:
            self._moved.set()  # whoever waits shall see how this ended

    def _move(self, bound: int) -> None:
        if bound != self._bound:
            self._bound = GlobalPosition(bound)
            self._moved.set()
            self._moved = asyncio.Event()

    async def _wait_to_be_woken(self) -> None:
        try:
            async with asyncio.timeout(self._database.settings.poll):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def _listen(self) -> None:
        away = 0
        while True:
            lost = asyncio.Event()
            connection: Any = None
            try:
                connection = await connect(self._listen_dsn, self._database.settings)
                connection.add_termination_listener(lambda _, lost=lost: lost.set())
                await connection.add_listener(self._database.channel, lambda *_: self.wake())
                away = 0
                self.wake()  # what was notified while nobody listened
                await lost.wait()
            except Exception as error:
                if translate(error, schema=self._database.schema) is None:
                    raise
                _log.debug("notifications cannot be heard: %s", error)
            finally:
                if connection is not None:
                    connection.terminate()
            await asyncio.sleep(_AWAY[min(away, len(_AWAY) - 1)])
            away += 1
