"""The end of the log, watched by one task for all subscriptions of a process."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Any, Final, Self
from uuid import UUID

from uno_workflows.events.cursors import LogEnd
from uno_workflows.events.errors import StoreClosed, UnoError
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
    """See the port `Tail`. Entered, it knows the bound; `Tails` shares it out.

    It checks the log at each wake-up (an append in this process, a NOTIFY from another) and at every poll; each costs one short
    statement. While Postgres is down it keeps trying, and waiters go on waiting until their own time is up.
    """

    def __init__(self, database: Database, dsn: str, *, outages: Outages) -> None:
        self._database = database
        self._listen_dsn = database.settings.listen_dsn or dsn
        self._outages = outages
        self._end: LogEnd | None = None
        self._turns = 0  # how often the log turned out to be another one, or shorter
        self._woken = asyncio.Event()
        self._moved = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._running = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._end = LogEnd._make(await self._database.fetch_row("bound"))
        schema = self._database.schema
        for work, name in ((self._listen(), "listener"), (self._watch(), "tail")):
            task = await self._running.enter_async_context(running(work, name=f"uno {name} ({schema})"))
            task.add_done_callback(lambda _: self._moved.set())  # wakes its waiters, which check how it ended
            self._tasks.append(task)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._running.__aexit__(kind, error, trace)

    async def wait_beyond(self, position: int, *, seconds: float) -> GlobalPosition:
        """Return the bound as soon as it is greater than `position`, or whatever it is after `seconds`.

        It also returns after a restore: when the log is another one, or shorter than before.

        Raises:
            StoreClosed: the store was closed.
            UnoError: one of the tail's tasks ended by a bug in it; this tail will never move again.
        """
        turns = self._turns
        try:
            async with asyncio.timeout(seconds):
                while self._known.bound <= position and turns == self._turns:
                    self._check_alive()
                    await self._moved.wait()
        except TimeoutError:
            self._check_alive()
        return self._known.bound

    @property
    def _known(self) -> LogEnd:
        assert self._end is not None, "the tail is not running: use `async with`"
        return self._end

    @property
    def epoch(self) -> UUID:
        """The epoch of the log at the last check."""
        return self._known.epoch

    @property
    def alive(self) -> bool:
        """Whether it still watches the log."""
        return not any(task.done() for task in self._tasks)

    def _check_alive(self) -> None:
        if self._database.lifetime.over:
            raise StoreClosed("the store was closed, so its log is no longer watched")
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
        """Wake the tail after an append in this process."""
        self._woken.set()

    def end(self) -> None:
        """Stop, because the store is closed, and wake the waiters with that error."""
        for task in self._tasks:
            task.cancel()
        self._moved.set()

    async def _watch(self) -> None:
        held = away = 0
        waiting = self._outages.part("tail of the log")
        while True:
            self._woken.clear()
            try:
                end = LogEnd._make(await self._database.fetch_row("bound_from", known=self._known.bound))
            except StoreClosed:
                return
            except Exception as error:  # even a refusal may pass: a replica is promoted, a database restored
                if (ours := outage(error, schema=self._database.schema)) is None:
                    raise
                waiting.met(ours)
                await asyncio.sleep(jittered(_AWAY[min(away, len(_AWAY) - 1)]))
                away += 1
                continue
            away = 0
            waiting.over("postgres")
            held = held + 1 if end.bound <= self._known.bound else 0
            self._move(end)
            if end.bound < end.head:
                if held:
                    await asyncio.sleep(_HELD[min(held - 1, len(_HELD) - 1)])
                continue
            held = 0
            await self._wait_to_be_woken()

    def _move(self, end: LogEnd) -> None:
        known, self._end = self._known, end
        if turned := end.epoch != known.epoch or end.head < known.head:
            self._turns += 1
        if turned or end.bound != known.bound:
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


class Tails:
    """One tail for all readers of a store: the first starts it, the last one to leave stops it.

    Args:
        make: Makes one.
    """

    def __init__(self, make: Callable[[], PostgresTail]) -> None:
        self._make = make
        self._turn = asyncio.Lock()
        self._tail: PostgresTail | None = None
        self._readers: dict[PostgresTail, int] = {}

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[PostgresTail]:
        """The tail; a new one if the present one has died."""
        tail = await self._enter()
        try:
            yield tail
        finally:
            await self._leave(tail, *sys.exc_info())

    async def _enter(self) -> PostgresTail:
        async with self._turn:
            tail = self._tail
            if tail is None or not tail.alive:
                tail = self._make()
                await tail.__aenter__()
                self._tail = tail
            self._readers[tail] = self._readers.get(tail, 0) + 1
            return tail

    async def _leave(
        self, tail: PostgresTail, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._readers[tail] -= 1  # before any wait, so that a second cancel cannot come between
        async with self._turn:
            if self._readers.get(tail) != 0:  # another reader uses it, or has stopped it
                return
            del self._readers[tail]
            if self._tail is tail:
                self._tail = None
            await tail.__aexit__(kind, error, trace)

    def wake(self) -> None:
        """Wake the tail after an append in this process."""
        for tail in self._readers:
            tail.wake()

    def end(self) -> None:
        """End every waiting reader, because the store is closed."""
        for tail in self._readers:
            tail.end()
