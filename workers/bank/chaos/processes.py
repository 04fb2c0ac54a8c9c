"""Processes that are kept running, as by systemd: whoever dies is started again, until it has done its work or is let go."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Protocol

from uno_workflows.devstack.environment import NO_PROFILES
from workers.bank.chaos.leash import NURSERY
from workers.bank.chaos.nursery import Nursery

LEASH: Final = ("-m", "workers.bank.chaos.leash")
"""What runs a module, for `python`: ties it to our own life."""
PAUSE: Final = 0.1
"""Seconds between an end and the next start."""
REST: Final = 0.5
"""The same after a life that was never at work: it found no servers, and the next one will hardly find them sooner."""
GRACE: Final = 40.0
"""Seconds that a process may take to stop in good order before it is killed; more than a worker's own grace."""
INHERITED: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH")


class Life(Protocol):
    """One life of a process, as asyncio's own subprocesses are."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    def send_signal(self, signal: int) -> None: ...

    async def wait(self) -> int: ...


class Kept:
    """One process, over all its lives.

    Args:
        name: For people, and for the plan.
        argv: A module and its arguments.
        launcher: What runs a module, for `python`.
        ready: Words of its log that show that it is at work; empty if it logs none.
        forked: Whether its lives are forks of a process that has imported everything (`nursery`).
        begins: Gives the environment of each life, besides what all have.
        ended: Called with the process id of each life that ended by itself; returns whether that was intended.

    Attributes:
        log: The output of all its lives.
        deaths: Exit codes of lives that ended at work by themselves; a life that finds no servers at its start may end.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        log: Path,
        launcher: Sequence[str] = LEASH,
        ready: str = "",
        forked: bool = False,
        begins: Callable[[], Mapping[str, str]] = dict,
        ended: Callable[[int], bool] = lambda _: False,
    ) -> None:
        self.name, self.log = name, log
        self.deaths: list[int] = []
        self._command = [sys.executable, *launcher, *argv]
        self._environment = {**_inherited(), **environment}
        self._ready = ready
        self._begins, self._ended = begins, ended
        self._nursery = Nursery(self._command, {**self._environment, NURSERY: "1"}, log) if forked else None
        self._process: Life | None = None
        self._wanted = True
        self._told = False
        self._since = 0
        self.done = asyncio.Event()
        """Set when it has ended and will not be started again."""

    @property
    def pid(self) -> int | None:
        """Process id; `None` between two lives."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def keep(self) -> None:
        """Run it, again and again, until it ends with code 0 and nobody killed it, or is no longer wanted."""
        try:
            while self._wanted:
                code = await self._live()
                if code == 0 and not self._told:
                    break
                await asyncio.sleep(PAUSE if self._has_begun() else REST)
        finally:
            if self._nursery is not None:
                await self._nursery.close()
            self.done.set()

    async def _live(self) -> int:
        self._told = False
        self._since = self.log.stat().st_size if self.log.exists() else 0
        self._process = life = await self._begin(self._begins())
        try:
            code = await life.wait()
        except asyncio.CancelledError:
            self.kill()
            await life.wait()
            raise
        if not self._told and code != 0 and not self._ended(life.pid) and self._has_begun():
            self.deaths.append(code)
        return code

    async def _begin(self, environment: Mapping[str, str]) -> Life:
        if self._nursery is not None:
            return await self._nursery.begin(environment)
        with self.log.open("ab") as sink:
            return await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                env={**self._environment, **environment},
                start_new_session=True,  # Ctrl-C is for the supervisor to judge
            )

    @property
    def is_ready(self) -> bool:
        """Whether its present life has said that it is at work."""
        return self.pid is not None and self._has_begun()

    def _has_begun(self) -> bool:
        return self._ready in self.log.read_bytes()[self._since :].decode(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; nothing if it is between two lives."""
        if self._process is not None and self.pid is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    def kill(self) -> None:
        """As by kill -9."""
        self._told = True
        self.signal(signal.SIGKILL)

    async def end(self) -> None:
        """Have its present life end in good order; the next one follows if it is still wanted."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        self._told = True
        self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(GRACE):
                await process.wait()
        except TimeoutError:
            self.kill()

    async def let_go(self) -> None:
        """End it for good. Harmless when it is over."""
        self._wanted = False
        self.signal(signal.SIGCONT)
        await self.end()
        await self.done.wait()


@contextmanager
def frozen(pids: Iterable[int | None]) -> Iterator[None]:
    """Stop processes where they stand, until the block ends; who is gone is passed over."""
    stopped = [pid for pid in pids if pid is not None]
    _send(stopped, signal.SIGSTOP)
    try:
        yield
    finally:
        _send(stopped, signal.SIGCONT)


def kill(pids: Iterable[int]) -> None:
    """As by kill -9."""
    _send(pids, signal.SIGKILL)


def _send(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _inherited() -> dict[str, str]:
    return {name: os.environ[name] for name in INHERITED if name in os.environ} | NO_PROFILES
