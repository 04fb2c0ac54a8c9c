"""`uno subscriptions`: the named readers of the log, where they stand, and how to pause and resume them."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer

from uno_workflows.app.uno import open_store
from uno_workflows.config import Settings
from uno_workflows.events.subscriptions import SubscriptionStatus
from uno_workflows.tooling.cli.showing import say, show

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
COLUMNS = ("name", "state", "position", "lag", "owner", "updated_at", "reason")
Name = Annotated[str, typer.Argument(help="Such as saga:FulfilOrder or projection:RevenueByDay.")]


@app.callback()
def subscriptions() -> None:
    """The named readers of the log.

    Example: uno subscriptions list
    """


@app.command("list")
def list_subscriptions(as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False) -> None:
    """List subscriptions with their lag.

    Example: uno subscriptions list --json
    """

    async def statuses() -> list[SubscriptionStatus]:
        async with open_store(Settings.from_env()) as store:
            return await store.subscriptions.statuses()

    rows = [_row(status) for status in asyncio.run(statuses())]
    show(rows, columns=COLUMNS, as_json=as_json, empty="no subscriptions; `uno migrate MODULE…` or a worker registers them")


@app.command()
def pause(name: Name) -> None:
    """Have a subscription stand still, at once and also while Temporal is down.

    Example: uno subscriptions pause projection:RevenueByDay
    """

    async def act() -> None:
        async with open_store(Settings.from_env()) as store:
            await store.subscriptions.pause(name)

    asyncio.run(act())
    say(f"{name} is paused; `uno subscriptions resume {name}` has it go on")


@app.command()
def resume(
    name: Name,
    skip: Annotated[bool, typer.Option("--skip", help="Pass the event that halted it; it is written down as skipped.")] = False,
) -> None:
    """Have a paused or halted subscription go on.

    Examples:

      uno subscriptions resume projection:RevenueByDay

      uno subscriptions resume saga:FulfilOrder --skip
    """

    async def act() -> None:
        async with open_store(Settings.from_env()) as store:
            await store.subscriptions.resume(name, skip=skip)

    asyncio.run(act())
    say(f"{name} goes on")


def _row(status: SubscriptionStatus) -> dict[str, Any]:
    state = "halted" if status.halt else "paused" if status.paused else "running"
    reason = status.halt.reason if status.halt else None
    if status.halt and status.halt.position is not None:
        reason = f"at position {status.halt.position}: {reason}"
    return {
        "name": status.name,
        "state": state,
        "position": status.position,
        "lag": status.lag,
        "owner": status.owner,
        "updated_at": status.updated_at,
        "reason": reason,
    }
