"""The worker: runs what the user's modules declare, until it is told to stop.

One process has up to three parts, each a Temporal Worker on its own task queue: sagas and steps; dispatch, whose pumps share
the sagas' client so that starts can be eager (append to first step in a third of the time); and projections, whose user code
runs in a thread with an event loop of its own, because one blocked loop would stall every saga of the process (ADR 0008).
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from enum import StrEnum
from functools import partial
from typing import Any

from uno_workflows.app.catalogue import Catalogue
from uno_workflows.app.connecting import connect_temporal
from uno_workflows.app.parts import dispatch_part, projections_part, sagas_part
from uno_workflows.app.registering import register_subscriptions
from uno_workflows.app.threads import in_thread
from uno_workflows.app.uno import open_store
from uno_workflows.config import Settings


class Role(StrEnum):
    """What a worker process does."""

    ALL = "all"
    SAGAS = "sagas"
    DISPATCH = "dispatch"
    PROJECTIONS = "projections"


async def run_worker(
    settings: Settings,
    catalogue: Catalogue,
    *,
    role: Role = Role.ALL,
    stop: asyncio.Event,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Run until `stop` is set; then what is at hand is finished or handed over.

    Args:
        ready: Called once everything polls.

    Raises:
        ConfigurationError: a module does, or declares, what Temporal's worker refuses.
        UnoError: a server is missing or refuses us, or the schema is not ours.
    """
    catalogue.events.freeze()
    identity = f"{os.getpid()}@{socket.gethostname()}-{secrets.token_hex(2)}"
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store(settings))
        client = await connect_temporal()
        await register_subscriptions(store, catalogue)
        watch: list[asyncio.Future[Any]] = []
        if role in (Role.ALL, Role.SAGAS):
            watch.extend(await stack.enter_async_context(sagas_part(settings, catalogue, store, client, identity, stop)))
        if role in (Role.ALL, Role.DISPATCH):
            watch.extend(await stack.enter_async_context(dispatch_part(settings, catalogue, store, client, identity, stop)))
        if role in (Role.ALL, Role.PROJECTIONS) and catalogue.projections:
            alone = partial(projections_part, settings, catalogue, identity)
            watch.append(await stack.enter_async_context(in_thread(alone, name="projections", grace=settings.grace)))
        ready()
        await _until(stop, watch)


async def _until(stop: asyncio.Event, watch: Sequence[asyncio.Future[Any]]) -> None:
    """Wait for the stop; a part that dies before stops its owner, with its error."""
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait([stopping, *watch], return_when=asyncio.FIRST_COMPLETED)
        for part in watch:
            if part.done():
                part.result()
    finally:
        stopping.cancel()
