"""Rolling deployments back and forth, under load, kill -9, SIGSTOP and SIGTERM; then the checker, and the product's own auditor.

    scripts/rolling --seconds 60 --seeds 1 2 3

Modes: in `starts` nothing is migrated, versions add types by starting, and whatever was appended when its type was wanted must be
handled; in `migrate` each deployment begins with an explicit definition, which also takes types away; in `flips` the definition
changes some six times a second beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import asyncpg

from apps.rolling.checker import findings
from apps.rolling.versions import BUGS, CALL, FOLD, KINDS, VERSIONS, definitions
from apps.rolling.worker import TABLES, start
from uno_workflows.devstack.postgres import PostgresServer
from uno_workflows.events.context import EventContext
from uno_workflows.events.encoding import to_new_events
from uno_workflows.events.ids import new_event_id
from uno_workflows.events.names import ANY, StreamId
from uno_workflows.events.recorded import StreamAppend
from uno_workflows.processing.auditor import Auditor
from uno_workflows.storage.migrations import migrate
from uno_workflows.storage.store import PostgresStore

MODES: Final = ("starts", "migrate", "flips")
KEYS: Final = 40
SETTLE: Final = 120.0
TESTS: Final = Path(__file__).parents[2]


@dataclass
class Campaign:
    """One seed on one database."""

    dsn: str
    seconds: float
    seed: int
    mode: str
    bug: str = ""
    workers: dict[int, tuple[Any, str]] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.rng, self.number = random.Random(f"{self.seed} {self.mode}"), 0
        self.version, self.promised = "v1", {FOLD: set[int](), CALL: set[int]()}
        os.environ["PYTHONPATH"] = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
        self._forks = multiprocessing.get_context("forkserver")
        self._forks.set_forkserver_preload(["apps.rolling.worker"])

    async def run(self) -> Counter[str]:
        """Run it, and return what is wrong."""
        async with PostgresStore.open(self.dsn, encode=to_new_events) as store:
            self.store, self.connection = store, await asyncpg.connect(self.dsn)
            await self.connection.execute(TABLES)
            try:
                await self._define("v1")
                for key in range(KEYS):
                    await self._append(f"k{key}", ["A"])
                for _ in range(2):
                    self._spawn("v1")
                self.end = time.monotonic() + self.seconds
                async with asyncio.TaskGroup() as tasks:
                    for part in (self._write, self._deploy, self._kill, self._flip):
                        tasks.create_task(part())
                await self._settle()
                found = await findings(self.connection, self.promised if self.mode == "starts" else {})
                await Auditor(store.audits).look(batches=None)
                found["the auditor found"] += len(await store.audits.findings())
                return +found
            finally:
                for process, _ in self.workers.values():
                    process.kill()
                    await asyncio.to_thread(process.join)
                await self.connection.close()

    # -- the load

    async def _append(self, key: str, kinds: list[str], known: frozenset[tuple[str, str]] = frozenset()) -> None:
        events = []
        for kind in kinds:
            self.number += 1
            events.append(KINDS[kind](key=key, n=self.number))  # type: ignore[call-arg]
            for name, promised in self.promised.items():
                if (name, kind) in known:
                    promised.add(self.number)
        ids = [new_event_id() for _ in events]
        stored = to_new_events(events, ids, EventContext(correlation_id=str(ids[0])))
        await self.store.events.append([StreamAppend("", StreamId(f"s-{key}"), ANY, stored, str(ids[0]))])

    async def _write(self) -> None:
        query = "select subscription, type from uno.subscription_types where removed is null and from_position is not null"
        reader = await asyncpg.connect(self.dsn)
        while time.monotonic() < self.end:
            known = frozenset((row[0], row[1]) for row in await reader.fetch(query))
            kinds = [self.rng.choice("AABBC") for _ in range(self.rng.randrange(1, 4))]
            await self._append(f"k{self.rng.randrange(KEYS)}", kinds, known)
            await asyncio.sleep(0.004)
        await reader.close()

    # -- the faults

    def _spawn(self, version: str) -> None:
        process = self._forks.Process(target=start, args=(self.dsn, version, self.bug))
        process.start()
        assert process.pid is not None
        self.workers[process.pid] = process, version

    async def _define(self, version: str) -> None:
        await self.store.definitions.define(definitions(version), app="rolling", explicit=True)

    async def _deploy(self) -> None:
        while time.monotonic() < self.end:
            await asyncio.sleep(self.rng.uniform(0.5, 2.0))
            versions = [v for v in VERSIONS if v != self.version and (self.mode != "starts" or v != "v2b")]
            self.version = self.rng.choice(versions)
            self.done["deployments"] += 1
            if self.mode != "starts":
                await self._define(self.version)
            for pid in [pid for pid, (_, version) in self.workers.items() if version != self.version]:
                self._spawn(self.version)  # the new one first
                await asyncio.sleep(self.rng.uniform(0, 0.6))
                await self._stop(pid, signal.SIGTERM)

    async def _stop(self, pid: int, number: signal.Signals) -> None:
        if (known := self.workers.pop(pid, None)) is not None:
            _send(pid, number)
            await asyncio.to_thread(known[0].join, 20)
            if known[0].exitcode is None:
                _send(pid, signal.SIGKILL)
                await asyncio.to_thread(known[0].join)

    async def _kill(self) -> None:
        while time.monotonic() < self.end:
            await asyncio.sleep(self.rng.uniform(0.4, 1.2))
            for pid in [pid for pid, (process, _) in self.workers.items() if not process.is_alive()]:
                self.workers.pop(pid)
                self.done["refused"] += 1
                self._spawn(self.version)
            if not self.workers:
                continue
            pid, how = self.rng.choice(list(self.workers)), self.rng.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGSTOP])
            version = self.workers[pid][1]
            self.done[how.name] += 1
            if how is signal.SIGSTOP:
                _send(pid, how)
                await asyncio.sleep(self.rng.uniform(0.5, 2.5))
                _send(pid, signal.SIGCONT)
            else:
                await self._stop(pid, how)
                self._spawn(version)

    async def _flip(self) -> None:
        while self.mode == "flips" and time.monotonic() < self.end:
            await asyncio.sleep(self.rng.uniform(0.02, 0.3))
            await self._define(self.rng.choice(list(VERSIONS)))
            self.done["definitions"] += 1

    async def _settle(self) -> None:
        """The newest version alone, until both have passed the log."""
        if self.mode != "starts":
            await self._define("v3")
        for pid in list(self.workers):
            await self._stop(pid, signal.SIGTERM)
        self._spawn("v3")
        head, limit = await self.store.events.bound(), time.monotonic() + SETTLE
        while await self.connection.fetchval("select min(position) from uno.checkpoints") < head:
            assert time.monotonic() < limit, [str(one) for one in await self.store.subscriptions.statuses()]
            await asyncio.sleep(0.1)
        for pid in list(self.workers):
            await self._stop(pid, signal.SIGTERM)


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it has ended by itself: refused
        os.kill(pid, number)


async def _main(arguments: argparse.Namespace) -> int:
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        async with PostgresServer(Path(folder), disposable=True) as server:
            for seed in arguments.seeds:
                for mode in arguments.modes:
                    name = f"rolling_{seed}_{mode}"
                    admin = await asyncpg.connect(server.dsn)
                    await admin.execute(f"create database {name}")
                    await admin.close()
                    dsn = f"{server.dsn.rpartition('/')[0]}/{name}"
                    await migrate(dsn)
                    campaign = Campaign(dsn, arguments.seconds, seed, mode, arguments.bug)
                    found = await campaign.run()
                    wrong = dict(found) or "nothing wrong"
                    print(f"seed {seed} {mode}: {campaign.number} events, {dict(campaign.done)}: {wrong}", flush=True)
                    bad += sum(found.values())
    return min(bad, 1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Rolling deployments back and forth, and whether an event is lost.")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--bug", choices=list(BUGS), default="", help="Plant one, to see that it is found.")
    sys.exit(asyncio.run(_main(parser.parse_args())))
