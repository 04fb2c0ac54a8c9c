"""The shop under attack: its database, its worker processes, and the hands of its customers."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
from apps.shop.events import OrderPlaced, OrderShipped
from forking import Fork
from patience import LIMIT
from temporalio.client import Client

from uno_workflows import Event, Uno
from uno_workflows.app.registering import define_subscriptions
from uno_workflows.config import Settings
from uno_workflows.devstack.environment import without_servers
from uno_workflows.devstack.processes import stat_of
from uno_workflows.events.errors import StoreUnavailable
from uno_workflows.events.ids import new_event_id

measured = logging.getLogger("acceptance")  # pytest --log-cli-level=INFO shows how long recoveries took
TESTS = Path(__file__).parents[1]
CLI = (sys.executable, "-m", "uno_workflows.tooling.cli")
MODULES = ("apps.shop", "apps.trouble")
TABLES = """
create table shop_stock (order_id text primary key);
create table shop_orders (state text primary key, n int);
create table complaints (words text)
"""
STACK = "Traceback"
CRASHES = ("panicked", "never retrieved", "never awaited", "was destroyed", "Fatal Python error", "in thread")


async def until(condition: Callable[[], Any], *, limit: float = LIMIT, what: str = "") -> float:
    """Wait for something to come about, and say how many seconds that took."""
    began = time.monotonic()
    while True:
        found = condition()
        if await found if isinstance(found, Awaitable) else found:
            return time.monotonic() - began
        assert time.monotonic() - began < limit, f"not within {limit:g} s: {what or condition}"
        await asyncio.sleep(0.05)


def clean_environment() -> dict[str, str]:
    """Ours, without what the product reads of it, and with log lines for people: who reads a failed test is one."""
    kept = {name: value for name, value in without_servers(os.environ).items() if not name.startswith(("UNO_", "SHOP_"))}
    return {**kept, "UNO_LOG_FORMAT": "console"}


@dataclass(frozen=True, slots=True)
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Process:
    """A command in a process of its own, its words in files."""

    def __init__(self, argv: Sequence[str], environment: dict[str, str], log: Path, *, folder: Path | None = None) -> None:
        self.log, self.said, folder = log, log.with_suffix(".out"), folder or log.parent
        paths = environment.get("PYTHONPATH", "").split(os.pathsep)
        self._process: subprocess.Popen[bytes] | Fork
        if any((Path(path) / "uno_workflows").is_dir() for path in paths if path):  # another version than what is imported here
            with log.open("wb") as err, self.said.open("wb") as out:
                self._process = subprocess.Popen(
                    [*CLI, *argv], env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=folder
                )
        else:
            log.write_bytes(b"")
            self.said.write_bytes(b"")
            self._process = Fork(argv, environment, out=self.said, err=log, folder=folder)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Its exit code, once it has one."""
        return self._process.poll()

    @property
    def is_frozen(self) -> bool:
        """Whether it was stopped, by a SIGSTOP of its own or of somebody else."""
        return stat_of(self.pid)[0] == "T"

    @property
    def words(self) -> str:
        """What it said on stderr."""
        return self.log.read_text()

    async def says(self, words: str) -> float:
        """Wait until it has said this on stderr; it must live to do so."""

        def said() -> bool:
            assert self.code is None or words in self.words, f"it ended with {self.code}:\n{self.words}"
            return words in self.words

        return await until(said, what=f"{words!r} in {self.words}")

    async def ready(self) -> float:
        """Wait until it polls Temporal; its pumps may not have begun yet."""
        return await self.says("worker_ready: ")

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def ended(self, *, limit: float = LIMIT) -> int:
        """Wait for its end, and return its exit code: below zero, the signal that killed it."""
        await until(lambda: self.code is not None, limit=limit, what=f"the end of {self._process.args!r}\n{self.words}")
        assert self.code is not None
        return self.code

    async def kill(self) -> None:
        """As by kill -9."""
        self._process.kill()
        await self.ended()

    async def stop(self, number: signal.Signals = signal.SIGTERM, *, limit: float = LIMIT) -> float:
        """Stop it gently, and return how long it took."""
        began = time.monotonic()
        self.send(number)
        assert await self.ended(limit=limit) == 0, self.words
        return time.monotonic() - began

    def discard(self) -> None:
        """At the end of a test: nothing stays, frozen or not."""
        if self.code is None:
            self._process.kill()
        self._process.wait()


