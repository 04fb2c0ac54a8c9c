"""An app, or a class of it, that gets another name while runs are under way."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest
from apps.renames.events import Billed
from apps.running import App, forget, until
from apps.trials.events import Nudged
from apps.trials.starting import begin

from uno_workflows.devstack.temporal import TemporalServer
from uno_workflows.events.encoding import to_new_events
from uno_workflows.events.errors import DefinitionRefused
from uno_workflows.storage.store import PostgresStore

RunApp = Callable[..., AbstractAsyncContextManager[App]]


async def test_a_run_whose_class_no_module_declares_is_named_and_goes_on_with_its_module(
    run_app: RunApp, database: str, temporal: TemporalServer, caplog: pytest.LogCaptureFixture
):
    names = {"database": database, "app": "gone-class"}
    async with run_app(["apps.trials"], **names) as app:
        key, run = await begin(app, "nudge_twice")
        await app.waits_for(run, "expect Nudged")
    async with run_app(["apps.till"], **names) as app:
        await app.handle(run).signal("wake-up")  # as a timer, or a step that ended meanwhile

        async def problem() -> str:
            found = await app.run(run)
            return found.problem if found is not None else ""

        said = await until(problem)
        assert said.startswith("NotLoaded: no module of this worker declares the saga Trial: give `uno worker` the module")
        assert "name='Trial'" in said
    told = [record.getMessage() for record in caplog.records if "NotLoaded" in record.getMessage()]
    assert len(told) == 1
    assert told[0].startswith(f"saga_bug saga=Trial saga_key={key}")
    async with run_app(["apps.trials"], **names) as app:
        for word in "ab":
            await app.uno.append(f"trial-{key}", Nudged(trial=key, word=word))
        assert await app.ended(run) == ("done", "")
    await forget(temporal.address, "TaskQueue STARTS_WITH 'gone-class'")


async def test_a_step_that_no_module_declares_is_named_and_goes_on_under_its_old_name(
    run_app: RunApp, database: str, temporal: TemporalServer, caplog: pytest.LogCaptureFixture
):
    names = {"database": database, "app": "gone-step"}

    async def problem(app: App) -> str:
        found = await app.run("Pay/one")
        return found.problem if found is not None else ""

    async with run_app(["apps.renames.before"], **names) as app:
        await app.uno.append("bill-one", Billed(bill="one"))
        assert "the bank is closed" in await until(lambda: problem(app))
    async with run_app(["apps.renames.after"], **names) as app:

        async def no_code() -> bool:
            return "no module of this worker declares the step charge: give `uno worker` the module" in await problem(app)

        await until(no_code)
    assert [record for record in caplog.records if record.name == "uno_workflows.sagas" and "NotLoaded" in record.getMessage()]
    async with run_app(["apps.renames.pinned"], **names) as app:
        assert await app.ended("Pay/one") == ("done", "")
    await forget(temporal.address, "TaskQueue STARTS_WITH 'gone-step'")


async def test_runs_of_a_renamed_app_go_on_once_their_subscription_is_adopted(
    run_app: RunApp, database: str, temporal: TemporalServer
):
    """Temporal keeps them on the task queue of the app that started them."""
    async with run_app(["apps.trials"], database=database, app="old-name") as app:
        key, run = await begin(app, "nudge_twice")
        await app.waits_for(run, "expect Nudged")
        definitions = app.uno.store.definitions

        async def pumped() -> bool:
            return all(status.alive for status in await app.uno.store.subscriptions.statuses() if status.name == "saga:Trial")

        await until(pumped)
        with pytest.raises(DefinitionRefused, match=r"saga:Trial is refused \(still_pumped\): a worker of app 'old-name' reads"):
            await definitions.adopt("saga:Trial", app="new-name")
    async with PostgresStore.open(database, encode=to_new_events) as store:
        for status in await store.subscriptions.statuses():
            assert await store.definitions.adopt(status.name, app="new-name") == "old-name"
        assert await store.definitions.former_apps(["saga:Trial"], app="new-name") == ["old-name"]
        assert await store.definitions.former_apps(["saga:Trial"], app="old-name") == []
    async with run_app(["apps.trials"], database=database, app="new-name") as app:
        for word in "ab":
            await app.uno.append(f"trial-{key}", Nudged(trial=key, word=word))
        assert await app.ended(run) == ("done", "")
    await forget(temporal.address, "(TaskQueue STARTS_WITH 'old-name' or TaskQueue STARTS_WITH 'new-name')")
