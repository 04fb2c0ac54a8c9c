"""The log read again, Temporal forgetful, too many open at once: no step runs twice, and nobody waits for ever."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from functools import partial

import pytest
from apps.running import App, until
from apps.trials.events import Begun, Nudged
from apps.trials.starting import begin, new_key
from apps.trials.steps import gate
from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import CountWorkflowExecutionsRequest, RegisterNamespaceRequest
from temporalio.service import RPCError

from uno_workflows.dispatch import feeding
from uno_workflows.dispatch.dispatcher import DispatchSettings
from uno_workflows.events.subscriptions import Halt

RunApp = Callable[..., AbstractAsyncContextManager[App]]


@pytest.fixture(scope="module")
async def own_app(run_app: RunApp) -> AsyncIterator[App]:
    """An app whose log may be read again without disturbing others."""
    async with run_app(["apps.trials"], poll=timedelta(seconds=0.2)) as app:
        await app.sql("create table trial_effects (word text primary key)")
        yield app


async def rewind(app: App) -> None:
    """Read the whole log again."""
    await app.sql("update uno.checkpoints set position = 0, term = term + 1 where subscription = 'saga:Trial'")
    await app.caught_up("saga:Trial")


async def test_log_that_is_read_again_runs_nothing_again(own_app: App):
    app = own_app
    taken_key, taken = await begin(app, "nudge_twice")
    for word in "xy":
        await app.uno.append(f"trial-{taken_key}", Nudged(trial=taken_key, word=word))
    await app.ended(taken)
    done_key, done = await begin(app, "report")
    await app.ended(done)
    await app.uno.append(f"trial-{done_key}", Nudged(trial=done_key))
    held_key, held = await begin(app, "held")
    await until(lambda: "two" in app.did(held))
    waiting_key, waiting = await begin(app, "nudge_twice")
    await app.uno.append(f"trial-{waiting_key}", Nudged(trial=waiting_key, word="a"))
    early = new_key("early")
    await app.uno.append(f"trial-{early}", Nudged(trial=early))
    await app.waits_for(waiting, "expect Nudged")
    await app.caught_up("saga:Trial")
    lines, runs = app.lines(), await app.uno.store.runs.find()
    for _ in range(2):
        await rewind(app)
    assert app.lines() == lines
    assert await app.uno.store.runs.find() == runs
    assert await app.pending("Trial", early) == 1
    assert await app.late(done_key) == ["Nudged"]
    assert await app.late(taken_key) == []  # what it had taken is only delivered again
    await app.uno.append(f"trial-{waiting_key}", Nudged(trial=waiting_key, word="b"))
    gate(held_key).touch()
    assert [await app.ended(run) for run in (held, waiting)] == [("done", "")] * 2
    assert (await app.state(waiting))["state"]["words"] == ["a", "b"]
    assert app.did(held) == ["one", "two", "two-went-on", "three"]


async def test_temporal_that_forgot_runs_gets_none_again_and_an_open_one_halts(
    run_app: RunApp, database: str, monkeypatch: pytest.MonkeyPatch
):
    """Another namespace is a Temporal that knows nothing; retention and a restore do the same to single runs."""
    async with run_app(["apps.trials"], database=database, app="forgetful") as app:
        namespace = await _new_namespace(app)
        _, over = await begin(app, "refused")
        await app.ended(over)
        key, lost = await begin(app, "nudge_twice")
        await app.waits_for(lost, "expect Nudged")
        await app.caught_up("saga:Trial")
        lines = app.lines()
    monkeypatch.setenv("TEMPORAL_NAMESPACE", namespace)
    async with run_app(["apps.trials"], database=database, app="forgetful") as app:
        await rewind(app)
        appended = await app.uno.append(f"trial-{key}", Nudged(trial=key))

        async def halt() -> Halt | None:
            return next(s.halt for s in await app.uno.store.subscriptions.statuses() if s.name == "saga:Trial")

        found = await until(halt)
        assert (found.position, app.lines(), (await app.run(over)).state) == (appended.positions[0], [], "compensated")
        assert f"Temporal does not know the open run {lost}" in found.reason
        assert [w.id async for w in app.client.list_workflows("WorkflowType = 'Trial'")] == []
    assert len(lines) == 4


async def _new_namespace(app: App) -> str:
    name = new_key("forgetful")
    kept = Duration(seconds=24 * 3600)
    await app.client.workflow_service.register_namespace(
        RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=kept)
    )

    async def usable() -> bool:
        try:
            await app.client.workflow_service.count_workflow_executions(CountWorkflowExecutionsRequest(namespace=name))
        except RPCError:
            return False
        return True

    await until(usable)
    return name


async def test_run_that_is_held_back_by_open_ones_starts_in_the_end(run_app: RunApp, monkeypatch: pytest.MonkeyPatch):
    """The open run waits for an event behind the start that is held back: after `patience` the start goes on."""
    patient = partial(DispatchSettings, patience=timedelta(seconds=0.5))
    monkeypatch.setattr("uno_workflows.app.parts.DispatchSettings", patient)
    async with run_app(["apps.trials"], max_open=1) as app:
        first, first_run = await begin(app, "nudge_twice")
        await app.waits_for(first_run, "expect Nudged")
        second, second_run = await begin(app, "nudge_twice")
        for key in (first, second):
            for word in "ab":
                await app.uno.append(f"trial-{key}", Nudged(trial=key, word=word))
        assert [await app.ended(run) for run in (first_run, second_run)] == [("done", "")] * 2


async def test_two_start_events_at_once_make_one_run(own_app: App):
    app, key = own_app, new_key("twice")
    await app.uno.append(f"trial-{key}", [Begun(trial=key, what="quick"), Begun(trial=key, what="quick")])
    assert await app.ended(f"Trial/{key}") == ("done", "")
    await app.caught_up("saga:Trial")
    assert app.did(f"Trial/{key}") == ["one"]
    assert await until(lambda: app.late(key)) == ["Begun"]  # written after the end; or by the last task done again


async def test_dispatcher_that_has_forgotten_runs_asks_for_them_again(run_app: RunApp, monkeypatch: pytest.MonkeyPatch):
    """It remembers so many runs; a page may name more, and those in flight are not in the table yet."""
    monkeypatch.setattr(feeding, "REMEMBERED", 2)
    async with run_app(["apps.trials"]) as app:
        keys = [new_key("forgotten") for _ in range(8)]
        await app.uno.append_streams({f"trial-{key}": Begun(trial=key, what="nudge_twice") for key in keys})
        for word in "ab":
            await app.uno.append_streams({f"trial-{key}": Nudged(trial=key, word=word) for key in keys})
        assert {await app.ended(f"Trial/{key}") for key in keys} == {("done", "")}
        assert await app.uno.store.runs.count_pending("Trial") == 0


async def test_run_of_another_app_is_not_taken_for_ours(run_app: RunApp, database: str):
    """Workflow ids hold no app: two apps in one namespace with the same saga and key meet, and that is said."""
    async with run_app(["apps.trials"], app="first") as first:
        key, run = await begin(first, "quick")
        assert await first.ended(run) == ("done", "")
        async with run_app(["apps.trials"], database=database, app="second") as second:
            await second.uno.append(f"trial-{key}", Begun(trial=key, what="quick"))

            async def halted() -> Halt | None:
                statuses = await second.uno.store.subscriptions.statuses()
                return next((status.halt for status in statuses if status.name == "saga:Trial"), None)

            halt = await until(halted)
            assert f"Trial/{key} is taken in namespace" in halt.reason
