"""Processes that are measured from outside: their lines, their CPU time and their memory."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from uno_workflows.devstack.processes import stat_of
from workers.children import inherited_environment, stop

GRACE: Final = 10.0
"""Seconds that a process may take to stop in good order."""
TAIL: Final = 2000
TICK: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class ChildEnded(Exception):
    """A process ended before its time; says which, and the end of what it said."""


class Child:
    """One process. It ends when its standard input does, so it does not outlive us."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self._name, self._process, self._log = name, process, log

    async def line(self) -> str:
        """The next line of its standard output.

        Raises:
            ChildEnded: there is none.
        """
        assert self._process.stdout is not None
        if line := await self._process.stdout.readline():
            return line.decode().strip()
        code = await self._process.wait()
        tail = self._log.read_bytes()[-TAIL:].decode(errors="replace").strip()
        raise ChildEnded(f"{self._name} ended with code {code}: {tail}")

    async def say(self, line: str) -> None:
        """Send a line to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        await self._process.stdin.drain()

    def cpu_seconds(self) -> float:
        """What it has used of all cores, in user mode and in the kernel."""
        return sum(map(int, stat_of(self._process.pid)[11:13])) / TICK

    def memory_bytes(self) -> int:
        """What it holds in memory now (resident set)."""
        return int(Path(f"/proc/{self._process.pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE

    async def stop(self) -> None:
        """Ask it to stop, and insist."""
        await stop(self._process, grace=GRACE)


@asynccontextmanager
async def child(module: str, *arguments: str, environment: Mapping[str, str], log: Path) -> AsyncIterator[Child]:
    """Run a module of this package as a process for the block; entering returns when it has said `ready`.

    Args:
        environment: Added to ours, of which `UNO_*` and `TEMPORAL_*` are left out.
    """
    with log.open("ab") as sink:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", f"workers.bench.{module}", *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=sink,
            env={**inherited_environment(), **environment},
            start_new_session=True,  # Ctrl-C is for us alone to judge
        )
    made = Child(" ".join((module, *arguments)), process, log)
    try:
        while await made.line() != "ready":
            pass
        yield made
    finally:
        await made.stop()
