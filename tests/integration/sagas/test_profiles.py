"""A change of profile reaches what already runs, and workers of both profiles work side by side."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from apps.running import App, until
from apps.trials.events import Nudged
from apps.trials.starting import begin, poke

from uno_workflows.app.profiles import PROFILES
from uno_workflows.config import ProfileName
from uno_workflows.devstack.temporal import TemporalServer

RunApp = Callable[..., AbstractAsyncContextManager[App]]
DEFAULT, FAST = PROFILES[ProfileName.DEFAULT], PROFILES[ProfileName.FAST]
SUBSCRIPTION = "saga:Trial"


async def heartbeats(app: App, workflow_id: str, *, of: str) -> list[timedelta]:
    """The heartbeat time-outs of a workflow's activities of one type, in the order in which they were scheduled."""
    scheduled = [event.activity_task_scheduled_event_attributes for event in await app.history(workflow_id)]
    return [s.heartbeat_timeout.ToTimedelta() for s in scheduled if s.activity_type.name == of]


async def leases(app: App) -> list[timedelta]:
    return await heartbeats(app, f"uno/{app.settings.app}/{SUBSCRIPTION}", of="uno.pump")


async def steps(app: App, workflow_id: str) -> list[timedelta]:
    return await heartbeats(app, workflow_id, of="act")


@pytest.fixture(autouse=True)
def surroundings(temporal: TemporalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an app finds whose sister, which had set the same, is closed before it."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal.address)
    monkeypatch.setenv("SHOP_LEDGER", str(tmp_path / "ledger"))


async def test_a_new_profile_reaches_what_already_runs_and_two_of_them_do_not_fight(run_app: RunApp, database: str):
    async with AsyncExitStack() as first, AsyncExitStack() as second:
        same = {"app": "profiles", "database": database}
        old = await first.enter_async_context(run_app(["apps.trials"], **same))
        await old.sql("create table trial_effects (word text primary key)")
        key, run = await begin(old, "nudge_twice")
        await poke(old, key, "step")
        await until(lambda: _is(steps(old, run), [DEFAULT.step_heartbeat]))
        await until(lambda: _is(leases(old), [DEFAULT.pump_heartbeat]))

        new = await second.enter_async_context(run_app(["apps.trials"], profile=ProfileName.FAST, **same))
        await first.aclose()
        await until(lambda: _is(leases(new), [DEFAULT.pump_heartbeat, FAST.pump_heartbeat]))
        await poke(new, key, "step")
        await until(lambda: _is(steps(new, run), [DEFAULT.step_heartbeat, FAST.step_heartbeat]))

        async with run_app(["apps.trials"], **same) as back:  # and back again: a shorter lease is served
            await second.aclose()
            await poke(back, key, "step")
            await until(lambda: _is(steps(back, run), [DEFAULT.step_heartbeat, FAST.step_heartbeat, DEFAULT.step_heartbeat]))
            assert await leases(back) == [DEFAULT.pump_heartbeat, FAST.pump_heartbeat]
            assert await back.failures(run) == []
            for word in ("a", "b"):
                await back.uno.append(f"trial-{key}", Nudged(trial=key, word=word))
            assert await back.ended(run) == ("done", "")


async def _is(asked: Awaitable[list[timedelta]], wanted: list[timedelta]) -> bool:
    return await asked == wanted


async def test_the_workflow_task_time_out_of_a_run_is_the_profile_s(run_app: RunApp):
    async with run_app(["apps.trials"], profile=ProfileName.FAST) as app:
        await app.sql("create table trial_effects (word text primary key)")
        _, run = await begin(app, "quick")
        assert await app.ended(run) == ("done", "")
        started = (await app.history(run))[0].workflow_execution_started_event_attributes
    assert started.workflow_task_timeout.ToTimedelta() == FAST.workflow_task


async def test_an_emit_whose_worker_died_is_noticed_by_its_heartbeat(run_app: RunApp):
    """Without one, only the 10 s of its time-out would tell."""
    async with run_app(["apps.trials"], profile=ProfileName.FAST) as app:
        await app.sql("create table trial_effects (word text primary key)")
        _, run = await begin(app, "report")
        assert await app.ended(run) == ("done", "")
        found = await heartbeats(app, run, of="uno.emit")
    assert found
    assert set(found) == {FAST.step_heartbeat}
