"""`uno worker`: run what modules declare."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import typer

from uno_workflows.app.catalogue import Catalogue, discover
from uno_workflows.app.worker import Role, run_worker
from uno_workflows.config import Settings
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
    log_to_stderr(verbose=verbose)
    catalogue = discover(modules)
    settings = Settings.from_env()

    async def main(stop: asyncio.Event) -> None:
        def ready() -> None:
            print(f"uno worker ready: {spell(catalogue)}; app {settings.app}, role {role}", file=sys.stderr, flush=True)

        await run_worker(settings, catalogue, role=role, stop=stop, ready=ready)

    run_until_stopped(main)


def spell(catalogue: Catalogue) -> str:
    """What was found, in words."""
    found = {
        "saga": len(catalogue.sagas),
        "step": len(catalogue.steps),
        "projection": len(catalogue.projections),
        "event": len(catalogue.events),
        "workflow": len(catalogue.workflows),
        "activity": len(catalogue.activities),
    }
    plural = {"activity": "activities"}
    words = [f"{n} {word if n == 1 else plural.get(word, word + 's')}" for word, n in found.items() if n]
    return ", ".join(words) or "nothing (do the modules declare anything?)"
