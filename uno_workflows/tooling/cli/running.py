"""Shared by commands: an event loop with a stop signal, log lines, and error messages."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final, cast

from uno_workflows.app.steady import run_steadily
from uno_workflows.config import Settings
from uno_workflows.observability.core_logs import forward_core_logs
from uno_workflows.observability.log_format import Format, Level, configure_logs, logs_are_json
from uno_workflows.observability.logs import get_logger
from uno_workflows.tooling.cli.showing import say
from uno_workflows.tooling.stopping import Stopping

STOP_MARGIN: Final = timedelta(seconds=15)
"""Seconds that a stop may take beyond the grace: parts close their connections, servers of `uno dev` end."""

log = get_logger("uno_workflows.cli")


def run_until_stopped(main: Callable[[asyncio.Event], Coroutine[Any, Any, None]], *, grace: timedelta) -> None:
    """Run a command until a signal: the first SIGINT or SIGTERM stops it gently, a second one at once.

    At once means without any cleanup: others take over its work as after a kill, and guardians stop its servers. A stop that
    takes much longer than the grace ends in the same way, whatever its cause.

    Args:
        grace: How long work at hand may take to end.
    """

    forward_core_logs()
    stopping = Stopping(within=grace + STOP_MARGIN)

    async def live() -> None:
        stop = asyncio.Event()

        def told(number: signal.Signals) -> None:
            log.info("worker_stopping", reason=number.name)
            stop.set()

        watching = asyncio.create_task(_begin_at(stop, stopping), name="time of the stop")
        with stopping.on_signals(told):
            try:
                await main(stop)
            finally:
                watching.cancel()
                stopping.begin()  # it only remains to close the loop and its threads

    try:
        run_steadily(live)
    finally:
        stopping.over()


async def _begin_at(stop: asyncio.Event, stopping: Stopping) -> None:
    await stop.wait()  # a part that dies sets it, too
    stopping.begin()


def log_to_stderr(settings: Settings, *, verbose: bool, build: str = "", person: bool = False) -> None:
    """One line per thing that happened, as the settings say.

    Args:
        build: The build id of the modules, once they are loaded.
        person: Whether `auto` means a person looks, even if stderr is no terminal.
    """
    auto: Format = "console" if person or sys.stderr.isatty() else "json"
    chosen = auto if settings.log_format == "auto" else cast(Format, settings.log_format)
    fields = {"service": settings.app, **({"build_id": build} if build else {})}
    configure_logs(format=chosen, level=cast(Level, settings.log_level), fields=fields, verbose=verbose)


def complain(problem: str) -> None:
    """Say on stderr why a command cannot go on: in a sentence, or in a line like the rest where the log is JSON."""
    if logs_are_json():
        log.error("command_failed", reason=problem)
    else:
        first, *more = problem.splitlines() or [""]
        with suppress(OSError):  # if stderr cannot be written, the exit code must do
            for line in (f"uno: {first}", *(f"     {one}" for one in more)):
                say(line, file=sys.stderr)
