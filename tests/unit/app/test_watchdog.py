"""The watchdog of an event loop, where the loop answers at the worst moment."""

from __future__ import annotations

import asyncio
import threading
import time

from uno_workflows.app import watchdog


async def test_a_loop_that_answers_while_it_is_judged_does_not_end_its_watchdog() -> None:
    watch = _AnsweredMeanwhile(asyncio.get_running_loop(), threading.get_ident())
    watch.run(_OneLook())  # type: ignore[arg-type]  # as much of an event as it needs


class _AnsweredMeanwhile(watchdog._Watch):
    """The answer comes right after the first look at whether it has come."""

    _looks = 0

    @property
    def _asked(self) -> float | None:
        self._looks += 1
        return time.monotonic() if self._looks == 1 else None

    @_asked.setter
    def _asked(self, value: float | None) -> None:
        """Nobody else sets it here."""


class _OneLook:
    """An end that comes after one look."""

    _waits = 0

    def wait(self, _: float) -> bool:
        self._waits += 1
        return self._waits > 1