class Shop:
    """One application on servers that it may share with others: its database, its name and its orders are its own.

    Attributes:
        name: Prefix of its order ids: runs of all applications share Temporal's namespace.
        stacks: Whether stacks may be in the logs: an attempt of a step that an outage ends has one there.
        uno: How customers append and read.
    """

    def __init__(self, name: str, uno: Uno, environment: dict[str, str], folder: Path, *, stacks: bool = False) -> None:
        self.name, self.uno, self.environment, self.folder = name, uno, environment, folder
        self.ledger_file = Path(environment["SHOP_LEDGER"])
        self.processes: list[Process] = []
        self.stacks = stacks

    # -- the customers

    def order(self, number: object) -> str:
        return f"{self.name}-{number}"

    async def append(self, stream: str, event: Event) -> None:
        """Append as a patient customer does: with the same id until it is acknowledged."""
        event_id = new_event_id()
        while True:
            try:
                await self.uno.append(stream, event, event_ids=event_id)
            except StoreUnavailable:
                await asyncio.sleep(0.1)
            else:
                return

    async def place(self, number: object, *, mode: str = "", ship: bool = True) -> str:
        order = self.order(number)
        await self.append(f"order-{order}", OrderPlaced(order_id=order, mode=mode))
        if ship:
            await self.append(f"order-{order}", OrderShipped(order_id=order, at=datetime.now(UTC)))
        return order

    # -- the workers

    def worker(self, *, role: str = "all", **settings: str) -> Process:
        """A worker process; it is stopped at the end of the test at the latest."""
        return self.start(["worker", *MODULES, "--role", role], **settings)

    def start(self, argv: Sequence[str], **settings: str) -> Process:
        log = self.folder / f"{len(self.processes)}-{argv[0]}.log"
        process = Process(argv, {**self.environment, **settings}, log)
        self.processes.append(process)
        return process

    async def cli(self, *argv: str, **settings: str) -> Said:
        """Run a command to its end."""
        process = self.start(argv, **settings)
        code = await process.ended()
        return Said(code, process.said.read_text(), process.words)

    def arm(self, point: str) -> None:
        """Have the first process that passes a crash point die of it, or one that passes a freeze point freeze."""
        self._flag(f"crash-{point}").touch()

    def let(self, what: str) -> None:
        """Let held steps `go`, say that a handler was `mended`, or wake a projection (`awake`)."""
        self._flag(what).touch()

    def _flag(self, name: str) -> Path:
        return self.ledger_file.with_name(f"{self.ledger_file.name}.{name}")

    # -- what can be seen

    def ledger(self) -> list[tuple[str, str, int]]:
        """What the steps did: name, key and attempt, in order."""
        lines = self.ledger_file.read_text().splitlines() if self.ledger_file.exists() else []
        return [(what, key, int(attempt)) for what, key, attempt in map(str.split, lines)]

    def keys(self, what: str, order: str) -> list[str]:
        """Keys of the calls of one step for one order."""
        return [key for step, key, _ in self.ledger() if step == what and f"/{order}/" in key]

    async def pumped(self, worker: Process, *, limit: float = LIMIT) -> float:
        """Wait until every subscription is read by this worker; if it does not come to that, tell what the servers say."""

        async def all_owned() -> bool:
            assert worker.code is None, worker.words
            owners = [status.owner or "" for status in await self.uno.store.subscriptions.statuses()]
            return all(owner.startswith(f"{worker.pid}@") for owner in owners)

        try:
            return await until(all_owned, limit=limit, what=f"{worker.pid} reads all of {self.name}\n{worker.words}")
        except AssertionError as error:
            error.add_note(await self.servers_say())
            raise

    async def servers_say(self) -> str:
        """What Postgres, Temporal and all workers say of the subscriptions, for a failure that is seldom."""
        lines = [str(status) for status in await self.uno.store.subscriptions.statuses()]
        async with self.sql() as connection:
            sessions = "select pid, state, wait_event, xact_start, query from pg_stat_activity where datname = current_database()"
            lines += [str(tuple(row)) for row in await connection.fetch(sessions)]
        client = await Client.connect(self.environment["TEMPORAL_ADDRESS"])
        async for found in client.list_workflows("WorkflowType = 'uno.subscription'"):
            if found.id.startswith(f"uno/{self.environment['UNO_APP']}/"):
                described = (await client.get_workflow_handle(found.id).describe()).raw_description
                lines.append(f"{found.id}: {described.pending_activities} {described.pending_workflow_task}")
        lines += [f"{process.pid}:\n{process.words}" for process in self.processes]
        return "\n".join(lines)

    async def states(self) -> dict[str, str]:
        """Every run's state, by workflow id."""
        return {run.workflow_id: run.state for run in await self.uno.store.runs.find(limit=10_000)}

    async def state(self, order: str, saga: str = "FulfilOrder") -> str:
        return (await self.states()).get(f"{saga}/{order}", "")

    async def subscription(self, name: str) -> Any:
        return {status.name: status for status in await self.uno.store.subscriptions.statuses()}[name]

    async def is_settled(self) -> bool:
        """Whether nothing is left to be done."""
        try:
            if not await self._all_at_head():
                return False
            head = await self.uno.store.events.bound()
            states = (await self.states()).values()
            return "open" not in states and await self._all_at_head() and head == await self.uno.store.events.bound()
        except StoreUnavailable:
            return False

    async def _all_at_head(self) -> bool:
        return all(status.lag == 0 for status in await self.uno.store.subscriptions.statuses())

    async def settled(self) -> float:
        """Wait until nothing is left to be done."""
        try:
            return await until(self.is_settled, what=f"{self.name} settled")
        except AssertionError as err:
            behind = [f"{s.name} {s.lag} {s.halt}" for s in await self.uno.store.subscriptions.statuses() if s.lag]
            raise AssertionError(f"{err}; behind {behind}; {await self.states()}; see {self.folder}") from err

    @asynccontextmanager
    async def sql(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection of the test's own, by which it holds locks and turns things back."""
        connection = await asyncpg.connect(self.environment["UNO_DATABASE_URL"])
        try:
            yield connection
        finally:
            await connection.close()

    async def waiting(self, query: str) -> float:
        """Wait until somebody waits for a lock with a statement like this."""
        seen = """select exists (select from pg_stat_activity
                                  where datname = current_database() and wait_event_type = 'Lock' and query ilike $1)"""
        async with self.sql() as connection:
            return await until(lambda: connection.fetchval(seen, query), what=f"somebody waits with {query}")

    async def rewind(self, subscription: str) -> None:
        """Turn a checkpoint back to the beginning."""
        async with self.sql() as connection:
            statement = "update uno.checkpoints set position = 0, term = term + 1 where subscription = $1"
            await connection.execute(statement, subscription)


@asynccontextmanager
async def open_shop(
    name: str, folder: Path, *, database_url: str, temporal_address: str, stacks: bool = False, **settings: str
) -> AsyncIterator[Shop]:
    """A shop on a migrated database, its subscriptions registered; at the end no process of it is left, and none crashed."""
    environment = {
        **clean_environment(),
        "PYTHONPATH": str(TESTS),
        "UNO_DATABASE_URL": database_url,
        "UNO_APP": name,
        "TEMPORAL_ADDRESS": temporal_address,
        "TEMPORAL_NAMESPACE": "default",
        "SHOP_LEDGER": str(folder / "ledger"),
        **settings,
    }
    async with Uno.connect(Settings.from_env(environment), modules=MODULES) as uno:
        shop = Shop(name, uno, environment, folder, stacks=stacks)
        async with shop.sql() as connection:
            await connection.execute(TABLES)
        await define_subscriptions(uno.store, uno.catalogue, app=uno.settings.app)
        try:
            yield shop
        finally:
            for process in shop.processes:
                process.discard()
    for process in shop.processes:
        signs = CRASHES if shop.stacks else (STACK, *CRASHES)
        crashes = [line for line in process.words.splitlines() if any(sign in line for sign in signs)]
        assert not crashes, f"{process.log}:\n{process.words}"
