"""`uno migrate`: bring the database schema up to date."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from uno_workflows.app.catalogue import Catalogue, discover
from uno_workflows.app.registering import register_subscriptions
from uno_workflows.app.uno import open_store
from uno_workflows.config import Settings
from uno_workflows.storage import migrations
from uno_workflows.tooling.cli.showing import say


def migrate(
    modules: Annotated[
        list[str] | None, typer.Argument(help="Also register the subscriptions of these modules: sagas begin from now on.")
    ] = None,
    sql: Annotated[bool, typer.Option("--sql", help="Print the whole script instead, for a schema that Alembic owns.")] = False,
) -> None:
    """Create or update the tables of the event store. Safe to run twice, by two processes at once, and when killed.

    Examples:

      uno migrate

      uno migrate shop

      uno migrate --sql > uno.sql
    """
    if sql:
        schema = Settings.from_env(database_url="postgresql://").schema
        print(migrations.sql(schema=schema))
        return
    catalogue, settings = discover(modules or []), Settings.from_env()  # outside of the loop, where Ctrl-C ends an import
    asyncio.run(_migrate(settings, catalogue, whole=bool(modules)))


async def _migrate(settings: Settings, catalogue: Catalogue, *, whole: bool) -> None:
    applied = await migrations.migrate(settings.database_url, schema=settings.schema)
    for line in [f"applied {name}" for name in applied] or [f"schema {settings.schema} is up to date"]:
        say(line)
    if whole:
        async with open_store(settings) as store:
            await register_subscriptions(store, catalogue)
        number = len(catalogue.sagas) + len(catalogue.projections)
        say(f"{number} subscription{'s' if number != 1 else ''} registered")
