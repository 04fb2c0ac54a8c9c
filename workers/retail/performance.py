"""The demo on its servers: everything that comes after the file was found to be good."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from uno_workflows import Settings, Uno, UnoError
from uno_workflows.app.catalogue import discover
from uno_workflows.app.registering import define_subscriptions
from uno_workflows.devstack.stack import DevStack
from uno_workflows.storage.migrations import migrate
from workers.retail.arguments import Options
from workers.retail.conclusion import come_to_rest, examine, standing, worth_a_look
from workers.retail.importing import take_all
from workers.retail.ledger import DamagedLedger
from workers.retail.processes import WORKER_MODULES, Outside, ProcessEnded, running, watch
from workers.retail.progress import Stuck, Tracker, show
from workers.retail.report import Outcome, print_outcome
from workers.retail.selected import Selected
from workers.retail.shop import Shop
from workers.retail.tables import create_tables

KEPT = Path(".uno/demo")
"""One folder below it for each selection; in the project's folder, where `scripts/demo` goes first."""


async def perform(options: Options, selected: Selected, errors: Console) -> int:
    """Run a selection on servers of its own, and judge the outcome.

    Args:
        errors: Where progress and failures are told.

    Returns:
        The exit code: 0 when everything agrees, else 1.
    """
    try:
        return await _with_servers(options, selected, errors)
    except* (UnoError, ProcessEnded, DamagedLedger) as failures:
        for failure in _leaves(failures):
            errors.print(f"demo: {failure}", soft_wrap=True, markup=False)
    return 1


async def _with_servers(options: Options, selected: Selected, errors: Console) -> int:
    with _folder(options) as folder:
        started = time.monotonic()
        stack = DevStack(None if options.ephemeral else folder / "servers", ephemeral=options.ephemeral)
        errors.print("starting Postgres and Temporal …")
        async with stack:
            environment = stack.environment()
            settings = Settings.from_env(environment)
            await migrate(settings.database_url, schema=settings.schema)
            async with Uno.connect(settings, modules=WORKER_MODULES) as uno:
                await create_tables(uno)
                await define_subscriptions(uno.store, discover(WORKER_MODULES), app=settings.app)
                return await _run(options, selected, uno, stack, Outside(folder), started, errors)


async def _run(
    options: Options, selected: Selected, uno: Uno, stack: DevStack, outside: Outside, started: float, errors: Console
) -> int:
    tracker, stuck, before = Tracker(), list[str](), await standing(uno)
    total = len(selected.classified)
    async with running(outside, stack.environment()) as children, _beside(watch(children, stack)):
        async with _beside(tracker.follow(uno), show(tracker, total=total, console=errors)), Shop.open(uno) as shop:
            try:
                await take_all(shop, selected.classified, selected.supplies, tracker)
                await come_to_rest(uno, tracker, sagas=selected.sagas)
            except Stuck as error:
                errors.print(f"demo: {error}", soft_wrap=True, markup=False)
                stuck = error.unfinished
        found = await examine(uno, options, selected, outside, before=before)
        outcome = Outcome(
            title=selected.title(options),
            report=found.facts.report,
            events_appended=found.events_appended,
            sagas_started=found.sagas_started,
            sagas_final=found.sagas_final,
            stuck=stuck,
            audited=found.audited,
            differences=found.differences,
            seconds=time.monotonic() - started,
        )
        print_outcome(outcome, errors if options.json else Console())
        if options.json:
            print(json.dumps(outcome.as_json()), flush=True)
        elif options.wait and sys.stdout.isatty():
            await _stay(stack, [*worth_a_look(found.facts)])
    return 0 if outcome.reconciled else 1


async def _stay(stack: DevStack, workflows: list[tuple[str, str]]) -> None:
    """Leave everything up until Ctrl-C."""
    console = Console()
    console.print(f"\nTemporal's UI: {stack.ui_url}   (the worker is still at work; Ctrl-C ends the demo)", soft_wrap=True)
    for workflow_id, what in workflows:
        console.print(f"  {workflow_id}: {what}", soft_wrap=True)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        console.print("stopping …")


@asynccontextmanager
async def _beside(*works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Keep things going while the block runs; if one of them fails, so does the block."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
        yield
        for task in tasks:
            task.cancel()


@contextmanager
def _folder(options: Options) -> Iterator[Path]:
    if options.ephemeral:
        with tempfile.TemporaryDirectory(prefix="retail-demo-") as name:
            yield Path(name)
    else:
        folder = (KEPT / options.selection_hash).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        yield folder


def _leaves(group: BaseExceptionGroup[Any]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
