"""The owner's side of a guardian: start a server under it, stop it, kill it."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from uno_workflows.devstack import guardian
from uno_workflows.devstack.errors import StartFailed
from uno_workflows.devstack.guardian import Order

PAUSE = 0.01  # seconds between looks at a server that starts or stops
TAIL = 2_000  # bytes of a log that an error message quotes


def command(order: Order) -> list[str]:
    """Return the command line of a guardian with this order."""
    return [sys.executable, "-I", "-S", guardian.__file__, json.dumps(order)]


class Guarded:
    """A server under its guardian, from start to end.

    Args:
        server: its name, for error messages.
        order: what the guardian is to do. Its log must be given.
        lock: descriptor of the folder's lock, which the guardian and the server inherit.
    """

    def __init__(self, server: str, order: Order, *, lock: int) -> None:
        self._server = server
        self._log = Path(order["log"] or os.devnull)
        with self._log.open("ab") as log:
            self._guardian = subprocess.Popen(
                command(order),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                cwd="/",
                pass_fds=[lock],
                start_new_session=True,  # a Ctrl-C in our terminal is ours alone to judge
            )
        assert self._guardian.stdout is not None
        os.set_blocking(self._guardian.stdout.fileno(), False)
        self._said = b""

    @property
    def pid(self) -> int | None:
        """Process id of the server; `None` until it has been started."""
        assert self._guardian.stdout is not None
        if not self._said.endswith(b"\n") and not self._guardian.stdout.closed:
            self._said += self._guardian.stdout.read() or b""
        return int(self._said.split()[1]) if self._said.endswith(b"\n") else None

    @property
    def is_running(self) -> bool:
        """Whether the server, or anything that it left behind, is there."""
        return self._guardian.poll() is None

    async def ready(self, check: Callable[[int], bool], *, limit: float) -> None:
        """Wait until the server is ready.

        Args:
            check: told the process id; answers whether it is ready.
            limit: seconds.

        Raises:
            StartFailed: it ended first, or took longer.
        """
        deadline = time.monotonic() + limit
        while (pid := self.pid) is None or not check(pid):
            if not self.is_running or time.monotonic() > deadline:
                raise self.failure()
            await asyncio.sleep(PAUSE)

    async def stop(self) -> None:
        """Have the server stopped and wait until all of it is gone. Harmless when it is."""
        assert self._guardian.stdin is not None
        if not self._guardian.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self._guardian.stdin.write(b"stop\n")
            self._guardian.stdin.close()
        await self._gone()

    async def kill(self) -> None:
        """Send SIGKILL to the server, as a crash would be, and wait until all of it is gone."""
        pid = self.pid
        if pid is not None and self.is_running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            await self._gone()
        await self.stop()

    async def _gone(self) -> None:
        while self.is_running:  # noqa: ASYNC110 - the end of a process sets no event, unless by a thread or a loop's watcher
            await asyncio.sleep(PAUSE)
        assert self._guardian.stdout is not None
        self._guardian.stdout.close()

    def failure(self) -> StartFailed:
        """Make the error that says, in the words of its log, why the server did not start."""
        with self._log.open("rb") as log:
            log.seek(max(0, self._log.stat().st_size - TAIL))
            return StartFailed(self._server, self._log, log.read().decode(errors="replace").strip())
