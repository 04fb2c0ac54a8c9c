"""What commands share: an event loop with a stop signal, log lines, and rows as a table or as JSON."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

LOG_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


def run_until_stopped(main: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    """Run a command that ends when it is told to: the first SIGINT or SIGTERM stops it gently, a second one at once."""

    async def live() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        task = asyncio.current_task()

        def told() -> None:
            if stop.is_set() and task is not None:
                task.cancel()
            else:
                print("stopping: finishing or handing over what is at hand (again to stop at once)", file=sys.stderr)
                stop.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, told)
        try:
            await main(stop)
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None

    asyncio.run(live())


def log_to_stderr(*, verbose: bool) -> None:
    """One line per thing that happened."""
    logging.basicConfig(level=logging.WARNING, format=LOG_FORMAT, stream=sys.stderr, force=True)
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
        Console(soft_wrap=True).print(table)
