"""A worker process of one version: the product's pumps, folder and dispatcher on a real store. A table stands for Temporal.

Of Temporal it needs two things: a lease that one process holds at a time (`leader`), and runs that take each event once, by a
mark of its stream (`inbox`, `applied`). Both are crude, so that whole deployments take a second.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

import asyncpg
from temporalio.client import WorkflowExecutionStatus

from apps.rolling.versions import BUGS, CALL, FOLD, KINDS, definitions, projection, saga
from uno_workflows.dispatch.dispatcher import Dispatcher, DispatchSettings
from uno_workflows.dispatch.temporal import Begun, Envelope, SagaClient
from uno_workflows.events.encoding import to_new_events
from uno_workflows.events.errors import DefinitionRefused, LostLease
from uno_workflows.events.registry import EventRegistry
from uno_workflows.events.subscriptions import Unfit
from uno_workflows.processing.pump import Consumer, Pump, PumpSettings
from uno_workflows.projections.folder import ProjectionFolder
from uno_workflows.storage.settings import StoreSettings
from uno_workflows.storage.store import PostgresStore

TABLES: Final = """
create table leader (name text primary key, owner text, at timestamptz not null default '-infinity');
create table done (id bigserial, position bigint primary key, type text, stream text, n int);
create table inbox (key text, stream text, mark bigint, primary key (key, stream));
create table applied (id bigserial primary key, position bigint, type text, stream text, key text, n int);
"""
ELECT: Final = """
insert into leader as l values ($1, $2, clock_timestamp()) on conflict (name) do update set owner = $2, at = clock_timestamp()
 where l.owner = $2 or l.at < clock_timestamp() - interval '1.5 s' returning 1"""
LET_GO: Final = "update leader set at = '-infinity' where name = $1 and owner = $2"
# as a run does: a repeat is dropped by the mark of its stream, and so is what comes too late
APPLY: Final = """
with new as (
  insert into inbox values ($1, $2, $3) on conflict (key, stream)
      do update set mark = excluded.mark where inbox.mark < excluded.mark
  returning 1)
insert into applied (position, type, stream, key, n) select $4, $5, $2, $1, $6 from new"""
REFUSED: Final = 3


class Runs:
    """Runs of the saga, which take a moment to take an event."""

    searchable, namespace_id = False, None

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def start(self, saga: str, workflow_id: str, envelope: Envelope, *, event: Any) -> Begun:
        await self._apply(envelope)
        return Begun("run", datetime.now(UTC))

    async def started_as(self, workflow_id: str, event: Any) -> None:
        return None

    async def open_run(self, workflow_id: str) -> None:
        return None

    async def signal(self, workflow_id: str, envelope: Envelope) -> bool:
        await self._apply(envelope)
        return True

    async def status(self, workflow_id: str) -> WorkflowExecutionStatus:
        return WorkflowExecutionStatus.RUNNING

    async def _apply(self, envelope: Envelope) -> None:
        await asyncio.sleep(random.random() * (0.5 if random.random() < 0.1 else 0.02))  # a slow one has others run ahead of it
        told = json.loads(envelope.value.payload.data)
        values = told["data"]["key"], told["stream"], told["version"], told["position"], told["type"], told["data"]["n"]
        await self._pool.execute(APPLY, *values)


class Worker:
    """Defines what its version reads, then takes a lease whenever one is free."""

    def __init__(self, store: PostgresStore, tail: Any, pool: Any, version: str) -> None:
        self._store, self._tail, self._pool, self._version = store, tail, pool, version
        self._me = f"{os.getpid()}/{version}"
        self._unfit: dict[str, Unfit | None] = {}
        self.pumps: dict[str, Pump] = {}

    def _consumer(self, name: str) -> Consumer:
        if name == FOLD:
            registry = EventRegistry(KINDS.values())
            return ProjectionFolder(projection(self._version), registry, self._store.subscriptions)
        return Dispatcher(
            saga(self._version),
            cast(SagaClient, Runs(self._pool)),
            events=self._store.events,
            runs=self._store.runs,
            subscriptions=self._store.subscriptions,
            settings=DispatchSettings(),
        )

    async def keep(self, name: str, stop: asyncio.Event) -> None:
        """Take this lease whenever it is free, until told to stop."""
        while not stop.is_set():
            if await self._pool.fetchval(ELECT, name, self._me):
                await self._lease(name)
            with suppress(TimeoutError):
                async with asyncio.timeout(random.uniform(0.02, 0.2)):
                    await stop.wait()

    async def _lease(self, name: str) -> None:
        settings = PumpSettings(lease=timedelta(seconds=random.uniform(0.3, 2)), poll=timedelta(seconds=0.05), page=50)
        pump = Pump(self._store.subscriptions, self._tail, self._consumer(name), owner=self._me, settings=settings)
        self.pumps[name] = pump
        running = asyncio.create_task(pump.run(unfit=self._unfit.get(name)))
        try:
            while not running.done():
                if not await self._pool.fetchval(ELECT, name, self._me):
                    running.cancel()
                await asyncio.wait([running], timeout=0.3)
            with suppress(LostLease, asyncio.CancelledError):
                await running
        finally:
            self._unfit[name] = pump.unfit
            del self.pumps[name]
            await self._pool.execute(LET_GO, name, self._me)


async def work(dsn: str, version: str) -> int:
    """Run until SIGTERM; the exit code."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    settings = StoreSettings(pump_timeout=2.0, pool_size=4)
    async with (
        asyncpg.create_pool(dsn, min_size=1, max_size=4) as pool,
        PostgresStore.open(dsn, encode=to_new_events, settings=settings) as store,
        store.tail() as tail,
    ):
        try:
            await store.definitions.define(definitions(version), app="rolling")
        except DefinitionRefused:
            return REFUSED
        worker = Worker(store, tail, pool, version)
        keepers = [asyncio.create_task(worker.keep(name, stop)) for name in (FOLD, CALL)]
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([stopping, *keepers], return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        for pump in worker.pumps.values():
            pump.leaving.set()
        await asyncio.gather(*keepers)
    return 0


def start(dsn: str, version: str, bug: str) -> None:
    """The body of the process."""
    if bug:
        cast(Callable[[], None], BUGS[bug])()
    random.seed(time.time_ns() ^ os.getpid())
    sys.exit(asyncio.run(work(dsn, version)))
