"""Watches an event loop from another thread, and names what blocks it: else the symptom is a lease that is lost far away."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from uno_workflows.observability.logs import get_logger

log = get_logger("uno_workflows.worker")

BLOCKED_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 0.25


@contextmanager
def watched(loop: asyncio.AbstractEventLoop) -> Iterator[Callable[[], float]]:
    """Watch this thread's event loop while the block runs: whoever blocks it for more than a second is named in the log.

    Yields:
        Says for how many seconds it has not turned; any thread may ask.
    """
    over = threading.Event()
    watch = _Watch(loop, threading.get_ident())
    thread = threading.Thread(target=watch.run, args=(over,), name="uno watchdog", daemon=True)
    thread.start()
    try:
        yield watch.still
    finally:
        over.set()
        watch.end()


class _Watch:
    def __init__(self, loop: asyncio.AbstractEventLoop, thread: int) -> None:
        self._loop, self._thread = loop, thread
        self._asked: float | None = None  # when the loop was asked for a sign of life that it has not given yet
        self._lasted = 0.0
        self._ended = False
        self._named = ""

    def run(self, over: threading.Event) -> None:
        while not over.wait(LOOK_SECONDS):
            asked = self._asked  # once: the loop may answer at any moment
            if asked is None:
                if self._named:
                    log.info("event_loop_free", task=self._named, seconds=round(self._lasted, 1))
                    self._named = ""
                self._ask()
            elif not self._named and time.monotonic() - asked > BLOCKED_SECONDS:
                self._name(time.monotonic() - asked)

    def still(self) -> float:
        """For how many seconds the loop has not turned."""
        asked = self._asked
        return 0.0 if asked is None or self._ended else time.monotonic() - asked

    def end(self) -> None:
        """The loop will be closed, and owes no answer."""
        self._ended = True

    def _ask(self) -> None:
        self._asked = time.monotonic()
        with suppress(RuntimeError):  # the loop is closed, and the watch over soon
            self._loop.call_soon_threadsafe(self._answer)

    def _answer(self) -> None:
        self._lasted, self._asked = time.monotonic() - (self._asked or 0.0), None

    def _name(self, seconds: float) -> None:
        task = asyncio.current_task(self._loop)
        self._named = task.get_name() if task else "something"
        log.warning("event_loop_blocked", task=self._named, seconds=round(seconds, 1), place=self._place())

    def _place(self) -> str:
        frame = sys._current_frames().get(self._thread)
        return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "an unknown place"
