"""An event loop that user code cannot end.

asyncio lets `SystemExit` and `KeyboardInterrupt` of any task or callback out of the loop, which stops with all other tasks in it.
In a worker, one handler that calls `sys.exit()` in a task of its own would end every saga and projection. Here the exit ends its
task alone, as every other exception does, and the loop goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, TypeVar, cast

from uno_workflows.observability.logs import get_logger

log = get_logger("uno_workflows.worker")

T = TypeVar("T")


class SteadyLoop(asyncio.SelectorEventLoop):
    """Ends when its main task does, and not before."""

    _main: asyncio.Future[Any] | None = None

    def run_until_complete(self, future: Generator[Any, None, T] | Awaitable[T]) -> T:
        main: asyncio.Future[T] = asyncio.ensure_future(cast(Awaitable[T], future), loop=self)
        before, self._main = self._main, main
        try:
            return super().run_until_complete(main)
        finally:
            self._main = before

    def run_forever(self) -> None:
        while True:
            try:
                return super().run_forever()
            except (SystemExit, KeyboardInterrupt) as err:
                if self._main is None or self._main.done():
                    raise
                log.error("exit_refused", error=err, exc_info=err)  # noqa: TRY400 (the catalogue has its level)


def run_steadily(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """`asyncio.run` on such a loop."""
    with asyncio.Runner(loop_factory=SteadyLoop) as runner:
        return runner.run(main())
