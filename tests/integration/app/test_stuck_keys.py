"""A key that stops its saga: the reason of the halt has the commands that end it, and they do."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path

import pytest
from apps.border.events import HandlerCalled, Nudge, Well
from apps.running import App, running, until
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from uno_workflows import Settings
from uno_workflows.devstack import temporal as devstack
from uno_workflows.devstack.binaries import temporal_program
from uno_workflows.devstack.temporal import TemporalServer
from uno_workflows.dispatch.closing import UNKNOWN
from uno_workflows.dispatch.reconciler import Reconciler
from uno_workflows.dispatch.temporal import SagaClient, namespace_id_of


@pytest.fixture
async def app(run_app: Callable[..., AbstractAsyncContextManager[App]]) -> AsyncIterator[App]:
    async with run_app(["apps.border"], poll=timedelta(seconds=0.2)) as app:
        yield app


async def test_a_foreign_run_that_holds_the_id_is_ended_by_the_commands_of_the_halt(app: App):
    await app.client.start_workflow("Foreign", id="Healthy/foreign", task_queue="nobody's")
    await app.uno.append("well-foreign", Well(key="foreign"))
    reason = await until(lambda: _halt(app, "saga:Healthy"))
    commands = re.findall(r"`(temporal [^`]+)`", reason)
    assert [command.split()[2] for command in commands] == ["terminate", "delete", "describe"]
    assert "`uno subscriptions resume saga:Healthy`" in reason
    for command in commands[:2]:
        await _runs(command, app)
    await until(lambda: _fails(commands[2], app))
    await app.uno.store.subscriptions.resume("saga:Healthy")
    assert await app.ended("Healthy/foreign") == ("done", "")


async def test_a_run_that_was_deleted_is_closed_by_name_and_no_other_one(app: App):
    for key in ("deleted", "kept"):
        await app.uno.append(f"handler-{key}", HandlerCalled(key=key, how=""))
        await until(lambda key=key: app.run(f"InHandler/{key}"))
    await _runs("temporal workflow terminate --workflow-id InHandler/deleted", app)
    await app.sql("update uno.saga_runs set state = 'open', reason = '', closed_at = null where key = 'deleted'")
    await _runs("temporal workflow delete --workflow-id InHandler/deleted", app)
    await until(lambda: _fails("temporal workflow describe --workflow-id InHandler/deleted", app))
    await app.uno.append("handler-deleted", Nudge(key="deleted", how=""))
    assert "uno subscriptions resume saga:InHandler" in await until(lambda: _halt(app, "saga:InHandler"))

    here = SagaClient(app.client, app.settings.app, searchable=False, namespace_id=await namespace_id_of(app.client))
    await _looks_twice(app, here)
    assert (await app.run("InHandler/deleted")).state == "open", "a row that is not a minute old may be of a start just made"
    await app.sql("update uno.saga_runs set started_at = started_at - interval '2 minutes'")
    await _looks_twice(app, await _elsewhere(app))
    assert (await app.run("InHandler/deleted")).state == "open", "another namespace does not know the run, which says nothing"
    await _looks_twice(app, here)
    run = await app.run("InHandler/deleted")
    assert (run.state, run.reason) == ("terminated", UNKNOWN)
    assert (await app.run("InHandler/kept")).state == "open"

    await app.uno.store.subscriptions.resume("saga:InHandler")
    assert await until(lambda: app.late("deleted")) == ["Nudge"]


async def test_a_run_that_has_had_all_events_it_may_have_is_cancelled_by_the_command_of_the_halt(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Temporal takes 10,000; this server takes three."""
    limit = ("--dynamic-config-value", "history.maximumSignalsPerExecution=3")
    monkeypatch.setattr(devstack, "SETTINGS", (*devstack.SETTINGS, *limit))
    async with TemporalServer(None, headless=True) as server:
        monkeypatch.setenv("TEMPORAL_ADDRESS", server.address)
        monkeypatch.setenv("SHOP_LEDGER", str(tmp_path / "ledger"))
        settings = Settings(database_url=database, app="limited", poll=timedelta(seconds=0.2))
        async with running(settings, ["apps.border"], tmp_path / "ledger") as app:
            await app.uno.append("handler-many", HandlerCalled(key="many", how=""))
            await until(lambda: app.run("InHandler/many"))
            for _ in range(5):
                await app.uno.append("handler-many", Nudge(key="many", how=""))
            reason = await until(lambda: _halt(app, "saga:InHandler"))
            [command] = re.findall(r"`(temporal [^`]+)`", reason)
            await _runs(command, app)
            assert await app.ended("InHandler/many") == ("cancelled", "cancelled")
            await app.uno.store.subscriptions.resume("saga:InHandler")
            assert await until(lambda: app.late("many"))


async def _halt(app: App, subscription: str) -> str:
    status = {status.name: status for status in await app.uno.store.subscriptions.statuses()}[subscription]
    return status.halt.reason if status.halt else ""


async def _looks_twice(app: App, temporal: SagaClient) -> None:
    reconciler = Reconciler(temporal, app.uno.store.runs, "InHandler")
    for _ in range(2):
        await reconciler.look()


async def _elsewhere(app: App) -> SagaClient:
    """The client of a worker whose TEMPORAL_NAMESPACE is another one."""
    name = f"other-{app.settings.app}"
    asked = RegisterNamespaceRequest(namespace=name)
    asked.workflow_execution_retention_period.FromTimedelta(timedelta(days=1))
    await app.client.workflow_service.register_namespace(asked)
    client = await Client.connect(os.environ["TEMPORAL_ADDRESS"], namespace=name)

    async def there() -> bool:
        try:
            await client.count_workflows("WorkflowId = 'uno'")
        except RPCError:
            return False
        return True

    await until(there)
    return SagaClient(client, app.settings.app, searchable=False, namespace_id=await namespace_id_of(client))


async def _runs(command: str, app: App) -> None:
    code, said = await _said(command)
    assert code == 0, said


async def _fails(command: str, app: App) -> bool:
    return (await _said(command))[0] != 0


async def _said(command: str) -> tuple[int | None, str]:
    words = [temporal_program(), *shlex.split(command)[1:]]
    process = await asyncio.create_subprocess_exec(
        *words,
        *("--address", os.environ["TEMPORAL_ADDRESS"]),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate(b"y\n")  # `delete` asks
    return process.returncode, out.decode()
