"""Stops a process: gently at the first signal, at once at a second one, and in bounded time whatever its code does.

It cannot rely on the event loop: user code may block it, or hold the interpreter's lock. So a thread reads signals from the pipe
to which Python's own handler in C writes. The last resort is the timer of `faulthandler`, which needs no lock.
"""

from __future__ import annotations

import asyncio
import faulthandler
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, Final

from uno_workflows.observability.logs import get_logger
from uno_workflows.tooling.leaving import STOPPED_AT_ONCE, leave

log = get_logger("uno_workflows.cli")

OVERDUE: Final = 1
"""Exit code of a process that did not end within its time."""
LAST_RESORT: Final = timedelta(seconds=5)
"""Seconds after that until the process ends even if no Python code can run in it."""
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Stopping:
    """The stop of one process.

    Args:
        within: How long it may take.
    """

    def __init__(self, *, within: timedelta) -> None:
        self._within = within
        self._due = threading.Lock()
        self._begun = False
        self._timer: threading.Timer | None = None
        self._signals = 0

    @contextmanager
    def on_signals(self, told: Callable[[signal.Signals], Any]) -> Iterator[None]:
        """Listen while the block runs.

        Args:
            told: Called at the first signal, in the event loop of this block.
        """
        loop, (ours, theirs) = asyncio.get_running_loop(), socket.socketpair()
        theirs.setblocking(False)
        before = {number: signal.signal(number, self._handle) for number in SIGNALS}
        fd = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._listen, args=(ours, loop, told), name="uno signals", daemon=True).start()
        try:
            yield
        finally:
            signal.set_wakeup_fd(fd)
            for number, handler in before.items():
                signal.signal(number, handler)
            theirs.close()

    def begin(self) -> None:
        """Begin the stop: from here on its time runs. Any thread may call this, several times."""
        with self._due:
            if self._begun:
                return
            self._begun = True
        self._arm_last_resort()
        self._timer = threading.Timer(self._within.total_seconds(), self._overdue)
        self._timer.daemon = True
        self._timer.start()

    def over(self) -> None:
        """The stop is done: the time limit no longer applies."""
        faulthandler.cancel_dump_traceback_later()
        if self._timer is not None:
            self._timer.cancel()

    def _arm_last_resort(self) -> None:
        with suppress(Exception):  # stderr is closed, so there is no place for the message
            faulthandler.dump_traceback_later((self._within + LAST_RESORT).total_seconds(), exit=True)

    def _overdue(self) -> None:
        threads = ", ".join(sorted(thread.name for thread in threading.enumerate()))
        log.error("worker_stop_overdue", seconds=round(self._within.total_seconds(), 1), threads=threads)
        leave(OVERDUE)

    def _handle(self, *_: Any) -> None:
        """Runs in the main thread, which may be in the middle of anything: also in a search that holds the interpreter's lock."""
        if not self._begun:
            self._arm_last_resort()

    def _listen(self, signals: socket.socket, loop: asyncio.AbstractEventLoop, told: Callable[[signal.Signals], Any]) -> None:
        with signals:
            while number := signals.recv(1):
                if number[0] not in SIGNALS:
                    continue
                self._signals += 1
                if self._signals > 1:
                    leave(STOPPED_AT_ONCE)
                self.begin()
                with suppress(RuntimeError):  # the loop is closed
                    loop.call_soon_threadsafe(told, signal.Signals(number[0]))
