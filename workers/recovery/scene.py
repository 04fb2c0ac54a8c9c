"""Where a fault happens: servers, workers, and customers who post a parcel every few milliseconds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Final

from uno_workflows import Settings, Uno
from uno_workflows.app.profiles import PROFILES
from uno_workflows.app.registering import define_subscriptions
from uno_workflows.devstack.stack import DevStack
from uno_workflows.events.errors import StoreUnavailable
from uno_workflows.events.ids import new_event_id
from uno_workflows.storage.migrations import migrate
from workers.recovery.events import ParcelPosted
from workers.recovery.fleet import MODULES, Fleet, Worker
from workers.recovery.tables import metadata

AGAIN: Final = 0.05  # seconds until a customer that was not heard tries again


@dataclass
class Scene:
    """One profile's servers and workers.

    Attributes:
        every: Seconds between two parcels.
        parcels: Those that were posted in this round.
    """

    stack: DevStack
    fleet: Fleet
    uno: Uno
    profile: str
    every: float
    parcels: list[str] = field(default_factory=list)
    numbers: count[int] = field(default_factory=count)

    @property
    def silence(self) -> timedelta:
        """After how long of silence a pump counts as dead."""
        return PROFILES[self.profile].pump_heartbeat

    async def owner(self) -> Worker:
        """The worker that reads for the saga; waits until one does."""
        while True:
            for status in await self.uno.store.subscriptions.statuses():
                pid = (status.owner or "").partition("@")[0]
                for worker in self.fleet.workers:
                    if status.name.startswith("saga:") and pid == str(worker.pid):
                        return worker
            await asyncio.sleep(0.05)

    @asynccontextmanager
    async def customers(self) -> AsyncIterator[None]:
        """Parcels are posted while the block runs."""
        closed = asyncio.Event()

        async def post() -> None:
            while not closed.is_set():
                await self.post()
                await asyncio.sleep(self.every)

        async with asyncio.TaskGroup() as group:
            group.create_task(post())
            try:
                yield
            finally:
                closed.set()

    async def post(self) -> str:
        """Post one parcel, as a patient customer does: with the same id until it is acknowledged."""
        parcel, event_id = f"{self.profile}-{next(self.numbers)}", new_event_id()
        while True:
            try:
                await self.uno.append(f"parcel-{parcel}", ParcelPosted(parcel_id=parcel), event_ids=event_id)
            except StoreUnavailable:
                await asyncio.sleep(AGAIN)
            else:
                self.parcels.append(parcel)
                return parcel


@asynccontextmanager
async def open_scene(folder: Path, profile: str, *, every: float) -> AsyncIterator[Scene]:
    """Servers of one's own, the app's tables on them, and no worker yet."""
    async with DevStack(folder, ephemeral=True, ui=False) as stack:
        await migrate(stack.database_url)
        environment = {**stack.environment(), "UNO_PROFILE": profile, "UNO_GRACE": "10s"}
        settings = Settings.from_env(environment)
        fleet = Fleet(folder, environment)
        async with Uno.connect(settings, modules=MODULES) as uno:
            async with uno.transaction() as tx:
                await tx.connection.run_sync(metadata.create_all)
            await define_subscriptions(uno.store, uno.catalogue, app=settings.app)
            try:
                yield Scene(stack, fleet, uno, profile, every)
            finally:
                await fleet.discard()
