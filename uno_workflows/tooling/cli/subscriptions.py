"""`uno subscriptions`: the named readers of the log, where they stand, and how to pause and resume them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from uno_workflows.app.uno import open_store
from uno_workflows.config import Settings
from uno_workflows.events.subscriptions import SubscriptionStatus, WantedRange
from uno_workflows.tooling.cli.showing import say, show

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
COLUMNS = ("name", "app", "state", "position", "lag", "owner", "alive_at", "updated_at", "wants", "reason")
Name = Annotated[str, typer.Argument(help="Such as saga:FulfilOrder or projection:RevenueByDay.")]


@app.callback()
def subscriptions() -> None:
    """The named readers of the log.

    Example: uno subscriptions list
    """


@app.command("list")
def list_subscriptions(as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False) -> None:
    """List subscriptions with their lag and the event types that they want, with the positions between which each counts.

    The state is `halted`, `paused`, `running`, or `no worker` if no pump of it gave a sign of life within its heartbeat. The
    owner is the worker that pumped last, and `alive_at` the time of its last sign.

    Example: uno subscriptions list --json
    """

    async def read() -> tuple[list[SubscriptionStatus], dict[str, list[WantedRange]]]:
        async with open_store(Settings.from_env()) as store:
            return await store.subscriptions.statuses(), await store.definitions.ranges()

    statuses, ranges = asyncio.run(read())
    rows = [_row(status, ranges.get(status.name, []), as_json=as_json) for status in statuses]
    show(rows, columns=COLUMNS, as_json=as_json, empty="no subscriptions; `uno migrate MODULE…` or a worker defines them")


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


@app.command()
def adopt(name: Name) -> None:
    """Have a subscription of another app belong to this one (UNO_APP), after the app was renamed and its old workers stopped.

    Example: UNO_APP=store uno subscriptions adopt saga:FulfilOrder
    """
    settings = Settings.from_env()

    async def act() -> str | None:
        async with open_store(settings) as store:
            return await store.definitions.adopt(name, app=settings.app)

    before = asyncio.run(act())
    say(f"{name} belongs to app {settings.app}" + (f", before to {before}" if before not in (None, settings.app) else ""))


def _row(status: SubscriptionStatus, ranges: Sequence[WantedRange], *, as_json: bool) -> dict[str, Any]:
    stopped = status.halt or status.unfit
    going = "waiting" if status.unfit else "running" if status.alive else "no worker"
    state = "halted" if status.halt else "paused" if status.paused else going
    reason = stopped.reason if stopped else None
    if stopped and stopped.position is not None:
        reason = f"at position {stopped.position}: {reason}"
    return {
        "name": status.name,
        "app": status.app,
        "state": state,
        "position": status.position,
        "lag": status.lag,
        "owner": status.owner,
        "alive_at": status.alive_at,
        "updated_at": status.updated_at,
        "wants": _wants(ranges) if as_json else _wants_in_words(ranges),
        "reason": reason,
    }


def _wants(ranges: Sequence[WantedRange]) -> list[dict[str, Any]]:
    """Every type that is or was wanted; `after` and `until` are the positions between which its events count."""
    return [{"type": one.type, "rule": one.rule, "after": one.after, "until": one.until} for one in ranges]


def _wants_in_words(ranges: Sequence[WantedRange]) -> str:
    """As `OrderPlaced, OrderShipped 1037–2210, 3544–`: a type that did not count from the beginning on has its positions."""
    spans: dict[str, list[str]] = {}
    for one in ranges:
        spans.setdefault(one.type, []).append("" if one.until is None and not one.after else str(one))
    return ", ".join(f"{name} {', '.join(filter(None, spans[name]))}".strip() for name in spans)
