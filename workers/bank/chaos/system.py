"""The system that is broken: two servers, and every process behind proxies of its own, so that one of a pair can be cut off."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from uno_workflows.storage.migrations import migrate
from workers.bank import tables
from workers.bank.chaos.clock import Clock, find_library
from workers.bank.chaos.crashes import Crashes, give_up_pumps, role_of
from workers.bank.chaos.plan import Plan
from workers.bank.chaos.points import POINTS
from workers.bank.chaos.processes import LEASH, Kept
from workers.bank.chaos.proxy import Proxy
from workers.bank.chaos.servers import Servers

MODULES: Final = ("workers.bank.events", "workers.bank.steps", "workers.bank.sagas", "workers.bank.projections")
READY: Final = "worker_ready: "
START_SECONDS: Final = 60.0
CUSTOMERS: Final = 4
"""Customers of each writer that act at a time, if the plan does not set the number of open transfers."""
HASTE: Final = 0.5
"""The longest rest in seconds between two acts of a customer when the writers keep transfers open."""
RATE: Final = 2.0
"""Transfers a second where their number is not given: modest, so that two cores can follow while half of it is broken."""
STEPS: Final = 10
"""That a worker runs at once; each may have a connection of its own to the clearing house."""
WORKER: Final = MappingProxyType(
    {
        "UNO_APP": "bank",
        "UNO_GRACE": "5s",
        "UNO_STEPS": str(STEPS),
        "UNO_LOG_FORMAT": "console",
    }  # `logs` reads stacks as they are
)


class NotRun(Exception):
    """A fault cannot be done on this machine; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """The build to run. The default is the product; tests run builds with a planted bug.

    Attributes:
        launcher: The command that runs a module of ours, for `python`.
        prepare: Called with the database's URL once its tables are there.
        writer: More arguments for the writers.
        points: The crash points that lives aim at, if not all.
        insists: Whether too few hits of a point are a finding.
        gives_up: Whether the pumps of a crashed worker are reported as ended at once. If not, another worker gets the lease by
            the heartbeat time-out, and the runs that the crashed one fed have ended by then.
    """

    launcher: tuple[str, ...] = LEASH
    prepare: Callable[[str], Awaitable[None]] | None = None
    writer: tuple[str, ...] = ()
    points: tuple[str, ...] = POINTS
    insists: bool = True
    gives_up: bool = True


PRODUCT: Final = Build()


@dataclass(frozen=True, slots=True)
class Actor:
    """One process, with what stands between it and the world.

    Attributes:
        links: Its proxies, by the server behind.
        clock: `None` where no clock can be set.
    """

    kept: Kept
    links: Mapping[str, Proxy]
    clock: Clock | None


@dataclass(frozen=True, slots=True)
class System:
    """Everything that can be broken. Made by `running`.

    Attributes:
        crashes: The crash points at which lives end by themselves.
        actors: By name, `worker-1` and so on.
        setting_locks: The lock of each Postgres setting, by its name; a fault that changes the setting holds it.
    """

    servers: Servers
    folder: Path
    crashes: Crashes
    actors: dict[str, Actor] = field(default_factory=dict)
    setting_locks: dict[str, asyncio.Lock] = field(default_factory=dict)

    @property
    def ledgers(self) -> Path:
        """The folder in which the writers note what they tried, and what they were told."""
        return self.folder / "ledgers"

    def named(self, prefix: str) -> list[Kept]:
        """The processes of one sort."""
        return [actor.kept for name, actor in self.actors.items() if name.startswith(prefix)]

    @property
    def workers(self) -> list[Kept]:
        return self.named("worker-")

    @property
    def writers(self) -> list[Kept]:
        return self.named("writer-")


