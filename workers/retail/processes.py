"""The processes of the demo: gateway, warehouse and worker, each on a leash, each with a log file of its own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from uno_workflows.devstack.stack import DevStack
from workers.children import inherited_environment, stop
from workers.retail.gateway_client import ADDRESS

WORKER_MODULES = ("workers.retail.events", "workers.retail.steps", "workers.retail.sagas", "workers.retail.projections")
GRACE = 8.0
"""Seconds that a process may take to stop in good order; the worker is told 5."""
TAIL = 3000


class ProcessEnded(Exception):
    """A process of the demo ended by itself; says which, and the end of its log."""


@dataclass(frozen=True, slots=True)
class Outside:
    """Where the processes keep what they did.

    Attributes:
        folder: Of all their files.
    """

    folder: Path

    @property
    def gateway_ledger(self) -> Path:
        """Every charge, decline and refund."""
        return self.folder / "gateway.jsonl"

    @property
    def warehouse_ledger(self) -> Path:
        """Every dispatch."""
        return self.folder / "warehouse.jsonl"

    @property
    def warehouse_checkpoint(self) -> Path:
        """How far the warehouse has read the log."""
        return self.folder / "warehouse.position"


class Child:
    """One process.

    Attributes:
        name: For people.
        log: Where it writes what it has to say.
    """

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name, self.log, self._process = name, log, process

    @classmethod
    async def start(cls, name: str, module: str, *arguments: str, log: Path, environment: Mapping[str, str]) -> Child:
        """Start a module on a leash, in a session of its own: Ctrl-C is for the demo alone to judge."""
        with log.open("ab") as sink:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "workers.retail.leash", module, *arguments),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=sink,
                env={**inherited_environment(), **environment},
                start_new_session=True,
            )
        return cls(name, process, log)

    async def first_line(self) -> str:
        """What it says first on standard output.

        Raises:
            ProcessEnded: it ended without a word.
        """
        assert self._process.stdout is not None
        if not (line := await self._process.stdout.readline()):
            await self.ended()
        return line.decode().strip()

    async def ended(self) -> None:
        """Wait for its end, which nobody wants.

        Raises:
            ProcessEnded: always.
        """
        code = await self._process.wait()
        tail = self.log.read_bytes()[-TAIL:].decode(errors="replace").strip()
        raise ProcessEnded(f"the {self.name} ended with code {code}; the end of {self.log}:\n{tail}")

    def signal(self, number: int) -> None:
        """Send it a signal, as a crash would."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    def let_go(self) -> None:
        """Let go of its leash, as our own death would."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    async def stop(self) -> None:
        """Ask it to stop, and insist."""
        await stop(self._process, grace=GRACE)


@asynccontextmanager
async def running(outside: Outside, environment: Mapping[str, str]) -> AsyncIterator[list[Child]]:
    """Gateway, warehouse and worker, until the block ends; they stop in the reverse order.

    Args:
        environment: How they find the servers.
    """
    async with AsyncExitStack() as stack:
        children: list[Child] = []

        async def start(name: str, module: str, *arguments: str, more: Mapping[str, str] | None = None) -> Child:
            log = outside.folder / f"{name}.log"
            child = await Child.start(name, module, *arguments, log=log, environment={**environment, **(more or {})})
            stack.push_async_callback(child.stop)
            children.append(child)
            return child

        gateway = await start("gateway", "workers.retail.gateway", "--ledger", str(outside.gateway_ledger))
        address = (await gateway.first_line()).removeprefix("listening ")
        warehouse = ("--ledger", str(outside.warehouse_ledger), "--checkpoint", str(outside.warehouse_checkpoint))
        await start("warehouse", "workers.retail.warehouse", *warehouse)
        worker = {ADDRESS: address, "UNO_GRACE": "5s"}
        await start("worker", "uno_workflows.tooling.cli", "worker", *WORKER_MODULES, more=worker)
        yield children


async def watch(children: list[Child], stack: DevStack) -> None:
    """Return never; raises `ProcessEnded` or `ServerEnded` as soon as a process or a server has ended."""
    await asyncio.gather(stack.end_of_a_server(), *(child.ended() for child in children))
