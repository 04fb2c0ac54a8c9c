"""`uno worker`: run what modules declare."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from uno_workflows.app.catalogue import discover
from uno_workflows.app.heap import set_heap_aside
from uno_workflows.app.sdk_worker import build_id
from uno_workflows.app.worker import Role, run_worker
from uno_workflows.config import Settings, traces_wanted
from uno_workflows.observability.exporting import exported_traces
from uno_workflows.tooling.cli.running import log_to_stderr, run_until_stopped

Modules = Annotated[list[str], typer.Argument(help="Importable modules or packages; submodules are looked through too.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Also say what happens in between.")]


def worker(
    modules: Modules,
    role: Annotated[Role, typer.Option(help="What this process does; several with the same role share the work.")] = Role.ALL,
    verbose: Verbose = False,
) -> None:
    """Run the sagas, steps, projections, plain workflows and activities of modules, until SIGTERM or Ctrl-C.

    Examples:

      uno worker shop

      uno worker shop billing --role sagas
    """
    settings, traces = Settings.from_env(), traces_wanted()
    log_to_stderr(settings, verbose=verbose)
    catalogue = discover(modules)
    log_to_stderr(settings, verbose=verbose, build=build_id(catalogue.modules))

    async def main(stop: asyncio.Event) -> None:
        async with exported_traces(wanted=traces, service=settings.app):
            await run_worker(settings, catalogue, role=role, stop=stop, ready=set_heap_aside)

    run_until_stopped(main, grace=settings.grace)
