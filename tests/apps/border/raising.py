"""What user code may raise besides an ordinary `Exception`."""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures.process import BrokenProcessPool
from typing import NoReturn

from temporalio.exceptions import ActivityError, CancelledError, RetryState, TerminatedError


class Odd(BaseException):
    """Derived from what nothing should derive from."""


class Unprintable(Exception):
    def __str__(self) -> str:
        raise SystemExit(4)


HOWS = {
    "exit": "SystemExit",
    "interrupt": "KeyboardInterrupt",
    "closed": "GeneratorExit",
    "odd": "Odd",
    "group": "BaseExceptionGroup",
    "recursion": "RecursionError",
    "memory": "MemoryError",
    "unprintable": "Unprintable",
}
"""How to misbehave, and the name by which it must be told. Some of their names reach us inside of a text."""
OF_TEMPORAL = {"of-cancel": "CancelledError", "of-terminate": "TerminatedError", "of-activity": "ActivityError"}
"""Errors that Temporal's client finds as causes, and that the server takes from no activity."""
OF_POOLS = {"pool": "BrokenProcessPool"}
"""An error of a pool of the user's own, by which the SDK ends a worker."""


def misbehave(how: str) -> NoReturn:
    match how:
        case "exit":
            sys.exit(3)
        case "interrupt":
            raise KeyboardInterrupt
        case "closed":
            raise GeneratorExit
        case "odd":
            raise Odd("odd")
        case "group":
            raise BaseExceptionGroup("several", [SystemExit(1), ValueError("one")])
        case "recursion":
            misbehave(how)
        case "memory":
            raise MemoryError
        case "unprintable":
            raise Unprintable
        case "cancelled":
            raise asyncio.CancelledError
        case "pool":
            raise BrokenProcessPool("a process in the pool was terminated abruptly")
        case "of-cancel":
            raise CancelledError("the other workflow was cancelled")
        case "of-terminate":
            raise TerminatedError("the other workflow was terminated")
        case "of-activity":
            raise ActivityError(
                "an activity failed",
                scheduled_event_id=1,
                started_event_id=2,
                identity="",
                activity_type="a",
                activity_id="1",
                retry_state=RetryState.TIMEOUT,
            )
        case _:
            raise AssertionError(how)


async def misbehave_in_task(how: str) -> None:
    """In a task of its own, from where asyncio takes an exit straight to the event loop."""

    async def task() -> None:
        misbehave(how)

    await asyncio.gather(task(), asyncio.sleep(0))
