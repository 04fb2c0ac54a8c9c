"""`uno doctor`: what is wrong with the set-up, and what to do about it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Annotated

import typer
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from uno_workflows.app.catalogue import Catalogue, discover
from uno_workflows.app.connecting import connect_temporal
from uno_workflows.app.registering import subscriptions_of
from uno_workflows.app.uno import open_store
from uno_workflows.config import Settings
from uno_workflows.dispatch.search_attributes import missing_search_attributes
from uno_workflows.events.errors import ConfigurationError, UnoError
from uno_workflows.events.subscriptions import SubscriptionStatus
from uno_workflows.observability.core_logs import forward_core_logs
from uno_workflows.storage.doctor import Finding, examine, holders
from uno_workflows.storage.store import PostgresStore
from uno_workflows.tooling.cli.showing import show
from uno_workflows.tooling.life import is_fresh, life_findings, pump_finding

COLUMNS = ("check", "ok", "advice")
LONG_SECONDS = 10
RETENTION_DAYS = 3


def doctor(
    modules: Annotated[list[str] | None, typer.Argument(help="Also check these modules against the store.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
) -> None:
    """Say what is wrong with the settings, Postgres, the schema, Temporal, the modules, and with what should be at work.

    Exit code 1 if anything is, also if a subscription has no live pump, is halted or paused, or a run cannot go on.

    Examples:

      uno doctor

      uno doctor shop --json
    """
    catalogue, findings = _loaded(modules or [])  # outside of the loop, where Ctrl-C ends an import
    forward_core_logs()  # else Temporal's core writes what it retries into the output
    findings += asyncio.run(_all(catalogue, whole=bool(modules)))
    rows = [{"check": f.name, "ok": f.ok if as_json else ("ok" if f.ok else "NO"), "advice": f.advice} for f in findings]
    show(rows, columns=COLUMNS, as_json=as_json, empty="nothing was checked")
    if not all(f.ok for f in findings):
        raise typer.Exit(1)


def _loaded(modules: list[str]) -> tuple[Catalogue, list[Finding]]:
    try:
        return discover(modules), [Finding("modules load", True, "")] if modules else []
    except UnoError as err:
        return Catalogue(), [Finding("modules load", False, str(err))]


async def _all(catalogue: Catalogue, *, whole: bool) -> list[Finding]:
    return [finding async for finding in _findings(catalogue, whole=whole)]


async def _findings(catalogue: Catalogue, *, whole: bool) -> AsyncIterator[Finding]:
    try:
        settings = Settings.from_env()
        yield Finding("settings", True, "")
    except ConfigurationError as err:
        yield Finding("settings", False, str(err))
        return
    async for finding in _store_findings(settings, catalogue, whole=whole):
        yield finding
    async for finding in _temporal_findings():
        yield finding


async def _store_findings(settings: Settings, catalogue: Catalogue, *, whole: bool) -> AsyncIterator[Finding]:
    try:
        async with open_store(settings) as store:
            yield Finding("Postgres answers and has our schema", True, "")
            for finding in await examine(store.database):
                yield finding
            for holder in await holders(store.database):
                slow = holder.seconds is not None and holder.seconds > LONG_SECONDS
                who = f"process {holder.pid}" if holder.pid else f"prepared transaction {holder.gid}"
                name = f"nobody holds readers back at position {holder.readers_stop_at}"
                advice = f"{who} of {holder.application} has not ended for {holder.seconds:.0f} s" if slow else ""
                yield Finding(name, not slow, advice)
            async for finding in _subscription_findings(store, catalogue, app=settings.app, whole=whole):
                yield finding
            for finding in await life_findings(store):
                yield finding
    except UnoError as err:
        yield Finding("Postgres answers and has our schema", False, str(err))


async def _subscription_findings(store: PostgresStore, catalogue: Catalogue, *, app: str, whole: bool) -> AsyncIterator[Finding]:
    declared = {definition.name: definition for definition in subscriptions_of(catalogue)}
    statuses = {status.name: status for status in await store.subscriptions.statuses()}
    ranges = await store.definitions.ranges()
    for finding in _app_findings(statuses.values()):
        yield finding
    fresh = is_fresh([*statuses.values()])
    for name, status in statuses.items():
        advice = f"{status.halt.reason}; mend it, then `uno subscriptions resume {name}`" if status.halt else ""
        yield Finding(f"{name} is not halted", status.halt is None, advice)
        yield Finding(f"{name} is not paused", not status.paused, f"`uno subscriptions resume {name}`" if status.paused else "")
        if status.unfit:
            advice = (
                f"at position {status.unfit.position}: {status.unfit.reason}; start workers of the newer version, or run "
                "`uno migrate MODULE…` with the modules that shall hold"
            )
            yield Finding(f"{name} has a worker that can go on", False, advice)
        else:
            yield pump_finding(status, fresh=fresh)
        if whole and name not in declared and status.app in (app, None):
            advice = "no given module declares it: give its module too; after a rename, pin the old name with name="
            yield Finding(f"{name} is declared", False, advice)
    for name, definition in declared.items():
        if (known := statuses.get(name)) is None:
            yield Finding(f"{name} is registered", False, "run `uno migrate MODULE…`, or start a worker")
        elif known.app not in (app, None):
            advice = f"app {known.app} has it: use another name=, another UNO_SCHEMA, or `uno subscriptions adopt {name}`"
            yield Finding(f"{name} belongs to app {app}", False, advice)
        elif {one.type: one.rule for one in ranges.get(name, ()) if one.until is None} != dict(definition.rules):
            yield Finding(f"{name} reads what the modules say", False, "run `uno migrate MODULE…` with all modules of the app")


def _app_findings(statuses: Iterable[SubscriptionStatus]) -> Iterator[Finding]:
    """The apps that share the store."""
    counts = Counter(status.app for status in statuses if status.app is not None)
    for app, count in sorted(counts.items()):
        yield Finding(f"app {app} has {count} subscription{'s' if count > 1 else ''} on this store", True, "")


async def _temporal_findings() -> AsyncIterator[Finding]:
    try:
        client = await connect_temporal()
    except UnoError as err:
        yield Finding("Temporal answers and lets us in", False, str(err))
        return
    yield Finding("Temporal answers and lets us in", True, "")
    try:
        async for finding in _namespace_findings(client):
            yield finding
    except RPCError as err:
        yield Finding("the namespace can be described", False, f"Temporal answers {err.status.name}: {err.message}")


async def _namespace_findings(client: Client) -> AsyncIterator[Finding]:
    missing = await missing_search_attributes(client)
    advice = f"register the keywords {', '.join(missing)}; a worker does so where it may" if missing else ""
    yield Finding("sagas can be searched by state and correlation", not missing, advice)
    days = await _retention_days(client)
    advice = f"Temporal forgets closed runs after {days:g} days; at least {RETENTION_DAYS} leave room for outages"
    yield Finding(
        f"retention of at least {RETENTION_DAYS} days", days >= RETENTION_DAYS, "" if days >= RETENTION_DAYS else advice
    )


async def _retention_days(client: Client) -> float:
    answer = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
    return answer.config.workflow_execution_retention_ttl.ToTimedelta().total_seconds() / 86400
