"""`uno migrate`: bring the database schema up to date, and the definitions of subscriptions to what the modules say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Sequence
from typing import Annotated, Any

import typer

from uno_workflows.app.catalogue import Catalogue, discover
from uno_workflows.app.registering import define_subscriptions
from uno_workflows.app.uno import open_store
from uno_workflows.config import UNUSED_URL, Settings
from uno_workflows.events.subscriptions import Defined
from uno_workflows.storage import migrations
from uno_workflows.storage.store import PostgresStore
from uno_workflows.tooling.cli.showing import say


def migrate(
    modules: Annotated[
        list[str] | None,
        typer.Argument(help="Also have the subscriptions of these modules read exactly what the modules say, from now on."),
    ] = None,
    sql: Annotated[bool, typer.Option("--sql", help="Print the whole script instead, for a schema that Alembic owns.")] = False,
    rekey: Annotated[
        bool,
        typer.Option("--rekey", help="Let sagas find their runs by another key, once none is open and their workers stopped."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as a JSON object.")] = False,
) -> None:
    """Create or update the tables of the event store. Safe to run twice, by two processes at once, and when killed.

    With modules it belongs to every deployment: it alone takes an event type away from a subscription, or gives it back.

    Examples:

      uno migrate

      uno migrate shop

      uno migrate shop --json

      uno migrate --sql > uno.sql
    """
    if sql:
        schema = Settings.from_env(database_url=UNUSED_URL).schema
        print(migrations.sql(schema=schema))
        return
    catalogue, settings = discover(modules or []), Settings.from_env()  # outside of the loop, where Ctrl-C ends an import
    asyncio.run(_migrate(settings, catalogue, whole=bool(modules), rekey=rekey, as_json=as_json))


async def _migrate(settings: Settings, catalogue: Catalogue, *, whole: bool, rekey: bool, as_json: bool) -> None:
    applied = await migrations.migrate(settings.database_url, schema=settings.schema)
    if not as_json:
        for line in [f"applied {name}" for name in applied] or [f"schema {settings.schema} is up to date"]:
            say(line)
    rows: list[dict[str, Any]] = []
    undeclared: list[dict[str, Any]] = []
    if whole:
        async with open_store(settings) as store:
            rows = await _define(store, catalogue, app=settings.app, rekey=rekey)
            undeclared = await _undeclared(store, {row["name"] for row in rows}, app=settings.app)
    if as_json:
        said = {"schema": settings.schema, "applied": applied, "subscriptions": rows, "undeclared": undeclared}
        print(json.dumps(said, default=str))
    elif whole:
        _tell(rows, undeclared)


async def _define(store: PostgresStore, catalogue: Catalogue, *, app: str, rekey: bool) -> list[dict[str, Any]]:
    defined = await define_subscriptions(store, catalogue, app=app, explicit=True, rekey=rekey)
    return [await _row(store, one) for one in defined]


async def _undeclared(store: PostgresStore, declared: Collection[str], *, app: str) -> list[dict[str, Any]]:
    """The app's subscriptions that no given module declares: after a rename or a removal, nothing reads for them."""
    names = [one.name for one in await store.subscriptions.statuses() if one.app in (app, None) and one.name not in declared]
    return [{"name": name, "open_runs": await _open_runs(store, name)} for name in names]


async def _open_runs(store: PostgresStore, name: str) -> int:
    return await store.runs.count_open(name.removeprefix("saga:")) if name.startswith("saga:") else 0


async def _row(store: PostgresStore, one: Defined) -> dict[str, Any]:
    """The types that were added and removed, and surprises for an operator."""
    changed, open_runs = one.outcome == "changed", await _open_runs(store, one.name) if one.removed else 0
    return {
        "name": one.name,
        "outcome": one.outcome,
        "generation": one.generation,
        "added": [
            {"type": name, "older_events": await store.definitions.older_events(one.name, name) if changed else 0}
            for name in one.added
        ],
        "removed": [{"type": name, "open_runs": open_runs} for name in one.removed],
        "rekeyed": list(one.rekeyed),
    }


def _tell(rows: Sequence[dict[str, Any]], undeclared: Sequence[dict[str, Any]]) -> None:
    for row in rows:
        name, begun = row["name"], row["outcome"] in ("created", "adopted")
        if begun:
            say(f"{name} reads {', '.join(one['type'] for one in row['added'])}")
        for one in row["added"] if not begun else ():
            say(f"{name} + {one['type']}{_older(one)}")
        for one in row["removed"]:
            say(f"{name} - {one['type']}{_awaited(one)}")
        for one in row["rekeyed"]:
            say(f"{name}: {one} has another role or key")
    for row in undeclared:
        runs = f", and {_runs_are(row['open_runs'])} open without its worker" if row["open_runs"] else ""
        say(f"{row['name']}: no given module declares it{runs}; after a rename, pin the old name with name=")
    count = len(rows)
    say(f"{count} subscription{'s are' if count != 1 else ' is'} as the modules say")


def _older(added: dict[str, Any]) -> str:
    count = added["older_events"]
    if count is None:
        return ": older events in the log do not count (there are too many events to look for them now)"
    if not count:
        return ""
    those = "1 older event in the log does" if count == 1 else f"{count:,} older events in the log do"
    return f": {those} not count; a projection that needs them is built anew, under another name="


def _awaited(removed: dict[str, Any]) -> str:
    count = removed["open_runs"]
    if not count:
        return ""
    return f": {_runs_are(count)} open; what awaits this event waits on, and is not undone"


def _runs_are(count: int) -> str:
    return "1 run is" if count == 1 else f"{count:,} runs are"
