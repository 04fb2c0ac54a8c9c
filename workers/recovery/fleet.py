"""The worker processes, and what is done to them."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from workers.children import inherited_environment

MODULES: Final = tuple(f"workers.recovery.{name}" for name in ("events", "steps", "sagas", "projections"))
START_LIMIT: Final = 60.0
TAIL: Final = 3000


class WorkerEnded(Exception):
    """A worker ended that nobody had stopped; says the end of its log."""


class Worker:
    """One worker process, on a leash: it does not outlive us."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process, self._log = process, log

    @property
    def pid(self) -> int:
        return self._process.pid

    @classmethod
    async def start(cls, log: Path, environment: Mapping[str, str]) -> Worker:
        """Start one; it is not ready yet."""
        with log.open("wb") as sink:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "workers.retail.leash", "uno_workflows.tooling.cli", "worker", *MODULES),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=sink,
                env={**inherited_environment(), **environment},
                start_new_session=True,  # a Ctrl-C in our terminal is ours to judge
            )
        return cls(process, log)

    async def ready(self) -> None:
        """Wait until it polls. Raises WorkerEnded."""
        async with asyncio.timeout(START_LIMIT):
            while b"worker_ready" not in self._log.read_bytes():
                if self._process.returncode is not None:
                    raise WorkerEnded(self._log.read_bytes()[-TAIL:].decode(errors="replace"))
                await asyncio.sleep(0.05)

    def send(self, number: int) -> None:
        """Send it a signal."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def stop(self, number: int = signal.SIGTERM) -> None:
        """Send it a signal that it dies of, and wait for its end."""
        self.send(number)
        await self._process.wait()


class Fleet:
    """So many workers as a case needs.

    Args:
        folder: For their logs.
        environment: How they find the servers, and their profile.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder, self._environment, self._started = folder, environment, 0
        self.workers: list[Worker] = []

    async def resize(self, number: int) -> None:
        """Have so many, and all of them ready."""
        while len(self.workers) > number:
            await self.workers.pop().stop()
        while len(self.workers) < number:
            await self.add()
        for worker in self.workers:
            await worker.ready()

    async def add(self) -> Worker:
        """Start one more; it is not ready yet."""
        self._started += 1
        worker = await Worker.start(self._folder / f"worker-{self._started}.log", self._environment)
        self.workers.append(worker)
        return worker

    async def stop(self, worker: Worker, number: int) -> None:
        """Have one end by a signal."""
        self.workers.remove(worker)
        await worker.stop(number)

    async def discard(self) -> None:
        """At the end: nothing stays, frozen or not."""
        for worker in self.workers:
            await worker.stop(signal.SIGKILL)
