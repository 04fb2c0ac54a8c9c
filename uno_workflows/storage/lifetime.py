"""Whether a store is open, and where it may be used."""

from __future__ import annotations

import asyncio
import os

from uno_workflows.events.errors import ForeignEventLoop, StoreClosed


class Lifetime:
    """The lifetime of one store: it begins in the event loop that opens the store, and ends once."""

    def __init__(self) -> None:
        self._loop, self._process = asyncio.get_running_loop(), os.getpid()
        self.over = False

    def check(self) -> None:
        """Make sure that a call may begin.

        Raises:
            StoreClosed: the store is closed.
            ForeignEventLoop: the caller runs in another event loop or process than the one that opened it.
        """
        if self.over:
            raise StoreClosed
        if asyncio.get_running_loop() is not self._loop:
            where = "process" if os.getpid() != self._process else "event loop"
            raise ForeignEventLoop(
                f"the store was opened in another {where}, and its connections belong there: open one with `Uno.connect` here"
            )

    def end(self) -> None:
        """End it: refuse every new call."""
        self.over = True
