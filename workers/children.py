"""Child processes of the commands of this folder: what they inherit, and how they are stopped."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress

from uno_workflows.devstack.environment import without_servers


def inherited_environment() -> dict[str, str]:
    """Our own environment, without settings of the framework and variables that lead to other servers."""
    return {name: value for name, value in without_servers(os.environ).items() if not name.startswith("UNO_")}


async def stop(process: asyncio.subprocess.Process, *, grace: float) -> None:
    """Ask a process to stop, and insist.

    Args:
        grace: Seconds that it may take to stop in good order.
    """
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(grace):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
