"""The library `eventsourcing` in a process of its own: it is synchronous, so its callers are threads.

Run as a program it reads one JSON object a line and answers each with one. A process of its own also because its pipeline
was seen to hang with large batches: then it is killed, and the sample counts as failed.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from workers.bench.measuring import FAILED

PATIENCE = 15.0
"""Seconds beyond the sample's own before it counts as hung."""


class Rival:
    """The other side of the pipe."""

    def __init__(self, url: str, log: Path) -> None:
        self._url, self._log = url, log
        self._process: asyncio.subprocess.Process | None = None

    async def rate(self, *, batch: int, callers: int, seconds: float, size: int) -> float:
        """Events a second, or `FAILED` if it hung or broke; the reason is in the log."""
        process = await self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        request = {"batch": batch, "callers": callers, "seconds": seconds, "size": size}
        try:
            async with asyncio.timeout(seconds + PATIENCE):
                process.stdin.write(json.dumps(request).encode() + b"\n")
                await process.stdin.drain()
                answer = await process.stdout.readline()
        except (TimeoutError, ConnectionError):
            answer = b""
        if not answer:
            await self.stop()
            return FAILED
        return float(json.loads(answer)["rate"])

    async def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
            self._process = None

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            with self._log.open("ab") as sink:
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", __name__),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=sink,
                    env={**os.environ, **_environment(self._url)},
                )
        return self._process


@asynccontextmanager
async def rival(url: str, *, log: Path) -> AsyncIterator[Rival]:
    """One for the block, on this database."""
    made = Rival(url, log)
    try:
        yield made
    finally:
        await made.stop()


def _environment(url: str) -> dict[str, str]:
    parts = urlsplit(url)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": parts.path.strip("/"),
        "POSTGRES_HOST": parts.hostname or "",
        "POSTGRES_PORT": str(parts.port or 5432),
        "POSTGRES_USER": parts.username or "",
        "POSTGRES_PASSWORD": parts.password or "",
        "POSTGRES_POOL_SIZE": "32",
        "POSTGRES_MAX_OVERFLOW": "0",
    }


def _serve() -> None:
    from eventsourcing.application import Application

    application: Application[Any] = Application(dict(os.environ))
    for line in sys.stdin:
        print(json.dumps({"rate": _rate(application.recorder, **json.loads(line))}), flush=True)


def _rate(recorder: Any, *, batch: int, callers: int, seconds: float, size: int) -> float:
    from eventsourcing.persistence import StoredEvent

    payload, done, began = bytes(size), [0] * callers, time.perf_counter()

    def call(caller: int) -> None:
        while time.perf_counter() - began < seconds:
            stream = uuid4()
            for first in range(0, 10 * batch, batch):
                events = [StoredEvent(stream, version, "Ordered", payload) for version in range(first + 1, first + batch + 1)]
                recorder.insert_events(events)
                done[caller] += batch
                if time.perf_counter() - began >= seconds:
                    return

    threads = [threading.Thread(target=call, args=(caller,)) for caller in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.perf_counter() - began)


if __name__ == "__main__":
    _serve()
