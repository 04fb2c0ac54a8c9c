"""The border to user code: anything it raises arrives as an `Exception`, so that the caller can report it and go on.

Without the border, `sys.exit()` in a handler would end the event loop that all others share, and a `BaseException` would
pass every `except Exception` between the handler and the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Final

from uno_workflows.events.raised import is_a, is_from
from uno_workflows.events.telling import spelt

SDK: Final = "temporalio"


class UserCodeExit(Exception):
    """User code raised something that is no `Exception`, such as `SystemExit`.

    Attributes:
        raised: What it raised.
    """

    def __init__(self, what: str, raised: BaseException) -> None:
        self.raised = raised
        super().__init__(f"{what} raised {spelt(raised)}")


def unwrapped(error: BaseException) -> BaseException:
    """The exception that user code raised."""
    return error.raised if is_a(error, UserCodeExit) else error


def was_asked_for(error: BaseException) -> bool:
    """Whether an error is the cancellation of this task, not a `CancelledError` that user code raised by itself."""
    task = _current_task()
    return is_a(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


class user_code:  # noqa: N801 (used as a function)
    """User code runs in this block. An exception that is no `Exception` leaves it as a `UserCodeExit`.

    Three kinds pass unchanged: exceptions that `passes` accepts, Temporal's own signs (an eviction, a continue-as-new), and the
    `GeneratorExit` of a coroutine that is closed from outside.

    Args:
        what: The code that runs, for the error.
        passes: Whether an exception was requested; by default the cancellation of this task.
    """

    __slots__ = ("_passes", "_task", "_what")

    def __init__(self, what: str, *, passes: Callable[[BaseException], bool] = was_asked_for) -> None:
        self._what, self._passes = what, passes

    def __enter__(self) -> None:
        self._task = _current_task()

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        if error is None or is_a(error, Exception) or is_from(error, SDK) or self._passes(error):
            return
        if is_a(error, GeneratorExit) and (self._task is None or _current_task() is not self._task):
            return  # closed from outside: its own task is not at work
        raise UserCodeExit(self._what, error) from error


def _current_task() -> asyncio.Task[object] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no event loop runs in this thread
        return None
