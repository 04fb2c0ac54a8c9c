"""`uno dev`: everything on one machine, from nothing."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer

from uno_workflows.app.catalogue import discover
from uno_workflows.app.connecting import connect_temporal
from uno_workflows.app.heap import set_heap_aside
from uno_workflows.app.registering import define_subscriptions
from uno_workflows.app.sdk_worker import build_id
from uno_workflows.app.uno import open_store
from uno_workflows.app.worker import run_worker
from uno_workflows.config import UNUSED_URL, Settings, traces_wanted
from uno_workflows.devstack.environment import forget_servers, shell_lines
from uno_workflows.devstack.errors import ServerEnded
from uno_workflows.devstack.stack import DevStack
from uno_workflows.dispatch.search_attributes import ensure_search_attributes
from uno_workflows.observability.exporting import exported_traces
from uno_workflows.storage.migrations import migrate
from uno_workflows.tooling.cli.running import log, log_to_stderr, run_until_stopped
from uno_workflows.tooling.cli.showing import say
from uno_workflows.tooling.cli.worker import Verbose


def dev(
    modules: Annotated[
        list[str] | None, typer.Argument(help="Modules to run; without any, only the servers are started.")
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where data is kept between runs.")] = Path(".uno/dev"),
    ephemeral: Annotated[
        bool, typer.Option("--ephemeral", help="Keep nothing: Postgres and Temporal are wiped together.")
    ] = False,
    verbose: Verbose = False,
) -> None:
    """Start an embedded Postgres, a Temporal server with its UI, and a worker for the modules.

    Addresses and credentials of other servers in the environment (PG*, TEMPORAL_*, UNO_DATABASE_URL) are ignored.

    Examples:

      uno dev shop

      uno dev --ephemeral shop
    """
    foreign = forget_servers()
    told = Settings.from_env(database_url=UNUSED_URL)
    log_to_stderr(told, verbose=verbose, person=True)
    catalogue, traces = discover(modules or []), traces_wanted()
    log_to_stderr(told, verbose=verbose, person=True, build=build_id(catalogue.modules))

    async def main(stop: asyncio.Event) -> None:
        async with DevStack(None if ephemeral else folder, ephemeral=ephemeral) as stack:
            os.environ.update(stack.environment())
            settings = Settings.from_env()
            await migrate(settings.database_url, schema=settings.schema)
            async with open_store(settings) as store:  # as `uno migrate` does, for this is a deployment of its own
                await define_subscriptions(store, catalogue, app=settings.app, explicit=True)
            await ensure_search_attributes(await connect_temporal())  # else `uno doctor` misses them until the first worker
            print("\n".join(shell_lines(stack.environment(), also=foreign)))
            print(f"Temporal UI: {stack.ui_url}", flush=True)

            def ready() -> None:
                set_heap_aside()
                say(f"uno dev ready: {catalogue.summary()}")

            async with kept(stack, stop), exported_traces(wanted=traces, service=settings.app):
                if modules:
                    await run_worker(settings, catalogue, stop=stop, ready=ready)
                else:
                    await stop.wait()

    run_until_stopped(main, grace=told.grace)


@asynccontextmanager
async def kept(stack: DevStack, stop: asyncio.Event) -> AsyncIterator[None]:
    """Restart servers that end while the block runs; if a restart fails, stop the worker and raise the reason."""

    def ended(end: ServerEnded) -> None:
        log.error("server_ended", server=end.server, log=str(end.log))

    def again(server: str) -> None:
        log.info("server_started_again", server=server)

    keeping = asyncio.create_task(stack.keep(ended=ended, again=again), name="keeper of the servers")
    keeping.add_done_callback(lambda _: stop.set())
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.wait([keeping])
        if not keeping.cancelled():
            keeping.result()