@asynccontextmanager
async def running(plan: Plan, folder: Path, build: Build) -> AsyncIterator[System]:
    """Servers, workers and writers, until the block ends; then none is left."""
    async with AsyncExitStack() as stack:
        servers = await stack.enter_async_context(Servers(folder))
        await migrate(servers.dsn)
        await tables.create(servers.dsn)
        if build.prepare is not None:
            await build.prepare(servers.dsn)
        crashes = Crashes(plan.seed, wanted=plan.crashes, folder=folder, points=build.points)
        system = System(servers, folder, crashes)
        system.ledgers.mkdir()
        for number in range(1, plan.workers + 1):
            await _add(system, stack, f"worker-{number}", ["uno_workflows.tooling.cli", "worker", "--verbose", *MODULES], build)
        await stack.enter_async_context(_kept(system.workers))
        await until(
            lambda: all(worker.is_ready for worker in system.workers),
            seconds=START_SECONDS,
            what=f"workers are ready; see {folder}",
        )
        for number in range(1, plan.writers + 1):
            await _add(system, stack, f"writer-{number}", _writer(plan, number, system, build), build)
        await stack.enter_async_context(_kept(system.writers))
        yield system


async def until(condition: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Wait for something to come about.

    Raises:
        TimeoutError: it did not; says what.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        await asyncio.sleep(0.05)


@asynccontextmanager
async def _kept(processes: list[Kept]) -> AsyncIterator[None]:
    """Keep processes running until the block ends; a keeper that is cancelled kills its process."""
    async with asyncio.TaskGroup() as group:
        keepers = [group.create_task(process.keep(), name=process.name) for process in processes]
        try:
            yield
        finally:
            for keeper in keepers:
                keeper.cancel()


def _writer(plan: Plan, number: int, system: System, build: Build) -> list[str]:
    """Arguments of a writer: its share of the transfers, spread over the time in which there are faults."""
    share = 0 if plan.sagas is None else -(-plan.sagas // plan.writers)
    rate = RATE if plan.sagas is None else plan.sagas / plan.seconds
    pause = 2 * CUSTOMERS * plan.writers / rate  # the longest; a customer rests for half of it on average
    customers, loop = CUSTOMERS, list[str]()
    if plan.open:
        pause, customers, loop = HASTE, -(-plan.open // plan.writers), ["--see-through"]
    ledger = system.ledgers / f"writer-{number}.jsonl"
    return [
        *("workers.bank.writer", "--ledger", str(ledger), "--seed", str(plan.seed * 100 + number)),
        *("--name", f"w{number}", "--transfers", str(share), "--customers", str(customers), "--pause", f"{pause:.2f}"),
        *loop,
        *build.writer,
    ]


async def _add(system: System, stack: AsyncExitStack, name: str, argv: list[str], build: Build) -> None:
    """Give a process its proxies and its clock."""
    servers = system.servers
    links = {"postgres": await stack.enter_async_context(Proxy.open(servers.postgres.port))}
    environment = {**WORKER, "UNO_DATABASE_URL": _through(servers.dsn, links["postgres"])}
    if name.startswith("worker"):
        links["temporal"] = await stack.enter_async_context(Proxy.open(servers.temporal_port))
        environment |= {"TEMPORAL_ADDRESS": f"127.0.0.1:{links['temporal'].port}", "TEMPORAL_NAMESPACE": "default"}
    clock = None
    if library := find_library():
        clock = Clock(library, system.folder / f"{name}.clock")
        environment |= clock.environment()
    crashes = system.crashes
    tasks = await stack.enter_async_context(asyncio.TaskGroup())

    def ended(pid: int) -> bool:
        crashed = crashes.ended(name)
        if crashed and build.gives_up and role_of(name) == "worker":
            tasks.create_task(give_up_pumps(servers.temporal.address, pid), name=f"the pumps of {name}")
        return crashed

    kept = Kept(
        name,
        argv,
        environment={**environment, **crashes.environment(name)},
        log=system.folder / f"{name}.log",
        launcher=build.launcher,
        ready=READY if role_of(name) == "worker" else "",
        forked=True,
        begins=partial(crashes.begins, name),
        ended=ended,
    )
    system.actors[name] = Actor(kept, links, clock)


def _through(dsn: str, proxy: Proxy) -> str:
    url = urlsplit(dsn)
    return urlunsplit(url._replace(netloc=f"{url.netloc.rpartition(':')[0]}:{proxy.port}"))
