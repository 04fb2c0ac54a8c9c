"""The end of the log, watched by one task for all subscriptions of a process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Final, Self

from uno_workflows.events.errors import UnoError
from uno_workflows.events.names import GlobalPosition
from uno_workflows.events.retry import jittered
from uno_workflows.events.telling import spelt
from uno_workflows.observability.outages import Outages
from uno_workflows.storage.background import running
from uno_workflows.storage.errors import outage
from uno_workflows.storage.pool import Database, connect

_HELD: Final = (0.002, 0.005, 0.01, 0.02, 0.05)  # seconds between looks while an open append holds the bound back
_AWAY: Final = (0.05, 0.1, 0.2, 0.5, 1.0)  # seconds between attempts while Postgres is away


class PostgresTail:
    """See the port `Tail`. `async with store.tail() as tail:` returns when the bound is known.

    It looks when it is woken (an append in this process, a NOTIFY from another) and at every poll, and costs one short
    statement each time. While Postgres is away it keeps trying, and waiters wait on until their own time is up.
    """

    def __init__(self, database: Database, dsn: str, *, forget: Callable[[PostgresTail], None], outages: Outages) -> None:
        self._database = database
        self._listen_dsn = database.settings.listen_dsn or dsn
        self._forget = forget
        self._outages = outages
        self._bound = GlobalPosition(0)
        self._woken = asyncio.Event()
        self._moved = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._running = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._bound = GlobalPosition((await self._database.fetch_row("bound"))["bound"])
        schema = self._database.schema
        self._running.callback(self._forget, self)
        for work, name in ((self._listen(), "listener"), (self._watch(), "tail")):
            task = await self._running.enter_async_context(running(work, name=f"uno {name} ({schema})"))
            task.add_done_callback(lambda _: self._moved.set())  # whoever waits shall see how it ended
            self._tasks.append(task)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._running.__aexit__(kind, error, trace)

    async def wait_beyond(self, position: int, *, seconds: float) -> GlobalPosition:
        """Return the bound as soon as it is greater than `position`, or whatever it is after `seconds`.

        Raises:
            UnoError: one of the tail's tasks ended by a mistake in it; this tail will never move again.
        """
        assert self._tasks, "the tail is not running: use `async with`"
        try:
            async with asyncio.timeout(seconds):
                while self._bound <= position:
                    self._check_alive()
                    await self._moved.wait()
        except TimeoutError:
            pass
        return self._bound

    def _check_alive(self) -> None:
        for task in self._tasks:
            if task.done():
                error = None if task.cancelled() else task.exception()
                why = "it was closed" if error is None else spelt(error)
                raise UnoError(f"{task.get_name()} has ended, and the log is no longer watched: {why}") from error

    @property
    def tasks(self) -> Sequence[asyncio.Task[None]]:
        """What it consists of while it runs: a task that ends before it is left has met a bug, and its owner should stop."""
        return tuple(self._tasks)

    def wake(self) -> None:
        """Say that something was appended in this process."""
        self._woken.set()

    async def _watch(self) -> None:
        held = away = 0
        waiting = self._outages.part("tail of the log")
        while True:
            self._woken.clear()
            try:
                row = await self._database.fetch_row("bound_from", known=self._bound)
            except Exception as error:  # even a refusal may pass: a replica is promoted, a database restored
                if (ours := outage(error, schema=self._database.schema)) is None:
                    raise
                waiting.met(ours)
                await asyncio.sleep(jittered(_AWAY[min(away, len(_AWAY) - 1)]))
                away += 1
                continue
            away = 0
            waiting.over("postgres")
            held = held + 1 if row["bound"] <= self._bound else 0
            self._move(row["bound"])
            if row["bound"] < row["head"]:
                if held:
                    await asyncio.sleep(_HELD[min(held - 1, len(_HELD) - 1)])
                continue
            held = 0
            await self._wait_to_be_woken()

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
        waiting = self._outages.part("listener")
        while True:
            lost = asyncio.Event()
            connection: Any = None
            try:
                connection = await connect(self._listen_dsn, self._database.settings)
                connection.add_termination_listener(lambda _, lost=lost: lost.set())
                await connection.add_listener(self._database.channel, lambda *_: self.wake())
                away = 0
                waiting.over("postgres")
                self.wake()  # what was notified while nobody listened
                await lost.wait()
            except Exception as error:
                if (ours := outage(error, schema=self._database.schema)) is None:
                    raise
                waiting.met(ours)
            finally:
                if connection is not None:
                    connection.terminate()
            await asyncio.sleep(jittered(_AWAY[min(away, len(_AWAY) - 1)]))
            away += 1
