"""How the commands of this folder run and leave."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, Final, NoReturn

INTERRUPTED: Final = 130
TERMINATED: Final = 143


def run_and_leave(command: Coroutine[Any, Any, int]) -> NoReturn:
    """Run a command, and leave with its exit code."""
    code = exit_code(command)
    # Here and not above: what refuses its arguments or a file need not have loaded the framework.
    from uno_workflows.tooling.leaving import leave

    leave(code)


def exit_code(command: Coroutine[Any, Any, int]) -> int:
    """Run a command to its end, and return its exit code: 130 if Ctrl-C ended it, 143 if SIGTERM did; both cancel it first.

    These commands start servers of their own, so they first remove the variables that lead to other servers.
    """
    from uno_workflows.devstack.environment import forget_servers  # imports as little as this module, unlike the rest

    forget_servers()
    try:
        return asyncio.run(_cancelled_by_sigterm(command))
    except KeyboardInterrupt:
        return INTERRUPTED
    except asyncio.CancelledError:
        return TERMINATED


async def _cancelled_by_sigterm(command: Coroutine[Any, Any, int]) -> int:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await command
