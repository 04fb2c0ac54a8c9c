"""Stopping a child process in good order: at SIGTERM, and when whoever started it is gone."""

from __future__ import annotations

import asyncio
import signal
import sys


def stop_signal() -> asyncio.Event:
    """An event that is set at SIGTERM and at the end of standard input."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_reader(sys.stdin, stop.set)  # nothing is ever sent, so that it can be read means that it has ended
    stop_reading = loop.create_task(_until(stop, loop))
    stop_reading.set_name("leash")
    return stop


async def _until(stop: asyncio.Event, loop: asyncio.AbstractEventLoop) -> None:
    await stop.wait()
    loop.remove_reader(sys.stdin)
