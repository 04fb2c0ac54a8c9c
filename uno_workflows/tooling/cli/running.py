"""What commands share: an event loop with a stop signal, log lines, and complaints."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, cast

from uno_workflows.config import Settings
from uno_workflows.observability.core_logs import forward_core_logs
from uno_workflows.observability.log_format import Format, Level, configure_logs, logs_are_json
from uno_workflows.observability.logs import get_logger
from uno_workflows.tooling.cli.showing import say
from uno_workflows.tooling.leaving import STOPPED_AT_ONCE, leave

log = get_logger("uno_workflows.cli")


def run_until_stopped(main: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    """Run a command that ends when it is told to: the first SIGINT or SIGTERM stops it gently, a second one at once.

    At once means without a word more to anybody: what it held is taken over as after a kill, and guardians stop its servers.
    """

    forward_core_logs()

    async def live() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()

        def told(number: signal.Signals) -> None:
            if stop.is_set():
                leave(STOPPED_AT_ONCE)
            log.info("worker_stopping", reason=number.name)
            stop.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, told, number)
        await main(stop)

    asyncio.run(live())


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
        with suppress(OSError):  # if there is no place to say it, the exit code says it
            for line in (f"uno: {first}", *(f"     {one}" for one in more)):
                say(line, file=sys.stderr)
