"""`uno sagas`: which runs there are and how they stand, from the table of runs."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, cast, get_args

import typer

from uno_workflows.app.uno import open_store
from uno_workflows.config import Settings
from uno_workflows.events.runs import RunState
from uno_workflows.tooling.cli.showing import say, show

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
COLUMNS = ("workflow_id", "state", "started_at", "closed_at", "reason", "problem")


@app.callback()
def sagas() -> None:
    """Runs of sagas.

    Example: uno sagas list --state compensation_failed
    """


@app.command("list")
def list_runs(
    saga: Annotated[str | None, typer.Option(help="Only this saga.")] = None,
    state: Annotated[str | None, typer.Option(help="Only this state: open, compensation_failed, done, compensated, …")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, newest first.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
) -> None:
    """List runs, newest first. `problem` says what keeps an open one from going on: a bug, a history of other code, a step.

    Examples:

      uno sagas list --state compensation_failed

      uno sagas list --saga FulfilOrder --limit 10 --json
    """
    if state is not None and state not in get_args(RunState):
        raise typer.BadParameter(f"{state} is no state; one of {', '.join(get_args(RunState))}")
    asyncio.run(_list(saga, cast(RunState | None, state), limit, as_json))


async def _list(saga: str | None, state: RunState | None, limit: int, as_json: bool) -> None:
    async with open_store(Settings.from_env()) as store:
        runs = await store.runs.find(saga=saga, state=state, limit=limit)
        late, pending = await store.runs.count_late(saga), await store.runs.count_pending(saga)
    # a cut workflow id does not contain the whole key
    rows = [asdict(run.key) | {name: getattr(run, name) for name in COLUMNS} for run in runs]
    show(rows, columns=COLUMNS, as_json=as_json, empty="no runs")
    if late and not as_json:
        say(f"{late} event{'s' if late > 1 else ''} came after the end of their saga, or were not taken before it")
    if pending and not as_json:
        say(f"{pending} event{'s wait' if pending > 1 else ' waits'} for the start of their saga")
