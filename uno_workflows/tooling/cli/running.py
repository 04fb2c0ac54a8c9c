"""What commands share: an event loop with a stop signal, log lines, and rows as a table or as JSON."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, NoReturn

from rich.console import Console
from rich.table import Table

STOPPED_AT_ONCE: Final = 130
WIDE: Final = 10_000
"""Columns of a table that nobody looks at: for grep, a row is a line."""
LOG_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


def run_until_stopped(main: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    """Run a command that ends when it is told to: the first SIGINT or SIGTERM stops it gently, a second one at once.

    At once means without a word more to anybody: what it held is taken over as after a kill, and guardians stop its servers.
    """

    async def live() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()

        def told() -> None:
            if stop.is_set():
                leave(STOPPED_AT_ONCE)
            print("stopping: finishing or handing over what is at hand (again to stop at once)", file=sys.stderr, flush=True)
            stop.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, told)
        await main(stop)

    asyncio.run(live())


def leave(code: int) -> NoReturn:
    """Flush what was said, and end the process."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def log_to_stderr(*, verbose: bool) -> None:
    """One line per thing that happened."""
    logging.basicConfig(level=logging.WARNING, format=LOG_FORMAT, stream=sys.stderr, force=True)
    logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)  # an outage, with a stack for each connection: we say it in a line
    logging.getLogger("uno_workflows").setLevel(logging.DEBUG if verbose else logging.INFO)


def show(rows: Sequence[Mapping[str, Any]], *, columns: Sequence[str], as_json: bool, empty: str) -> None:
    """Print rows: a table for people, a JSON array for programs."""
    if as_json:
        print(json.dumps(list(rows), default=str))
    elif not rows:
        print(empty)
    else:
        table = Table(*columns, box=None, pad_edge=False)
        for row in rows:
            table.add_row(*("" if row[c] is None else str(row[c]) for c in columns))
        Console(width=None if sys.stdout.isatty() else WIDE).print(table)
