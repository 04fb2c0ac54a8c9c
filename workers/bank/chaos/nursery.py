"""Lives that begin in milliseconds: forks of one process that has imported everything (`cradle`)."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path


class ForkedLife:
    """One life, until the cradle has reported its exit code. It has the interface of asyncio's subprocesses."""

    def __init__(self, pid: int, told: asyncio.Task[int]) -> None:
        self.pid, self._told = pid, told

    @property
    def returncode(self) -> int | None:
        """Its exit code; `None` while it lives."""
        return self._told.result() if self._told.done() else None

    def send_signal(self, signal: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal)

    async def wait(self) -> int:
        """Wait for its end; returns its exit code."""
        return await asyncio.shield(self._told)


class Nursery:
    """Forks one life at a time.

    Args:
        command: The cradle, and the module that each life runs.
        environment: Of all lives.
        log: Gets their output.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._command, self._environment, self._log = command, environment, log
        self._cradle: asyncio.subprocess.Process | None = None

    async def begin(self, environment: Mapping[str, str]) -> ForkedLife:
        """Fork a life; the previous one must have ended.

        Raises:
            RuntimeError: the cradle itself has ended.
        """
        if self._cradle is None:
            self._cradle = await self._open()
        assert self._cradle.stdin is not None
        self._cradle.stdin.write((json.dumps(dict(environment)) + "\n").encode())
        await self._cradle.stdin.drain()
        pid = await self._read()
        return ForkedLife(pid, asyncio.create_task(self._read(), name=f"life {pid}"))

    async def close(self) -> None:
        """End the cradle, and with it whatever still lives."""
        if self._cradle is not None:
            with suppress(ProcessLookupError):
                self._cradle.kill()
            await self._cradle.wait()

    async def _open(self) -> asyncio.subprocess.Process:
        with self._log.open("ab") as sink:
            return await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=sink,
                env=self._environment,
                start_new_session=True,
            )

    async def _read(self) -> int:
        assert self._cradle is not None
        assert self._cradle.stdout is not None
        line = await self._cradle.stdout.readline()
        if not line:
            raise RuntimeError(f"the process that forks lives has ended; its log is {self._log}")
        return int(line)
