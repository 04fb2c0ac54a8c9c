"""Eager starts: the server answers a start with the run's first task, for the worker of sagas that shares our client.

One that arrives while that worker leaves is lost, and its run waits for the time-out of a task (ADR 0019).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

LEAVE_SECONDS: Final = 1.0
"""How long a worker that leaves waits for the answers to starts; one that comes later was held up by the server."""


class EagerStarts:
    """The starts of a process that ask for the first task."""

    def __init__(self) -> None:
        self._ended = False
        self._under_way = 0
        self._answered = asyncio.Event()
        self._answered.set()

    @contextmanager
    def one(self) -> Iterator[bool]:
        """Inside the block a start is under way; whether it may ask for its task."""
        if self._ended:
            yield False
            return
        self._under_way += 1
        self._answered.clear()
        try:
            yield True
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._answered.set()

    async def end(self) -> None:
        """Let no more ask, and wait for the answers that are due, though not for long."""
        self._ended = True
        with suppress(TimeoutError):
            await asyncio.wait_for(self._answered.wait(), LEAVE_SECONDS)
