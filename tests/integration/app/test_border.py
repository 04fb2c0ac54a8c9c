"""Whatever user code raises becomes a failed step, a bug or a halt, by name, and the worker goes on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta

import pytest
from apps.border.events import CommandCalled, HandlerCalled, KeyCalled, Nudge, RunCalled, Shown, StepCalled, Well
from apps.border.raising import HOWS, OF_POOLS, OF_TEMPORAL
from apps.running import App, until
from patience import LIMIT
from temporalio.client import WorkflowQueryFailedError

from uno_workflows.observability.line import Line


@pytest.fixture(scope="module")
async def app(run_app: Callable[..., AbstractAsyncContextManager[App]]) -> AsyncIterator[App]:
    async with run_app(["apps.border"], poll=timedelta(seconds=0.2)) as app:
        yield app


async def test_what_a_run_raises_fails_its_task_by_name(app: App, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.ERROR)
    hows = [*HOWS, "task-odd", "task-memory"]
    for how in hows:
        await app.uno.append(f"run-{how}", RunCalled(key=how, how=how))
    for how in hows:
        failures = await until(lambda how=how: app.failures(f"InRun/{how}"))
        name = HOWS[how.removeprefix("task-")]
        assert failures[0] or name == "MemoryError", how
        line = await until(lambda how=how: _line(caplog, "saga_bug", saga_key=how))
        assert name in f"{line.fields['error.type']} {line.fields['error.message']}", line
    assert {(await until(lambda how=how: app.run(f"InRun/{how}"))).state for how in hows} == {"open"}
    await _goes_on(app, "after-runs")


async def test_what_a_handler_of_a_saga_raises_fails_its_task_by_name(app: App, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.ERROR)
    for how in HOWS:
        await app.uno.append(f"handler-{how}", [HandlerCalled(key=how, how=how), Nudge(key=how, how=how)])
    for how in HOWS:
        assert await until(lambda how=how: app.failures(f"InHandler/{how}"))
        assert await until(lambda how=how: _line(caplog, "saga_bug", saga_key=how, saga="InHandler"))
    await _goes_on(app, "after-handlers")


async def test_a_cancellation_that_nobody_asked_for_ends_the_saga_by_name(app: App):
    await app.uno.append("run-cancelled", RunCalled(key="cancelled", how="cancelled"))
    await app.uno.append("handler-cancelled", [HandlerCalled(key="c", how=""), Nudge(key="c", how="cancelled")])
    assert await app.ended("InRun/cancelled") == ("compensated", "cancelled from inside")
    assert await app.ended("InHandler/c") == ("compensated", "cancelled from inside")


async def test_what_a_step_raises_is_a_failed_attempt_by_name(app: App):
    # an exit in a task of its own would end pytest's event loop: real processes show it
    hows = {**HOWS, "cancelled": "CancelledError"}
    hows = {how: name for how, name in hows.items() if how not in ("exit", "interrupt")}
    for how in hows:
        await app.uno.append(f"step-{how}", StepCalled(key=how, how=how))
    for how, name in hows.items():
        assert await app.ended(f"InSteps/{how}") == ("compensated", f"aborted: {' '.join([name] * 3)}"), how
    await _goes_on(app, "after-steps")


@pytest.mark.parametrize("hows", [OF_TEMPORAL, OF_POOLS], ids=["of-temporal", "of-pools"])
async def test_errors_that_the_server_or_the_sdk_takes_for_something_else_are_failed_attempts(app: App, hows: dict[str, str]):
    """The server dropped the former, and the attempt ended by its time-out alone. For the latter the SDK ended the worker."""
    for how, name in hows.items():
        await app.uno.append(f"step-{how}", StepCalled(key=how, how=how))
        ended = await app.client.execute_workflow(
            "BadActivities", how, id=f"{app.settings.app}-{how}", task_queue=app.settings.app
        )
        assert ended == [name, name], how
    for how, name in hows.items():
        assert await app.ended(f"InSteps/{how}") == ("compensated", f"aborted: {' '.join([name] * 3)}"), how


async def test_what_a_key_function_or_a_projection_raises_halts_by_name(app: App):
    for how, name in HOWS.items():
        await app.uno.append(f"key-{how}", KeyCalled(key=how, how=how))
        await app.uno.append(f"shown-{how}", Shown(key=how, how=how))
        for subscription in ("saga:InKey", "projection:InProjection"):
            halt = await until(lambda subscription=subscription: _halt(app, subscription))
            assert name in halt, (how, subscription, halt)
            await app.uno.store.subscriptions.resume(subscription, skip=True)
    assert "SystemExit: 3" in await until(lambda: _halt(app, "projection:InInit"))
    await _goes_on(app, "after-halts")


async def test_a_handler_that_cancels_its_own_pump_halts_by_name(app: App):
    await app.uno.append("shown-self", Shown(key="self", how="cancel_task"))
    assert "cancelled the task" in await until(lambda: _halt(app, "projection:InProjection"))
    await app.sql(
        "insert into uno.skipped_events (subscription, epoch, position, reason) select 'projection:InProjection', epoch, "
        "(select max(position) from uno.events), 'a test' from uno.log"
    )
    await app.uno.store.subscriptions.resume("projection:InProjection")
    await app.caught_up("projection:InProjection")


async def test_a_task_that_the_server_refuses_is_a_bug_by_the_name_of_its_cause(app: App, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.ERROR)
    await app.uno.append("command-1", CommandCalled(key="c"))
    line = await until(lambda: _line(caplog, "saga_bug", saga_key="c", saga="InCommand"))
    assert line.fields["error.type"] == "BadSearchAttributes"
    assert "Nowhere" in str(line.fields["error.message"])

    async def listed() -> bool:
        run = await app.run("InCommand/c")
        return run is not None and "BadSearchAttributes" in run.problem

    await until(listed)


async def test_plain_workflows_and_activities_fail_by_name_and_are_not_called_sagas(app: App, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.ERROR)
    for how, name in HOWS.items():
        ended = await app.client.execute_workflow(
            "BadActivities", how, id=f"{app.settings.app}-acts-{how}", task_queue=app.settings.app
        )
        assert ended == [name, name], how
        run = await app.client.start_workflow("BadWorkflow", how, id=f"BadWorkflow/{how}", task_queue=app.settings.app)
        assert await until(lambda run=run: app.failures(run.id)), how
        line = await until(lambda run=run: _line(caplog, "workflow_bug", workflow_id=run.id))
        assert "saga" not in line.fields
        await run.terminate()
    await _goes_on(app, "after-plain")


async def test_a_query_that_exits_fails_by_name(app: App):
    run = await app.client.start_workflow("BadQuery", id=f"{app.settings.app}-query", task_queue=app.settings.app)
    async with asyncio.timeout(LIMIT):
        for how, name in HOWS.items():
            with pytest.raises(WorkflowQueryFailedError) as failed:
                await run.query("bad_query", how)
            assert name in f"{failed.value} {failed.value.__cause__}" or name in ("MemoryError", "RecursionError")
    await run.terminate()


def _line(caplog: pytest.LogCaptureFixture, code: str, **fields: str) -> Line | None:
    lines = [record.msg for record in caplog.records if isinstance(record.msg, Line) and record.msg.event == code]
    return next((line for line in lines if fields.items() <= line.fields.items()), None)


async def _halt(app: App, subscription: str) -> str:
    status = {status.name: status for status in await app.uno.store.subscriptions.statuses()}[subscription]
    return status.halt.reason if status.halt else ""


async def _goes_on(app: App, key: str) -> None:
    """The worker still does what it is there for."""
    await app.uno.append(f"well-{key}", Well(key=key))
    assert await app.ended(f"Healthy/{key}") == ("done", "")
    await app.caught_up("projection:Fine")
